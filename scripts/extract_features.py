"""Run the backbone over a dataset once and keep the frame features; training and evaluation then take seconds.

    python scripts/extract_features.py --dataset data/ucf101-25
    python scripts/extract_features.py --dataset data/ucf101-25 --backbone resnet-50/ --num-views 4
    accelerate launch scripts/extract_features.py --dataset data/ucf101-25 --precision fp32

It may be killed at any moment and run again: what is there is not computed again.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from pathlib import Path

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.accelerator import create_accelerator
from resnet_lstm.data import SPLITS, VideoFolder
from resnet_lstm.device_precision import PRECISIONS, describe
from resnet_lstm.features import (
    UNIFORM,
    FeatureCache,
    clip_files,
    default_cache_dir,
    extract_features,
    training_views,
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="made by build_dataset.py")
    parser.add_argument(
        "--backbone",
        default=os.environ.get("RESNET50_PATH", "microsoft/resnet-50"),
        metavar="DIR_OR_ID",
        help="ResNet in the layout of microsoft/resnet-50 (default: the variable RESNET50_PATH, else that model)",
    )
    parser.add_argument("--num-frames", type=int, default=16, help="frames of a clip (default: %(default)s)")
    parser.add_argument(
        "--num-views", type=int, default=1, help="views of a training clip, to augment by (default: %(default)s)"
    )
    parser.add_argument("--no-flip", action="store_true", help="mirror none of these views")
    parser.add_argument("--splits", nargs="+", default=SPLITS, choices=SPLITS, help="default: all")
    parser.add_argument("--batch-size", type=int, help="clips at a time (default: 1 on a CPU, 32 on a GPU)")
    parser.add_argument("--num-workers", type=int, help="processes that decode (default: for a GPU one for each core)")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the backbone (default: auto)")
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="default: %(default)s")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    try:
        accelerator = create_accelerator()
        folder = VideoFolder.open(args.dataset)
        model = ResNetLSTMForVideoClassification.from_backbone(args.backbone).resnet_lstm.to(accelerator.device)
        processor = ResNetLSTMVideoProcessor(num_frames=args.num_frames)
        cache = FeatureCache(args.cache_dir, model, processor, args.precision)
        accelerator.print(describe(accelerator.device, cache.precision))
        started = time.monotonic()
        failed: dict[Path, str] = {}
        for split in args.splits:
            result = extract_features(
                model,
                processor,
                cache,
                clip_files(folder, split),
                training_views(args.num_views, not args.no_flip) if split == "train" else [UNIFORM],
                batch_size=args.batch_size,
                num_workers=args.num_workers,
            )
            failed |= result.failed
            accelerator.print(f"{split}: {result.extracted} extracted, {result.cached} were there already")
        accelerator.print(f"{time.monotonic() - started:.1f} s, features in {cache.directory}")
        # A process that ends while it is still connected may take another one down with it.
        accelerator.wait_for_everyone()
        accelerator.end_training()
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for cause in failed.values():
        print(f"left out: {cause}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
