"""The model that a command was given."""

from __future__ import annotations

import argparse
import sys

from accelerate import PartialState

from .. import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from ..device_precision import describe, precision_name
from ..inference import leave_cores_to, load_model


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
