"""Run the backbone over a dataset once and keep the frame features.

    resnet-lstm extract --dataset data/ucf101-25
    resnet-lstm extract --dataset data/ucf101-25 --backbone resnet-50/ --num-views 4
    accelerate launch -m resnet_lstm extract --dataset data/ucf101-25 --precision fp32

Training and evaluation then take seconds. It may be killed at any moment and run again: what is there is not computed
again.

A dataset in shards (WebDataset tars or Parquet, here or where fsspec reaches) is streamed and never lies on this disk;
its features go into shards, which train and evaluate take for --dataset. As many processes as are started, together or
one by one and on whatever machines, share the work:
    resnet-lstm extract --dataset 's3://bucket/clips/*.tar' --output features/
    resnet-lstm train --dataset features/ --output runs/mine
"""

from __future__ import annotations

import argparse
import sys
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
from accelerate import Accelerator

from .. import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from ..accelerator import create_accelerator
from ..data import SPLITS, ClipShards, names_shards, open_dataset
from ..data.clip_shards import is_repo_id
from ..device_precision import best_device, describe
from ..features import (
    UNIFORM,
    FeatureCache,
    ShardExtractor,
    clip_files,
    extract_features,
    extract_shards,
    extract_shards_by_ray,
    training_views,
)
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..plain_text import printable
from .parser import CommandParser, add_switch, positive
from .shared_options import add_backbone, add_computing_options, add_dataset


class _Done(NamedTuple):
    """Where features are, and what was made known of the clips."""

    place: Path
    damaged: dict[str, str]
    failed: dict[str, str]


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("extract", "--dataset DATASET", __doc__)
    data = parser.add_argument_group("data")
    add_dataset(
        data,
        required=True,
        help="made by `build`, any VideoFolder, shards (a folder, glob or URL), or the Hub id of either",
    )
    data.add_argument("--splits", nargs="+", default=SPLITS, choices=SPLITS, metavar="SPLIT", help="which")
    data.add_argument("--num-frames", type=positive, default=16, metavar="N", help="frames of a clip")
    data.add_argument(
        "--num-views", type=positive, default=1, metavar="N", help="views of a training clip, to augment by"
    )
    add_switch(data, "--flip", default=True, help="mirror none of these views")
    data.add_argument("--output", type=Path, metavar="DIR", help="of a dataset in shards: where its features go")
    data.add_argument(
        "--ray-workers",
        type=positive,
        metavar="N",
        help="of a dataset in shards: by N workers of the Ray cluster at $RAY_ADDRESS, or of one here",
    )
    add_backbone(parser.add_argument_group("model"))
    add_computing_options(parser, "--batch-size", "--num-workers", "--precision", "--cache-dir")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    # A repository may be either; whoever names an output takes it for shards, and streams it.
    of_hub = args.output is not None and is_repo_id(args.dataset) and not Path(args.dataset).exists()
    args.in_shards = of_hub or names_shards(args.dataset)
    if args.in_shards != (args.output is not None):
        parser.error("--output goes with a dataset in shards, and is required there; other features go to --cache-dir")
    if args.ray_workers and not args.in_shards:
        parser.error("--ray-workers goes with a dataset in shards")
    return args


def run(args: argparse.Namespace) -> int:
    """Extract, and return 1 if a clip could not be read."""
    accelerator = create_accelerator()
    extract = _into_shards if args.in_shards else _into_cache
    started = time.monotonic()
    place, damaged, failed = extract(args, accelerator)
    accelerator.print(f"{time.monotonic() - started:.1f} s, features in {place}")
    # A process that ends while it is still connected may take another one down with it.
    accelerator.wait_for_everyone()
    accelerator.end_training()
    if accelerator.is_main_process or not args.in_shards:
        for path, damage in damaged.items():
            print(f"read in part: {printable(path)}: {damage}", file=sys.stderr)
        for cause in failed.values():
            print(f"left out: {printable(cause)}", file=sys.stderr)
    return 1 if failed else 0


def _backbone_and_processor(
    args: argparse.Namespace, device: torch.device
) -> tuple[ResNetLSTMModel, ResNetLSTMVideoProcessor]:
    model = ResNetLSTMForVideoClassification.from_backbone(args.backbone).resnet_lstm.to(device)
    return model, ResNetLSTMVideoProcessor(num_frames=args.num_frames)


def _into_cache(args: argparse.Namespace, accelerator: Accelerator) -> _Done:
    model, processor = _backbone_and_processor(args, accelerator.device)
    folder = open_dataset(args.dataset)
    cache = FeatureCache(args.cache_dir, model, processor, args.precision)
    accelerator.print(describe(accelerator.device, cache.precision))
    done = _Done(cache.directory, {}, {})
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
        done.failed.update((str(path), cause) for path, cause in result.failed.items())
        done.damaged.update((str(path), damage) for path, damage in result.damaged.items())
        accelerator.print(f"{split}: {result.extracted} extracted, {result.cached} were there already")
    return done


def _into_shards(args: argparse.Namespace, accelerator: Accelerator) -> _Done:
    if args.ray_workers:
        result = extract_shards_by_ray(partial(_extractor, args), args.ray_workers)
        print(f"{result.extracted} shards extracted by {args.ray_workers} workers")
        return _Done(args.output, result.damaged, result.failed)
    extractor = _extractor(args, accelerator.device)
    accelerator.print(describe(accelerator.device, extractor.precision))
    result = extract_shards(
        extractor, process_index=accelerator.process_index, num_processes=accelerator.num_processes
    )
    print(f"{result.extracted} of {len(extractor.shards)} shards extracted by this process")
    return _Done(args.output, result.damaged, result.failed)


def _extractor(args: argparse.Namespace, device: torch.device | None = None) -> ShardExtractor:
    """On a device; by default on the best one of the process that calls it."""
    views = training_views(args.num_views, args.flip)
    return ShardExtractor(
        *_backbone_and_processor(args, device or best_device()),
        ClipShards.open(args.dataset),
        args.output,
        # Clips that validate are trained on in the end.
        {split: [UNIFORM] if split == "test" else views for split in args.splits},
        precision=args.precision,
        batch_size=args.batch_size,
        num_workers=args.num_workers,
    )
