"""Say what is happening in front of a camera, as it happens.

    resnet-lstm live runs/ucf101-25 0                   # the first webcam
    resnet-lstm live runs/ucf101-25 rtsp://camera.local/stream
    resnet-lstm live runs/ucf101-25 clip.mp4            # a file, as fast as it goes

Stop it with Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
from pathlib import Path

from ..inference import NO_KNOWN_ACTION, LiveSession, open_live
from .loaded_model import load_for
from .parser import CommandParser
from .shared_options import add_computing_options, add_model


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("live", "MODEL SOURCE", __doc__)
    add_model(parser)
    parser.add_argument("source", metavar="SOURCE", help="number of a webcam, URL of a stream, or file")
    answer = parser.add_argument_group("answers")
    answer.add_argument("--fps", type=float, metavar="X", help="frames a second to look at (default: as trained)")
    answer.add_argument(
        "--half-life", type=float, metavar="SECONDS", help="when a frame counts half (default: by a clip's length)"
    )
    answer.add_argument(
        "--min-known", type=float, metavar="X", help="below it none of the actions is there (default: the model's own)"
    )
    answer.add_argument("--json", type=Path, metavar="FILE", help="write one JSON object a frame")
    add_computing_options(parser, "--precision", "--runtime", "--int8")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    return make_parser().parse_args(arguments)


def run(args: argparse.Namespace) -> int:
    """Follow the source until it ends or Ctrl-C is pressed."""
    with contextlib.suppress(KeyboardInterrupt):
        _follow(args)
    return 0


def _follow(args: argparse.Namespace) -> None:
    model, processor = load_for(args)
    session = LiveSession(model, processor, half_life_seconds=args.half_life)
    with contextlib.ExitStack() as stack:
        json_file = stack.enter_context(args.json.open("w", encoding="utf-8")) if args.json else None
        stack.callback(print)  # leaves the moving line
        for frame in stack.enter_context(open_live(args.source, args.fps or session.frames_per_second)):
            prediction = session.update(frame.picture, frame.seconds)
            top = [(model.config.id2label[i], float(prediction.scores[i])) for i in prediction.top_k(3)]
            answers = "  ".join(f"{label} {100 * score:.0f} %" for label, score in top)
            if prediction.is_unknown(model.config, args.min_known):
                answers = f"{NO_KNOWN_ACTION} ({answers})"
            line = f"{frame.seconds:8.1f} s  {answers}"
            width = shutil.get_terminal_size().columns - 1
            print(f"\r{line[:width]:<{width}}", end="", flush=True)
            if json_file:
                record = {
                    "seconds": round(frame.seconds, 3),
                    "known": prediction.known_score,
                    "top": [{"label": label, "score": score} for label, score in top],
                }
                json_file.write(json.dumps(record, ensure_ascii=False) + "\n")
