"""Say what happens in clips.

    python scripts/predict.py runs/ucf101-25 clip.mp4
    python scripts/predict.py user/model clips/ https://example.org/clip.webm --csv answers.csv --json answers.jsonl
    python scripts/predict.py runs/ucf101-25 clip.mp4 --strip strips/
    python scripts/predict.py runs/ucf101-25 match.mp4 --timeline --csv actions.csv --plot actions.png
    python scripts/predict.py runs/ucf101-25 match.mp4 --timeline --annotate match-annotated.mp4
    python scripts/predict.py runs/ucf101-25 clip.mp4 --runtime openvino --int8

Where the model knows what it does not know, a clip that is probably none of its actions is said to be so.
With --timeline a video is no clip of one action: it is said what happens in it, and when.
Exit status: 0 all clips were read, 1 some were not (each is reported, the others are done), 2 nothing could be done.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import gc
import json
import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

# What the libraries make while they load is there to stay: to look through it for garbage, again and again, takes half
# as long as all the rest, and once more at the end.
gc.disable()

from tqdm.auto import tqdm  # noqa: E402

from resnet_lstm import (  # noqa: E402
    ResNetLSTMConfig,
    ResNetLSTMForVideoClassification,
    ResNetLSTMVideoProcessor,
    VideoDecodingError,
)
from resnet_lstm.device_precision import PRECISIONS  # noqa: E402
from resnet_lstm.inference import (  # noqa: E402
    RUNTIMES,
    ClipPrediction,
    FailedClip,
    annotate_video,
    find_sources,
    label_timeline,
    leave_cores_to,
    load_model,
    predict_clips,
)

gc.freeze()
gc.enable()


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="directory or Hub id")
    parser.add_argument("sources", nargs="+", metavar="CLIP", help="clip, folder of clips, or URL")
    parser.add_argument("--top-k", type=positive, default=5, help="how many answers (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write one JSON object a line, frames included")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write one row a clip and answer")
    parser.add_argument("--strip", type=Path, metavar="DIR", help="draw each clip's frames with their share")
    parser.add_argument("--batch-size", type=int, help="clips at a time (default: 1 on a CPU, 32 on a GPU)")
    parser.add_argument("--num-workers", type=int, help="processes that decode (default: for a GPU one for each core)")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the backbone (default: auto)")
    parser.add_argument("--anytime", action="store_true", help="read no more frames than it takes to be sure")
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default="torch", help="onnx and openvino: made by export.py (default: torch)"
    )
    parser.add_argument("--int8", action="store_true", help="the export that computes with 8-bit integers")
    timeline = parser.add_argument_group("timeline of long videos")
    timeline.add_argument("--timeline", action="store_true", help="say what happens when, not once for all")
    timeline.add_argument("--fps", type=float, help="frames a second to look at (default: as the model was trained)")
    timeline.add_argument("--min-score", type=float, default=0.2, help="below it an action is none that is known")
    timeline.add_argument(
        "--min-known", type=float, help="nor is any where one is less probable than this (default: the model's own)"
    )
    timeline.add_argument("--plot", type=Path, metavar="FILE", help="draw the actions over time")
    timeline.add_argument("--annotate", type=Path, metavar="FILE", help="write the video with the actions in it")
    args = parser.parse_args(arguments)
    if not args.timeline and (args.fps or args.plot or args.annotate):
        parser.error("--fps, --plot and --annotate are of a timeline: add --timeline")
    if args.timeline and args.strip:
        parser.error("--strip draws the frames of a clip, which a timeline has none of: use --plot")
    return args


def positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be 1 or more")
    return int(text)


def to_record(prediction: ClipPrediction | FailedClip, config: ResNetLSTMConfig, top_k: int) -> dict[str, Any]:
    if isinstance(prediction, FailedClip):
        return {"source": prediction.source, "error": prediction.error}
    scores, shares, id2label = prediction.scores, prediction.frame_shares(), config.id2label
    return {
        "source": prediction.source,
        "known": None if prediction.known_score is None else round(prediction.known_score, 6),
        "none_of_my_actions": prediction.is_unknown(config.known_threshold),
        "top": [{"label": id2label[i], "score": round(float(scores[i]), 6)} for i in prediction.top_k(top_k)],
        "frames": [
            {"seconds": round(float(second), 3), "share": round(float(share), 6)}
            for second, share in zip(prediction.seconds, shares, strict=True)
        ],
    }


def write_csv_rows(file: TextIO, record: dict[str, Any]) -> None:
    writer = csv.writer(file)
    if "error" in record:
        writer.writerow([record["source"], "", "", "", "", record["error"]])
    for rank, answer in enumerate(record.get("top", ()), start=1):
        writer.writerow([record["source"], rank, answer["label"], answer["score"], record["known"], ""])


def to_text(record: dict[str, Any]) -> str:
    if "error" in record:
        return f"error: {record['error']}"
    verdict = ": none of my actions; the nearest would be" if record["none_of_my_actions"] else ""
    answers = "".join(f"\n  {100 * answer['score']:5.1f} %  {answer['label']}" for answer in record["top"])
    return f"{record['source']}{verdict}{answers}"


def strip_path(folder: Path, number: int, source: str) -> Path:
    return folder / f"{number:04}-{Path(source.split('?')[0]).stem}.png"


def label_videos(
    args: argparse.Namespace,
    sources: list[str],
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
) -> int:
    """Write the timelines of all videos, and return how many could not be read."""
    if len(sources) > 1 and (args.plot or args.annotate):
        raise ValueError(f"{len(sources)} videos were given: --plot and --annotate take one.")
    num_failed = 0
    with contextlib.ExitStack() as stack:
        json_file = stack.enter_context(args.json.open("w", encoding="utf-8")) if args.json else None
        csv_file = stack.enter_context(args.csv.open("w", encoding="utf-8", newline="")) if args.csv else None
        if csv_file:
            csv.writer(csv_file).writerow(["source", "action", "start", "end", "score", "error"])
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
                print(f"error: {error}", file=sys.stderr)
                if json_file:
                    json_file.write(json.dumps({"source": source, "error": str(error)}, ensure_ascii=False) + "\n")
                if csv_file:
                    csv.writer(csv_file).writerow([source, "", "", "", "", error])
                continue
            print(source)
            for segment in timeline.segments:
                span = f"{clock(segment.start_seconds)} - {clock(segment.end_seconds)}"
                print(f"  {span}  {100 * segment.score:5.1f} %  {segment.name}")
            if json_file:
                json_file.write(json.dumps({"source": source, **timeline.to_dict()}, ensure_ascii=False) + "\n")
            if csv_file:
                for row in timeline.to_dict()["segments"]:
                    columns = [row["label"] or "", row["start"], row["end"], row["score"], ""]
                    csv.writer(csv_file).writerow([source, *columns])
            if args.plot:
                from resnet_lstm.evaluation import plot_timeline  # takes as long to import as a clip to classify

                plot_timeline(args.plot, timeline, title=Path(source).name)
            if args.annotate:
                with progress_bar(f"writing {args.annotate.name}") as progress:
                    annotate_video(source, timeline, args.annotate, progress=progress)
    return num_failed


@contextlib.contextmanager
def progress_bar(description: str) -> Iterator[Callable[[float, float | None], None]]:
    """A bar over the seconds of a video; it shows the time left where the video's duration is known."""
    with tqdm(desc=description, unit="s") as bar:

        def update(seconds: float, total_seconds: float | None) -> None:
            bar.total = total_seconds and round(max(total_seconds, seconds))
            bar.update(round(seconds) - bar.n)

        yield update


def clock(seconds: float) -> str:
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02}:{rest:04.1f}"


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    num_failed = 0
    try:
        sources = find_sources(args.sources)
        model, processor = load_model(args.model, runtime=args.runtime, int8=args.int8, precision=args.precision)
        leave_cores_to(args.runtime)
        if args.timeline:
            return 1 if label_videos(args, sources, model, processor) else 0
        if args.strip:
            from resnet_lstm.evaluation import plot_frame_strip  # takes as long to import as a clip to classify

            args.strip.mkdir(parents=True, exist_ok=True)
        predictions = predict_clips(
            model,
            processor,
            sources,
            batch_size=args.batch_size,
            num_workers=args.num_workers,
            anytime=args.anytime,
        )
        with contextlib.ExitStack() as stack:
            json_file = stack.enter_context(args.json.open("w", encoding="utf-8")) if args.json else None
            csv_file = stack.enter_context(args.csv.open("w", encoding="utf-8", newline="")) if args.csv else None
            if csv_file:
                csv.writer(csv_file).writerow(["source", "rank", "label", "score", "known", "error"])
            bar = tqdm(predictions, total=len(sources), unit="clip", disable=len(sources) == 1)
            for number, prediction in enumerate(bar, start=1):
                record = to_record(prediction, model.config, args.top_k)
                num_failed += "error" in record
                bar.write(to_text(record), file=sys.stderr if "error" in record else sys.stdout)
                if json_file:
                    json_file.write(json.dumps(record, ensure_ascii=False) + "\n")
                if csv_file:
                    write_csv_rows(csv_file, record)
                if args.strip and isinstance(prediction, ClipPrediction):
                    plot_frame_strip(
                        strip_path(args.strip, number, record["source"]),
                        prediction.frames,
                        prediction.frame_shares(),
                        prediction.seconds,
                        [(answer["label"], answer["score"]) for answer in record["top"]],
                        title=f"{Path(record['source']).name}: {record['top'][0]['label']}",
                    )
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if num_failed:
        print(f"{num_failed} of {len(sources)} clips could not be read", file=sys.stderr)
    return 1 if num_failed else 0


if __name__ == "__main__":
    sys.exit(main())
