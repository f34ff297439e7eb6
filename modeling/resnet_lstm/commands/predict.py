"""Say what happens in clips.

    resnet-lstm predict runs/ucf101-25 clip.mp4
    resnet-lstm predict user/model clips/ https://example.org/clip.webm --csv answers.csv --json answers.jsonl
    resnet-lstm predict runs/ucf101-25 clip.mp4 --strip strips/
    resnet-lstm predict runs/ucf101-25 match.mp4 --timeline
    resnet-lstm predict runs/ucf101-25 clip.mp4 --runtime openvino --int8

Where the model knows what it does not know, a clip that is probably none of its actions is said to be so.
With --timeline a video is no clip of one action: it is said what happens in it, and when, as `timeline` does.
Several processes that `torchrun` or `accelerate launch` has started share the clips.
Exit status: 0 all clips were read, 1 some were not (each is reported, the others are done), 2 nothing could be done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from .. import ResNetLSTMConfig, ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from ..accelerator import answers_of_all, end_together, own_share
from ..inference import ClipPrediction, FailedClip, predict_clips
from ..plain_text import csv_cell, printable
from . import timeline
from .answers import Answer, write_answers
from .loaded_model import share_sources
from .parser import CommandParser, positive
from .shared_options import add_answer_files, add_computing_options, add_model
from .timeline import add_timeline_options, add_timeline_pictures

COLUMNS = ("rank", "label", "score", "known", "damage", "error")
# Of several processes, how many clips each answers before the first one writes the answers down.
ANSWERS_AT_A_TIME = 32


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("predict", "MODEL CLIP ...", __doc__)
    add_model(parser)
    parser.add_argument("sources", nargs="+", metavar="CLIP", help="clip, folder of clips, or URL")
    answers = parser.add_argument_group("answers")
    answers.add_argument("--top-k", type=positive, default=5, metavar="N", help="how many")
    answers.add_argument("--anytime", action="store_true", help="read no more frames than it takes to be sure")
    add_answer_files(answers)
    answers.add_argument("--strip", type=Path, metavar="DIR", help="draw each clip's frames with their share")
    timeline = parser.add_argument_group("timeline of long videos")
    timeline.add_argument("--timeline", action="store_true", help="say what happens when, not once for all")
    add_timeline_options(timeline)
    add_timeline_pictures(timeline)
    add_computing_options(parser, "--batch-size", "--num-workers", "--precision", "--runtime", "--int8")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    if not args.timeline and (args.fps or args.plot or args.annotate):
        parser.error("--fps, --plot and --annotate are of a timeline: add --timeline")
    if args.timeline and args.strip:
        parser.error("--strip draws the frames of a clip, which a timeline has none of: use --plot")
    return args


def run(args: argparse.Namespace) -> int:
    """Classify all clips, and return 1 if one could not be read."""
    if args.timeline:
        return timeline.run(args)
    accelerator, sources, model, processor = share_sources(args)
    own = _answers(args, sources, model, processor)
    is_first = accelerator.is_main_process
    answers = tqdm(
        answers_of_all(own, len(sources), ANSWERS_AT_A_TIME),
        total=len(sources),
        unit="clip",
        disable=len(sources) == 1 or not is_first,
    )
    num_failed = write_answers(args, COLUMNS, answers)
    end_together(accelerator)
    if num_failed:
        print(f"{num_failed} of {len(sources)} clips could not be read", file=sys.stderr)
    return 1 if num_failed else 0


def _answers(
    args: argparse.Namespace,
    sources: list[str],
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
) -> Iterator[Answer]:
    """Those to this process's share of the clips."""
    if args.strip:
        args.strip.mkdir(parents=True, exist_ok=True)
    predictions = predict_clips(
        model,
        processor,
        sources[own_share()],
        batch_size=args.batch_size,
        num_workers=args.num_workers,
        anytime=args.anytime,
    )
    numbers = range(1, len(sources) + 1)[own_share()]
    for number, prediction in zip(numbers, predictions, strict=True):
        record = to_record(prediction, model.config, args.top_k)
        yield Answer(record, _rows(record, prediction), _to_text(record, prediction))
        if args.strip and isinstance(prediction, ClipPrediction):
            _draw_strip(args.strip, number, prediction, record)


def to_record(prediction: ClipPrediction | FailedClip, config: ResNetLSTMConfig, top_k: int) -> dict[str, Any]:
    """A prediction in plain values, as it is written to JSON."""
    if isinstance(prediction, FailedClip):
        return {"source": prediction.source, "error": prediction.error}
    scores, shares, id2label = prediction.scores, prediction.frame_shares(), config.id2label
    return {
        "source": prediction.source,
        "known": None if prediction.known_score is None else round(prediction.known_score, 6),
        "none_of_my_actions": prediction.is_unknown(config),
        "damaged_frames": prediction.damage.num_damaged,
        "total_frames": prediction.damage.num_frames,
        "top": [{"label": id2label[i], "score": round(float(scores[i]), 6)} for i in prediction.top_k(top_k)],
        "frames": [
            {"seconds": round(float(second), 3), "share": round(float(share), 6)}
            for second, share in zip(prediction.seconds, shares, strict=True)
        ],
    }


def _rows(record: dict[str, Any], prediction: ClipPrediction | FailedClip) -> list[list[Any]]:
    if isinstance(prediction, FailedClip):
        return [["", "", "", "", "", csv_cell(record["error"])]]
    damage = str(prediction.damage or "")
    return [
        [rank, csv_cell(answer["label"]), answer["score"], record["known"], damage, ""]
        for rank, answer in enumerate(record["top"], start=1)
    ]


def _to_text(record: dict[str, Any], prediction: ClipPrediction | FailedClip) -> str:
    if isinstance(prediction, FailedClip):
        return f"error: {printable(record['error'])}"
    damage = f" ({prediction.damage})" if prediction.damage else ""
    verdict = ": none of my actions; it is most like" if record["none_of_my_actions"] else ""
    answers = "".join(f"\n  {100 * answer['score']:5.1f} %  {printable(answer['label'])}" for answer in record["top"])
    return f"{printable(record['source'])}{damage}{verdict}{answers}"


def _draw_strip(folder: Path, number: int, prediction: ClipPrediction, record: dict[str, Any]) -> None:
    from ..evaluation import plot_frame_strip  # takes as long to import as a clip to classify

    plot_frame_strip(
        folder / f"{number:04}-{Path(record['source'].split('?')[0]).stem}.png",
        prediction.frames,
        prediction.frame_shares(),
        prediction.seconds,
        [(answer["label"], answer["score"]) for answer in record["top"]],
        title=f"{Path(record['source']).name}: {record['top'][0]['label']}",
    )
