"""The options that several commands take: the same name, meaning and default in all of them."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import Any

from ..cache_location import default_cache_dir
from ..data import DatasetError, VideoFolder, names_shards, open_dataset
from ..device_precision import PRECISIONS
from ..features import DEFAULT_BUFFER_BYTES, FeatureShards, is_feature_shards
from ..inference import RUNTIMES
from .parser import CommandParser, positive

DEFAULT_BACKBONE = "microsoft/resnet-50"

# How a command computes, as opposed to what. Each takes those of these that mean something to it.
COMPUTING: dict[str, dict[str, Any]] = {
    "--batch-size": {"type": positive, "metavar": "N", "help": "clips at a time (default: CPU 1, GPU 32)"},
    "--num-workers": {
        "type": int,
        "metavar": "N",
        "help": "that decode (default: CPU 0, GPU one a core)",
    },
    "--precision": {
        "choices": PRECISIONS,
        "default": "auto",
        "metavar": "NAME",
        "help": "fp32, bf16, fp16; auto: the best",
    },
    "--runtime": {"choices": RUNTIMES, "default": "torch", "help": "onnx and openvino: made by `export`"},
    "--int8": {"action": "store_true", "help": "with --runtime: the export that computes with 8-bit integers"},
    "--cache-dir": {
        "type": Path,
        "metavar": "DIR",
        "help": "default: $RESNET_LSTM_CACHE or in ~/.cache",
    },
}


def add_computing_options(parser: CommandParser, *names: str) -> None:
    """The group of options on how the command computes: those of `COMPUTING` that are named."""
    group = parser.add_argument_group("computing")
    for name in names:
        group.add_argument(name, **COMPUTING[name])
    if "--cache-dir" in names:
        parser.set_defaults(cache_dir=default_cache_dir())


def add_model(parser: CommandParser) -> None:
    """The model, by its place."""
    parser.add_argument("model", metavar="MODEL", help="directory or Hub id")


def add_dataset(group: Any, *, required: bool = False, may_be_second: bool = False, help: str | None = None) -> None:
    """The dataset.

    Args:
        group: A parser or a group of one.
        required: Whether the command does nothing without one.
        may_be_second: Whether it may also follow the model, unshown, without `--dataset`.
        help: What it is, where that is not plain.
    """
    ways = group.add_mutually_exclusive_group(required=required)
    ways.add_argument("--dataset", metavar="DATASET", help=help or "made by `build`, a VideoFolder or a Hub id")
    if may_be_second:
        ways.add_argument("dataset", nargs="?", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


def add_shuffle_buffer(group: Any, *, is_shown: bool = True) -> None:
    """What is held of a dataset that is features in shards, in GiB."""
    help = "of features in shards: what is held, and shuffled, at a time"
    group.add_argument(
        "--shuffle-buffer",
        type=_gibibytes,
        default=DEFAULT_BUFFER_BYTES / 2**30,
        metavar="GIB",
        help=help if is_shown else argparse.SUPPRESS,
    )


def open_clips_or_features(args: argparse.Namespace) -> VideoFolder:
    """The dataset of a command that works on features: clips, or features in shards that `extract` has made.

    Args:
        args: With `dataset` and `shuffle_buffer`.

    Raises:
        DatasetError: There is no such dataset, or it is clips in shards.
    """
    if not names_shards(args.dataset):
        return open_dataset(args.dataset)
    if not is_feature_shards(args.dataset):
        raise DatasetError(
            f"{args.dataset}: clips in shards. Make features of them first: resnet-lstm extract --dataset "
            f"'{args.dataset}' --output DIR. Then --dataset DIR."
        )
    return FeatureShards.open(args.dataset, math.ceil(args.shuffle_buffer * 2**30))


def _gibibytes(text: str) -> float:
    """The type of a size in GiB."""
    try:
        size = float(text)
    except ValueError:
        size = 0.0
    if not 0 < size < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: must be a number of GiB, more than 0")
    return size


def add_backbone(group: Any) -> None:
    """The backbone."""
    group.add_argument(
        "--backbone",
        default=os.environ.get("RESNET50_PATH", DEFAULT_BACKBONE),
        metavar="DIR_OR_ID",
        help=f"default: $RESNET50_PATH or {DEFAULT_BACKBONE}",
    )


def add_answer_files(group: Any) -> None:
    """The two files that answers are written to."""
    group.add_argument("--json", type=Path, metavar="FILE", help="write one JSON object a line")
    group.add_argument("--csv", type=Path, metavar="FILE", help="write a table")
