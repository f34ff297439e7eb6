"""Show versions and devices, for a bug report.

    resnet-lstm env

Paste what it prints into the report.
"""

from __future__ import annotations

import argparse
import platform
from importlib.metadata import PackageNotFoundError, version

from .. import __version__
from ..device_precision import backbone_dtype, best_device, describe, precision_name
from .parser import CommandParser

# What the package computes with, and what it can use where it is installed.
PACKAGES = (
    *("torch", "torchvision", "transformers", "accelerate", "datasets", "huggingface_hub", "av", "numpy"),
    *("scikit-learn", "safetensors", "gradio", "onnxruntime", "openvino", "nncf", "peft", "tensorboard"),
)


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """Nothing but --help."""
    return CommandParser.of("env", "", __doc__).parse_args(arguments)


def run(args: argparse.Namespace) -> int:
    """Print them."""
    device = best_device()
    facts = {
        "resnet-lstm": __version__,
        "Python": platform.python_version(),
        "system": platform.platform(),
        "device": describe(device, precision_name(backbone_dtype("auto", device))),
        **{name: _version(name) for name in PACKAGES},
    }
    for name, value in facts.items():
        print(f"{name:16} {value}")
    return 0


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
