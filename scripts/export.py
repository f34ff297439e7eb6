"""Export a model for OpenVINO or ONNX Runtime, whole, for any number of clips and frames.

    python scripts/export.py runs/ucf101-25 --format openvino
    python scripts/export.py runs/ucf101-25 --format openvino --int8 --dataset data/ucf101-25
    python scripts/export.py runs/ucf101-25 --format onnx

The graph goes into the model's directory, onnx/model.onnx or openvino/openvino_model.xml and .bin, "_int8" behind the
name of the one that computes with 8-bit integers. Beside it a JSON file says what it was made from, how near it comes
to PyTorch, and what goes in and out. `predict.py --runtime` runs it; so does anything else, without Python. When the
model is trained again, export it again: a stale export is refused.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from resnet_lstm.data import VideoFolder
from resnet_lstm.exporting import ExportSettings, export_model
from resnet_lstm.inference import EXPORT_FORMATS, Export


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    defaults = ExportSettings()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="directory")
    parser.add_argument("--format", choices=EXPORT_FORMATS, required=True)
    parser.add_argument("--int8", action="store_true", help="the backbone in 8-bit integers; needs --dataset")
    parser.add_argument(
        "--dataset",
        type=Path,
        metavar="DIR",
        help="calibrate and check on its clips (default: check on generated ones)",
    )
    parser.add_argument(
        "--calibration-clips",
        type=int,
        default=defaults.calibration_clips,
        help="training clips that int8 is calibrated on (default: %(default)s)",
    )
    parser.add_argument(
        "--checked-clips",
        type=int,
        default=defaults.checked_clips,
        help="clips on which the result is held against PyTorch (default: %(default)s)",
    )
    parser.add_argument("--seed", type=int, default=defaults.seed, help="draws the clips (default: %(default)s)")
    args = parser.parse_args(arguments)
    if args.int8 and args.dataset is None:
        parser.error("--int8 is calibrated on training clips: name a --dataset")
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    export = Export(args.format, args.int8)
    try:
        settings = ExportSettings(args.calibration_clips, args.checked_clips, args.seed)
        folder = VideoFolder.open(args.dataset) if args.dataset else None
        record = export_model(args.model, export, folder, settings)
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    check = record["check"]
    print(f"exported       {args.model / export.files[0]}")
    print(f"checked on     {check['clips']} clips ({check['clips_of']})")
    print(f"logits         differ by at most {check['max_logit_difference']:.2g} of {check['max_logit']:.3g}")
    print(f"features       mean cosine {check['mean_feature_cosine']:.5f}, worst {check['min_feature_cosine']:.5f}")
    print(f"best label     the same in {100 * check['top1_agreement']:.1f} % of the clips")
    print(f"record         {args.model / export.record_file}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
