"""Say what happens when in long videos.

    resnet-lstm timeline runs/ucf101-25 match.mp4
    resnet-lstm timeline runs/ucf101-25 match.mp4 --csv actions.csv --plot actions.png
    resnet-lstm timeline runs/ucf101-25 match.mp4 --annotate match-annotated.mp4

Where none of the model's actions is likely, it says "no known action".
Several processes that `torchrun` or `accelerate launch` has started share the videos.
Exit status: 0 all videos were read, 1 some were not (each is reported, the others are done), 2 nothing could be done.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from accelerate import PartialState
from tqdm.auto import tqdm

from .. import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor, VideoDecodingError
from ..accelerator import answers_of_all, end_together, own_share
from ..inference import Timeline, annotate_video, label_timeline
from ..plain_text import csv_cell, printable
from .answers import Answer, write_answers
from .loaded_model import share_sources
from .parser import CommandParser
from .shared_options import add_answer_files, add_computing_options, add_model

COLUMNS = ("action", "start", "end", "score", "damage", "error")


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
    accelerator, sources, model, processor = share_sources(args)
    if len(sources) > 1 and (args.plot or args.annotate):
        raise ValueError(f"{len(sources)} videos were given: --plot and --annotate take one.")
    own = _answers(args, sources[own_share()], model, processor)
    num_failed = write_answers(args, COLUMNS, answers_of_all(own, len(sources), 1))
    end_together(accelerator)
    return 1 if num_failed else 0


def _answers(
    args: argparse.Namespace,
    sources: list[str],
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
) -> Iterator[Answer]:
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
            rows: list[list[Any]] = [["", "", "", "", "", csv_cell(str(error))]]
            yield Answer({"source": source, "error": str(error)}, rows, f"error: {printable(error)}")
            continue
        record = timeline.to_dict()
        damage = str(timeline.damage or "")
        rows = [
            [csv_cell(row["label"] or ""), row["start"], row["end"], row["score"], damage, ""]
            for row in record["segments"]
        ]
        yield Answer({"source": source, **record}, rows, _to_text(source, timeline))
        _draw(args, source, timeline)


def _to_text(source: str, timeline: Timeline) -> str:
    lines = [printable(source) + (f" ({timeline.damage})" if timeline.damage else "")]
    for segment in timeline.segments:
        span = f"{_clock(segment.start_seconds)} - {_clock(segment.end_seconds)}"
        lines.append(f"  {span}  {100 * segment.score:5.1f} %  {printable(segment.name)}")
    return "\n".join(lines)


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
    with tqdm(desc=description, unit="s", disable=not PartialState().is_main_process) as bar:

        def update(seconds: float, total_seconds: float | None) -> None:
            bar.total = total_seconds and round(max(total_seconds, seconds))
            bar.update(round(seconds) - bar.n)

        yield update


def _clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}"
