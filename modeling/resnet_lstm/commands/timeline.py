"""Say what happens when in long videos.

    resnet-lstm timeline runs/ucf101-25 match.mp4
    resnet-lstm timeline runs/ucf101-25 match.mp4 --csv actions.csv --plot actions.png
    resnet-lstm timeline runs/ucf101-25 match.mp4 --annotate match-annotated.mp4

Where none of the model's actions is likely, it says "no known action".
Exit status: 0 all videos were read, 1 some were not (each is reported, the others are done), 2 nothing could be done.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from .. import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor, VideoDecodingError
from ..inference import Timeline, annotate_video, find_sources, label_timeline
from ..plain_text import csv_cell, printable
from .loaded_model import load_for
from .parser import CommandParser
from .shared_options import add_answer_files, add_computing_options, add_model


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("timeline", "MODEL VIDEO ...", __doc__)
    add_model(parser)
    parser.add_argument("sources", nargs="+", metavar="VIDEO", help="video, folder of videos, or URL")
    add_timeline_options(parser.add_argument_group("segments"))
    answers = parser.add_argument_group("answers")
    add_answer_files(answers)
    add_timeline_pictures(answers)
    add_computing_options(parser, "--precision", "--runtime", "--int8")
    return parser


def add_timeline_options(group: Any) -> None:
    """What `predict --timeline` takes too: how to segment."""
    group.add_argument("--fps", type=float, metavar="X", help="frames a second to look at (default: as trained)")
    group.add_argument(
        "--min-score", type=float, default=0.2, metavar="X", help="below it an action is none that is known"
    )
    group.add_argument(
        "--min-known",
        type=float,
        metavar="X",
        help="nor is any where one is less probable than this (default: the model's own)",
    )


def add_timeline_pictures(group: Any) -> None:
    """What `predict --timeline` takes too: pictures of one video's segments."""
    group.add_argument("--plot", type=Path, metavar="FILE", help="draw the actions over time")
    group.add_argument("--annotate", type=Path, metavar="FILE", help="write the video with the actions in it")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    return make_parser().parse_args(arguments)


def run(args: argparse.Namespace) -> int:
    """Write the timelines of all videos, and return 1 if one could not be read."""
    sources = find_sources(args.sources)
    model, processor = load_for(args)
    return label_videos(args, sources, model, processor)


def label_videos(
    args: argparse.Namespace,
    sources: list[str],
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
) -> int:
    """Write the timelines of all videos, and return 1 if one could not be read."""
    if len(sources) > 1 and (args.plot or args.annotate):
        raise ValueError(f"{len(sources)} videos were given: --plot and --annotate take one.")
    num_failed = 0
    with _opened_answers(args) as write:
        for source in sources:
            try:
                with progress_bar(f"watching {Path(source).name}") as progress:
                    timeline = label_timeline(
                        model,
                        processor,
                        source,
                        fps=args.fps,
                        min_score=args.min_score,
                        min_known=args.min_known,
                        progress=progress,
                    )
            except VideoDecodingError as error:
                num_failed += 1
                print(f"error: {printable(error)}", file=sys.stderr)
                write({"source": source, "error": str(error)}, [["", "", "", "", "", csv_cell(str(error))]])
                continue
            _print_segments(source, timeline)
            record = timeline.to_dict()
            damage = str(timeline.damage or "")
            rows = [
                [csv_cell(row["label"] or ""), row["start"], row["end"], row["score"], damage, ""]
                for row in record["segments"]
            ]
            write({"source": source, **record}, rows)
            _draw(args, source, timeline)
    return 1 if num_failed else 0


@contextlib.contextmanager
def _opened_answers(args: argparse.Namespace) -> Iterator[Callable[[dict[str, Any], list[list[Any]]], None]]:
    """What writes a video's JSON record and CSV rows to where they are wanted."""
    with contextlib.ExitStack() as stack:
        json_file = stack.enter_context(args.json.open("w", encoding="utf-8")) if args.json else None
        csv_file = stack.enter_context(args.csv.open("w", encoding="utf-8", newline="")) if args.csv else None
        if csv_file:
            csv.writer(csv_file).writerow(["source", "action", "start", "end", "score", "damage", "error"])

        def write(record: dict[str, Any], rows: list[list[Any]]) -> None:
            if json_file:
                json_file.write(json.dumps(record, ensure_ascii=False) + "\n")
            if csv_file:
                csv.writer(csv_file).writerows([csv_cell(record["source"]), *row] for row in rows)

        yield write


def _print_segments(source: str, timeline: Timeline) -> None:
    print(printable(source) + (f" ({timeline.damage})" if timeline.damage else ""))
    for segment in timeline.segments:
        span = f"{_clock(segment.start_seconds)} - {_clock(segment.end_seconds)}"
        print(f"  {span}  {100 * segment.score:5.1f} %  {printable(segment.name)}")


def _draw(args: argparse.Namespace, source: str, timeline: Timeline) -> None:
    if args.plot:
        from ..evaluation import plot_timeline  # takes as long to import as a clip to classify

        plot_timeline(args.plot, timeline, title=Path(source).name)
    if args.annotate:
        with progress_bar(f"writing {args.annotate.name}") as progress:
            annotate_video(source, timeline, args.annotate, progress=progress)


@contextlib.contextmanager
def progress_bar(description: str) -> Iterator[Callable[[float, float | None], None]]:
    """A bar over the seconds of a video; it shows the time left where the video's duration is known."""
    with tqdm(desc=description, unit="s") as bar:

        def update(seconds: float, total_seconds: float | None) -> None:
            bar.total = total_seconds and round(max(total_seconds, seconds))
            bar.update(round(seconds) - bar.n)

        yield update


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}"
