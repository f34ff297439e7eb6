"""Export a model for OpenVINO or ONNX Runtime, whole, for any number of clips and frames.

    resnet-lstm export runs/ucf101-25 --format openvino
    resnet-lstm export runs/ucf101-25 --format openvino --int8 --dataset data/ucf101-25
    resnet-lstm export runs/ucf101-25 --format onnx

The graph goes into the model's directory, onnx/model.onnx or openvino/openvino_model.xml and .bin, "_int8" behind the
name of the one that computes with 8-bit integers. Beside it a JSON file says what it was made from, how near it comes
to PyTorch, and what goes in and out. `predict --runtime` runs it; so does anything else, without Python. When the
model is trained again, export it again: a stale export is refused.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..data import open_dataset
from ..exporting import ExportSettings, export_model
from ..inference import EXPORT_FORMATS, Export
from .parser import CommandParser, positive
from .shared_options import add_dataset


def make_parser() -> CommandParser:
    """The command's options."""
    defaults = ExportSettings()
    parser = CommandParser.of("export", f"MODEL --format {{{','.join(EXPORT_FORMATS)}}}", __doc__)
    parser.add_argument("model", type=Path, metavar="MODEL", help="directory")
    graph = parser.add_argument_group("graph")
    graph.add_argument("--format", choices=EXPORT_FORMATS, required=True, help="which runtime")
    graph.add_argument("--int8", action="store_true", help="the backbone in 8-bit integers; needs --dataset")
    data = parser.add_argument_group("data")
    add_dataset(data, help="calibrate and check on its clips (default: check on generated ones)")
    data.add_argument(
        "--calibration-clips",
        type=positive,
        default=defaults.calibration_clips,
        metavar="N",
        help="training clips that int8 is calibrated on",
    )
    data.add_argument(
        "--checked-clips",
        type=positive,
        default=defaults.checked_clips,
        metavar="N",
        help="clips on which the result is held against PyTorch",
    )
    data.add_argument("--seed", type=int, default=defaults.seed, metavar="N", help="draws the clips")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    if args.int8 and args.dataset is None:
        parser.error("--int8 is calibrated on training clips: name a --dataset")
    return args


def run(args: argparse.Namespace) -> int:
    """Export, and print how near the result comes to PyTorch."""
    export = Export(args.format, args.int8)
    settings = ExportSettings(args.calibration_clips, args.checked_clips, args.seed)
    record = export_model(args.model, export, open_dataset(args.dataset) if args.dataset else None, settings)
    check = record["check"]
    print(f"exported       {args.model / export.files[0]}")
    print(f"checked on     {check['clips']} clips ({check['clips_of']})")
    print(f"logits         differ by at most {check['max_logit_difference']:.2g} of {check['max_logit']:.3g}")
    print(f"features       mean cosine {check['mean_feature_cosine']:.5f}, worst {check['min_feature_cosine']:.5f}")
    print(f"best label     the same in {100 * check['top1_agreement']:.1f} % of the clips")
    print(f"record         {args.model / export.record_file}")
    return 0
