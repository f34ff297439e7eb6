"""A model directory -> an exported graph in it, checked against PyTorch, and a record of what it was made from."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm.auto import tqdm

from ..data.generated_clips import CLASSES, write_generated_clips
from ..data.video_folder import VideoFolder, file_sha256
from ..inference.exports import Export, model_facts
from ..inference.loading import load_model
from ..inference.runtimes import load_graph
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..whole_file import held
from .agreement import measure_agreement
from .clip_selection import select_clips
from .graphs import save_onnx, save_openvino, to_onnx, to_openvino
from .quantization import kept_in_float32, quantize_backbone

# A graph in float32 computes the same in another order. A logit that is off by so little moves a score by 0.03 % at
# the most.
FLOAT32_TOLERANCE = 1e-3

# Frames of one clip look alike: a few of each say of its ranges what all would, and leave time for more clips.
_CALIBRATION_FRAMES = 2

_STAGING_PREFIX = ".export-"
_CONVERT = {"onnx": to_onnx, "openvino": to_openvino}
_SAVE = {"onnx": save_onnx, "openvino": save_openvino}
_PACKAGES = {"onnx": ("onnx", "onnxscript", "onnxruntime"), "openvino": ("openvino",)}


@dataclass(frozen=True)
class ExportSettings:
    """How an export is quantised and checked.

    Attributes:
        calibration_clips: Training clips that int8 ranges are taken from.
        checked_clips: Clips on which the result is held against PyTorch.
        seed: Draws both.
    """

    calibration_clips: int = 64
    checked_clips: int = 16
    seed: int = 42

    def __post_init__(self) -> None:
        for name in ("calibration_clips", "checked_clips"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1.")


def export_model(
    model_dir: Path, export: Export, folder: VideoFolder | None = None, settings: ExportSettings | None = None
) -> dict[str, Any]:
    """Export a model into its own directory, where `load_model` finds it.

    Args:
        model_dir: The model.
        export: What to make of it.
        folder: A dataset. An int8 export is calibrated on clips of its training split; the check is on clips of its
            test split, or on generated ones without a dataset.
        settings: How; by default as `ExportSettings` has it.

    Returns:
        The record, which lies beside the graph as JSON.

    Raises:
        ImportError: The extra that the format needs is not installed.
        OSError: There is no such model.
        InUseError: Another process is exporting it to the same format.
        ValueError: int8 was asked for without training clips, or the graph does not compute what the model does.
    """
    settings = settings or ExportSettings()
    model, processor = load_model(str(model_dir), precision="fp32")
    model = model.cpu().float()
    facts = model_facts(model_dir, model.config)
    clips = _calibration_clips(folder, settings) if export.int8 else []
    target = model_dir / Path(export.files[0]).parent
    target.mkdir(exist_ok=True)
    # Held and made before anything is computed: what stands against it is told at once.
    with held(target), _staging(target) as staging:
        graph = _graph_of(model, processor, export, clips)
        written = [Path(staging) / Path(file).name for file in export.files]
        _SAVE[export.format](graph, written[0])
        check = _check(model, processor, export, written[0], folder, settings)
        record = {
            "format": export.format,
            "precision": "int8" if export.int8 else "float32",
            **facts,
            "files": {path.name: file_sha256(path) for path in written},
            **_interface(model, processor),
            "calibration": _calibration(folder, clips, settings) if export.int8 else None,
            "check": check,
            "versions": _versions(export),
        }
        # The record comes last: where it does not fit the files, `locate_export` refuses them.
        (Path(staging) / "record.json").write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
        for path in written:
            path.replace(target / path.name)
        (Path(staging) / "record.json").replace(model_dir / export.record_file)
    return record


def _graph_of(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    export: Export,
    clips: Sequence[Path],
) -> Any:
    """The graph; in int8, calibrated on clips."""
    graph = _CONVERT[export.format](model, _frame_shape(processor))
    if not export.int8:
        return graph
    samples = _PixelValues(clips, processor, _CALIBRATION_FRAMES)
    return quantize_backbone(graph, export.format, kept_in_float32(graph, export.format, model), samples)


def _calibration(folder: VideoFolder | None, clips: Sequence[Path], settings: ExportSettings) -> dict[str, Any]:
    """What the record says of it."""
    return {
        "dataset": _name(folder),
        "split": "train",
        "clips": len(clips),
        "frames_of_each": _CALIBRATION_FRAMES,
        "seed": settings.seed,
    }


def _frame_shape(processor: ResNetLSTMVideoProcessor) -> tuple[int, int, int]:
    return 3, processor.size["height"], processor.size["width"]


@contextmanager
def _staging(target: Path) -> Iterator[str]:
    """A temporary folder in `target`, whose others were left by processes that were killed."""
    for left in target.glob(f"{_STAGING_PREFIX}*"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=target, prefix=_STAGING_PREFIX) as staging:
        yield staging


class _PixelValues(Sequence[np.ndarray]):
    """`[1, T, C, H, W]` float32 of each clip, decoded when it is asked for."""

    def __init__(self, paths: Sequence[Path], processor: ResNetLSTMVideoProcessor, num_frames: int) -> None:
        self.paths, self.processor, self.num_frames = paths, processor, num_frames

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any) -> Any:
        inputs = self.processor(self.paths[index], num_frames=self.num_frames, return_tensors="pt")
        return inputs["pixel_values"].numpy()


def _calibration_clips(folder: VideoFolder | None, settings: ExportSettings) -> list[Path]:
    clips = [] if folder is None else select_clips(folder, "train", settings.calibration_clips, settings.seed)
    if not clips:
        raise ValueError("int8: ranges are taken from training clips. Name a dataset that has some.")
    return clips


def _check(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    export: Export,
    path: Path,
    folder: VideoFolder | None,
    settings: ExportSettings,
) -> dict[str, Any]:
    with _clips_to_check(folder, settings) as (clips, clips_of):
        pixel_values = _PixelValues(clips, processor, processor.num_frames)
        progress = tqdm(pixel_values, desc="checked", unit="clip")
        agreement = measure_agreement(model, load_graph(export.format, path), map(torch.from_numpy, progress))
    if export.int8:
        return {"clips_of": clips_of, **agreement.to_dict()}
    if not agreement.max_logit_difference <= FLOAT32_TOLERANCE:
        raise ValueError(
            f"{export.format}: its logits differ from the model's by {agreement.max_logit_difference:.2g}, more than "
            f"the {FLOAT32_TOLERANCE:g} that rounding explains. Nothing was exported."
        )
    return {"clips_of": clips_of, **agreement.to_dict(), "tolerance": FLOAT32_TOLERANCE}


@contextmanager
def _clips_to_check(folder: VideoFolder | None, settings: ExportSettings) -> Iterator[tuple[list[Path], str]]:
    """Clips, and in words which ones."""
    if folder is not None:
        split = next(split for split in ("test", "validation", "train") if folder.clips(split))
        yield select_clips(folder, split, settings.checked_clips, settings.seed), f"{_name(folder)}, {split} split"
        return
    with tempfile.TemporaryDirectory() as temporary:
        per_class = math.ceil(settings.checked_clips / len(CLASSES))
        root = write_generated_clips(Path(temporary) / "clips", per_class, settings.seed)
        yield sorted(root.rglob("*.mp4"))[: settings.checked_clips], "generated clips"


def _name(folder: VideoFolder | None) -> str | None:
    return None if folder is None else folder.info.get("name") or folder.root.name


def _interface(model: ResNetLSTMForVideoClassification, processor: ResNetLSTMVideoProcessor) -> dict[str, Any]:
    """What a program that knows nothing of this package has to know."""
    config = model.config
    return {
        "input": {"pixel_values": ["B", "T", *_frame_shape(processor)]},
        "preprocessing": {
            "frames": processor.num_frames,
            "channels": "RGB",
            "rescale_factor": processor.rescale_factor,
            "image_mean": list(processor.image_mean),
            "image_std": list(processor.image_std),
        },
        "outputs": {
            "logits": ["B", config.num_labels],
            "frame_logits": ["B", "T", config.num_labels],
            "frame_features": ["B", "T", config.frame_feature_size],
        },
        "labels": [config.id2label[label] for label in range(config.num_labels)],
    }


def _versions(export: Export) -> dict[str, str]:
    packages = ["resnet-lstm", "torch", "transformers", *_PACKAGES[export.format], *(["nncf"] if export.int8 else [])]
    return {package: version(package) for package in packages}
