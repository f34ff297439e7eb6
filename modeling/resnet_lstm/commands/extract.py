"""Run the backbone over a dataset once and keep the frame features.

    resnet-lstm extract --dataset data/ucf101-25
    resnet-lstm extract --dataset data/ucf101-25 --backbone resnet-50/ --num-views 4
    accelerate launch -m resnet_lstm extract --dataset data/ucf101-25 --precision fp32

Training and evaluation then take seconds. It may be killed at any moment and run again: what is there is not computed
again.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from .. import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from ..accelerator import create_accelerator
from ..data import SPLITS, open_dataset
from ..device_precision import describe
from ..features import UNIFORM, FeatureCache, clip_files, extract_features, training_views
from ..plain_text import printable
from .parser import CommandParser, add_switch, positive
from .shared_options import add_backbone, add_computing_options, add_dataset


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("extract", "--dataset DATASET", __doc__)
    data = parser.add_argument_group("data")
    add_dataset(data, required=True)
    data.add_argument("--splits", nargs="+", default=SPLITS, choices=SPLITS, metavar="SPLIT", help="which")
    data.add_argument("--num-frames", type=positive, default=16, metavar="N", help="frames of a clip")
    data.add_argument(
        "--num-views", type=positive, default=1, metavar="N", help="views of a training clip, to augment by"
    )
    add_switch(data, "--flip", default=True, help="mirror none of these views")
    add_backbone(parser.add_argument_group("model"))
    add_computing_options(parser, "--batch-size", "--num-workers", "--precision", "--cache-dir")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    return make_parser().parse_args(arguments)


def run(args: argparse.Namespace) -> int:
    """Extract, and return 1 if a clip could not be read."""
    accelerator = create_accelerator()
    folder = open_dataset(args.dataset)
    model = ResNetLSTMForVideoClassification.from_backbone(args.backbone).resnet_lstm.to(accelerator.device)
    processor = ResNetLSTMVideoProcessor(num_frames=args.num_frames)
    cache = FeatureCache(args.cache_dir, model, processor, args.precision)
    accelerator.print(describe(accelerator.device, cache.precision))
    started = time.monotonic()
    failed: dict[Path, str] = {}
    damaged: dict[Path, str] = {}
    for split in args.splits:
        result = extract_features(
            model,
            processor,
            cache,
            clip_files(folder, split),
            training_views(args.num_views, args.flip) if split == "train" else [UNIFORM],
            batch_size=args.batch_size,
            num_workers=args.num_workers,
        )
        failed |= result.failed
        damaged |= result.damaged
        accelerator.print(f"{split}: {result.extracted} extracted, {result.cached} were there already")
    accelerator.print(f"{time.monotonic() - started:.1f} s, features in {cache.directory}")
    # A process that ends while it is still connected may take another one down with it.
    accelerator.wait_for_everyone()
    accelerator.end_training()
    for path, damage in damaged.items():
        print(f"read in part: {printable(path)}: {damage}", file=sys.stderr)
    for cause in failed.values():
        print(f"left out: {printable(cause)}", file=sys.stderr)
    return 1 if failed else 0
