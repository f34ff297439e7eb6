"""Say what is happening in front of a camera, as it happens.

    python scripts/live.py runs/ucf101-25 0                              # the first webcam
    python scripts/live.py runs/ucf101-25 rtsp://camera.local/stream
    python scripts/live.py runs/ucf101-25 clip.mp4                       # a file, as fast as it goes

Stop it with Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import shutil
import sys
from pathlib import Path

from resnet_lstm.device_precision import PRECISIONS
from resnet_lstm.inference import NO_KNOWN_ACTION, RUNTIMES, LiveSession, leave_cores_to, load_model, open_live


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="directory or Hub id")
    parser.add_argument("source", metavar="SOURCE", help="number of a webcam, URL of a stream, or file")
    parser.add_argument("--fps", type=float, help="frames a second to look at (default: as the model was trained)")
    parser.add_argument(
        "--half-life", type=float, metavar="SECONDS", help="when a frame counts half (default: by a clip's length)"
    )
    parser.add_argument(
        "--min-known", type=float, help="below it none of the actions is there (default: the model's own)"
    )
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default="torch", help="onnx and openvino: made by export.py (default: torch)"
    )
    parser.add_argument("--int8", action="store_true", help="the export that computes with 8-bit integers")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the backbone (default: auto)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write one JSON object a frame")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    try:
        model, processor = load_model(args.model, runtime=args.runtime, int8=args.int8, precision=args.precision)
        leave_cores_to(args.runtime)
        session = LiveSession(model, processor, half_life_seconds=args.half_life)
        min_known = model.config.known_threshold if args.min_known is None else args.min_known
        with contextlib.ExitStack() as stack:
            json_file = stack.enter_context(args.json.open("w", encoding="utf-8")) if args.json else None
            stack.callback(print)  # leaves the moving line
            for frame in stack.enter_context(open_live(args.source, args.fps or session.frames_per_second)):
                prediction = session.update(frame.picture, frame.seconds)
                top = [(model.config.id2label[i], float(prediction.scores[i])) for i in prediction.top_k(3)]
                answers = "  ".join(f"{label} {100 * score:.0f} %" for label, score in top)
                if prediction.is_unknown(min_known):
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
    except KeyboardInterrupt:
        return 0
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
