"""Score a model on a split of a dataset, with intervals over groups and the split's leakage beside every figure.

    python scripts/evaluate.py runs/ucf101-25 data/ucf101-25
    python scripts/evaluate.py user/model data/mine --split validation --output evaluation/
    python scripts/evaluate.py runs/ucf101-25 data/ucf101-25 --test-time
    python scripts/evaluate.py runs/ucf101-25 data/ucf101-25 --runtime openvino --int8
    python scripts/evaluate.py runs/ucf101-25 data/ucf101-25 --timeline --unknown clips-of-other-actions/

Unless it was trained with --no_refit, a model has been trained on the validation clips too: their figures are then too
good. Writes metrics.json, predictions.csv, per_class.csv, confusion_matrix.csv and the pictures; with --test-time,
instead of these, what more or fewer frames, several readings and mirror images score and cost: test_time.json,
test_time.csv, test_time.md and test_time.png; with --timeline, instead of these, how well it says what happens when in
long videos, joined from the split's clips with clips of unknown actions between them: localisation.json,
localisation.csv and localisation.png.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from resnet_lstm.data import SPLITS, open_dataset
from resnet_lstm.device_precision import PRECISIONS
from resnet_lstm.evaluation.evaluate_model import evaluate_model
from resnet_lstm.evaluation.joined_videos import join_clips, known_clips, unknown_clips
from resnet_lstm.evaluation.localisation import evaluate_timelines
from resnet_lstm.evaluation.test_time import price_readings, readings_markdown, write_readings
from resnet_lstm.features import FeatureCache, default_cache_dir
from resnet_lstm.inference import RUNTIMES, leave_cores_to, load_model


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", metavar="MODEL", help="directory or Hub id")
    parser.add_argument("dataset", metavar="DATASET", help="made by build_dataset.py, or its Hub id")
    parser.add_argument("--split", choices=SPLITS, default="test", help="default: %(default)s")
    parser.add_argument("--output", type=Path, metavar="DIR", help="default: MODEL/evaluation-SPLIT")
    parser.add_argument("--test-time", action="store_true", help="price more and fewer frames, and other readings")
    parser.add_argument("--timeline", action="store_true", help="score the timelines of long videos joined from clips")
    parser.add_argument(
        "--unknown",
        type=Path,
        metavar="DIR",
        help="with --timeline: a VideoFolder or folders of clips; those of classes that the model does not know go in",
    )
    parser.add_argument("--fps", type=float, help="with --timeline: frames a second (default: as trained)")
    parser.add_argument("--seed", type=int, default=0, help="with --timeline: of the order of the clips")
    parser.add_argument("--batch-size", type=int, help="clips at a time (default: 1 on a CPU, 32 on a GPU)")
    parser.add_argument("--num-workers", type=int, help="processes that decode (default: for a GPU one for each core)")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the backbone (default: auto)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="default: %(default)s")
    parser.add_argument(
        "--runtime", choices=RUNTIMES, default="torch", help="onnx and openvino: made by export.py; not cached"
    )
    parser.add_argument("--int8", action="store_true", help="the export that computes with 8-bit integers")
    parser.add_argument("--no-cache", action="store_true", help="pass every clip through the whole model")
    args = parser.parse_args(arguments)
    if args.runtime != "torch":
        args.no_cache = True  # it holds what PyTorch computes
    if args.test_time and args.no_cache:
        parser.error("--test-time reads cached features: leave --no-cache and --runtime out")
    if args.test_time and args.timeline:
        parser.error("--test-time and --timeline are two evaluations: choose one")
    if args.unknown and not args.timeline:
        parser.error("--unknown is of --timeline")
    if args.output is None:
        if not Path(args.model).is_dir():
            parser.error("--output is required with a model of the Hub")
        runtime = "" if args.runtime == "torch" else f"-{args.runtime}{'-int8' if args.int8 else ''}"
        args.output = Path(args.model) / f"evaluation-{args.split}{runtime}"
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    try:
        model, processor = load_model(args.model, runtime=args.runtime, int8=args.int8, precision=args.precision)
        leave_cores_to(args.runtime)
        if args.test_time:
            folder = open_dataset(args.dataset)
            priced = price_readings(
                model,
                processor,
                folder,
                args.split,
                args.cache_dir,
                batch_size=args.batch_size,
                num_workers=args.num_workers,
            )
            facts = {"model": Path(args.model).name, "dataset": folder.info.get("name"), "split": args.split}
            write_readings(priced, facts, args.output)
            print(readings_markdown(priced))
            return 0
        cache = None if args.no_cache else FeatureCache.of_model(args.cache_dir, model.resnet_lstm, processor)
        folder = open_dataset(args.dataset)
        report = evaluate_model(
            model,
            processor,
            folder,
            args.split,
            cache=cache,
            batch_size=args.batch_size,
            num_workers=args.num_workers,
            model_name=Path(args.model).name,
        )
        if args.timeline:
            unknown = unknown_clips(args.unknown, folder.labels) if args.unknown else []
            videos = join_clips(known_clips(folder, args.split), unknown, args.cache_dir, seed=args.seed)
            localisation = evaluate_timelines(
                model, processor, videos, clip_accuracy=report.metrics.top1, fps=args.fps
            )
            localisation.write(args.output)
            summary = localisation.summary()
        else:
            report.write(args.output)
            summary = report.summary()
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(summary)
    print(f"\nfigures and pictures: {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
