"""Score a model on a split of a dataset, with intervals over groups and the split's leakage beside every figure.

    resnet-lstm evaluate runs/ucf101-25 --dataset data/ucf101-25
    resnet-lstm evaluate user/model --dataset data/mine --split validation --output evaluation/
    resnet-lstm evaluate runs/ucf101-25 --dataset data/ucf101-25 --test-time
    resnet-lstm evaluate runs/ucf101-25 --dataset data/ucf101-25 --runtime openvino --int8
    resnet-lstm evaluate runs/ucf101-25 --dataset data/ucf101-25 --timeline --unknown clips-of-other-actions/

Unless it was trained with --no-refit, a model has been trained on the validation clips too: their figures are then too
good. Writes metrics.json, predictions.csv, per_class.csv, confusion_matrix.csv and the pictures; with --test-time,
instead of these, what more or fewer frames, several readings and mirror images score and cost: test_time.json,
test_time.csv, test_time.md and test_time.png; with --timeline, instead of these, how well it says what happens when in
long videos, joined from the split's clips with clips of unknown actions between them: localisation.json,
localisation.csv and localisation.png.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .. import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from ..accelerator import create_accelerator, end_together
from ..data import SPLITS, DatasetError, VideoFolder
from ..device_precision import precision_name
from ..evaluation.evaluate_model import evaluate_model
from ..evaluation.joined_videos import join_clips, known_clips, unknown_clips
from ..evaluation.localisation import evaluate_timelines
from ..evaluation.test_time import price_readings, readings_markdown, write_readings
from ..features import FeatureCache, FeatureShards
from .loaded_model import load_for
from .parser import CommandParser
from .shared_options import (
    add_computing_options,
    add_dataset,
    add_model,
    add_shuffle_buffer,
    open_clips_or_features,
)


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("evaluate", "MODEL --dataset DATASET", __doc__)
    add_model(parser)
    data = parser.add_argument_group("data")
    add_dataset(data, required=True, may_be_second=True)
    data.add_argument("--split", choices=SPLITS, default="test", help="which")
    add_shuffle_buffer(data)
    result = parser.add_argument_group("result")
    result.add_argument("--output", type=Path, metavar="DIR", help="default: MODEL/evaluation-SPLIT")
    result.add_argument("--test-time", action="store_true", help="price more and fewer frames, and other readings")
    result.add_argument("--timeline", action="store_true", help="score timelines of long videos joined from clips")
    timeline = parser.add_argument_group("with --timeline")
    timeline.add_argument(
        "--unknown",
        type=Path,
        metavar="DIR",
        help="a VideoFolder or folders of clips; those of classes that the model does not know go in",
    )
    timeline.add_argument("--fps", type=float, metavar="X", help="frames a second (default: as trained)")
    timeline.add_argument("--seed", type=int, default=0, metavar="N", help="of the order of the clips")
    add_computing_options(parser, "--batch-size", "--num-workers", "--precision", "--runtime", "--int8", "--cache-dir")
    parser.add_argument("--no-cache", action="store_true", help="pass every clip through the whole model")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    parser = make_parser()
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


def run(args: argparse.Namespace) -> int:
    """Evaluate, and print a summary."""
    # First of all: it gives each of several processes its own GPU.
    accelerator = create_accelerator()
    if accelerator.num_processes > 1 and (args.test_time or args.timeline):
        raise ValueError("--test-time and --timeline take times, or one long video: start one process for them.")
    model, processor = load_for(args)
    folder = open_clips_or_features(args)
    if isinstance(folder, FeatureShards) and (args.test_time or args.timeline or args.no_cache):
        raise DatasetError(f"{args.dataset}: holds features and no clips. What is asked for needs a VideoFolder.")
    feeding = {"batch_size": args.batch_size, "num_workers": args.num_workers}
    if args.test_time:
        priced = price_readings(model, processor, folder, args.split, args.cache_dir, **feeding)
        facts = {"model": Path(args.model).name, "dataset": folder.info.get("name"), "split": args.split}
        write_readings(priced, facts, args.output)
        print(readings_markdown(priced))
        return 0
    cache = _cache(args, folder, model, processor)
    name = Path(args.model).name
    report = evaluate_model(
        model, processor, folder, args.split, cache=cache, model_name=name, distributed=True, **feeding
    )
    if args.timeline:
        unknown = unknown_clips(args.unknown, folder.labels) if args.unknown else []
        videos = join_clips(known_clips(folder, args.split), unknown, args.cache_dir, seed=args.seed)
        localisation = evaluate_timelines(model, processor, videos, clip_accuracy=report.metrics.top1, fps=args.fps)
        localisation.write(args.output)
        print(localisation.summary())
    elif accelerator.is_main_process:
        report.write(args.output)
        print(report.summary())
    accelerator.print(f"\nfigures and pictures: {args.output}")
    end_together(accelerator)
    return 0


def _cache(
    args: argparse.Namespace,
    folder: VideoFolder,
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
) -> FeatureCache | FeatureShards | None:
    if isinstance(folder, FeatureShards):
        base = model.resnet_lstm
        folder.check_made_by(base, processor, precision_name(base.inference_dtype or base.backbone.dtype))
        return folder
    return None if args.no_cache else FeatureCache.of_model(args.cache_dir, model.resnet_lstm, processor)
