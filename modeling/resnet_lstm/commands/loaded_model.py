"""The model that a command was given."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from accelerate import Accelerator, PartialState

from .. import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from ..accelerator import create_accelerator, found_by_first
from ..device_precision import describe, precision_name
from ..inference import find_sources, leave_cores_to, load_model


def load_for(args: argparse.Namespace) -> tuple[ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor]:
    """Load a command's model and its processor, and say on stderr, where no answer goes, what computes and how.

    Args:
        args: With `model`, `runtime`, `int8` and `precision`, as `load_model` takes them.
    """
    model, processor = load_model(args.model, runtime=args.runtime, int8=args.int8, precision=args.precision)
    device = describe(model.device, precision_name(model.resnet_lstm.inference_dtype or model.dtype))
    leave_cores_to(args.runtime)
    runtime = "" if args.runtime == "torch" else f"{args.runtime} on "
    if PartialState().is_main_process:
        print(f"{runtime}{device}{' and int8' if args.int8 else ''}", file=sys.stderr)
    return model, processor


def share_sources(
    args: argparse.Namespace,
) -> tuple[Accelerator, list[str], ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor]:
    """What the processes of a run share the sources of a command with: all of these, and the model for them."""
    # First of all: it gives each of several processes its own GPU.
    accelerator = create_accelerator()
    sources = found_by_first(partial(find_sources, args.sources))
    return accelerator, sources, *load_for(args)
