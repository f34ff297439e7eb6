"""Tensors of clips on disk, one safetensors file for each clip and view, in a folder named after what made them."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ..device_precision import backbone_dtype, precision_name
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_decoding import DECODER_VERSION
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..whole_file import written_whole
from .views import View

logger = logging.getLogger(__name__)


# What a processor saves but does not see pixels by.
_NOT_ABOUT_PIXELS = ("auto_map", "processor_class", "return_metadata", "video_processor_type")
_ARCHITECTURE = (
    "depths",
    "downsample_in_bottleneck",
    "downsample_in_first_stage",
    "embedding_size",
    "hidden_act",
    "hidden_sizes",
    "layer_type",
    "num_channels",
)


class DamagedFeaturesError(ValueError):
    """A file of the cache does not hold what was written into it."""


class KeptClips:
    """The files of a cache. They appear whole or not at all, and carry a checksum of what they hold.

    Args:
        root: The folder of all caches.
        model: Its backbone makes what is kept.
        processor: Makes the backbone's input.
        precision: What the backbone computes in, see `device_precision`.

    Attributes:
        precision: The same; "auto" is what it was found to be.
        key: All that decides what is made of a clip.
        directory: The folder of this key, which holds it as `key.json`.
    """

    # What is kept, where that is not the frame features.
    HOLDS: str | None = None

    def __init__(
        self,
        root: str | os.PathLike[str],
        model: ResNetLSTMModel,
        processor: ResNetLSTMVideoProcessor,
        precision: str = "fp32",
    ) -> None:
        self.precision = precision_name(backbone_dtype(precision, model.device))
        self.processor = processor
        self.key = key_of(model, processor, self.precision)
        if self.HOLDS is not None:
            self.key["holds"] = self.HOLDS
        text = json.dumps(self.key, indent=2, sort_keys=True) + "\n"
        self.directory = Path(root) / hashlib.sha256(text.encode()).hexdigest()[:16]
        self.directory.mkdir(parents=True, exist_ok=True)
        with written_whole(self.directory / "key.json") as temporary:
            temporary.write_text(text)

    def check_processor(self, processor: ResNetLSTMVideoProcessor) -> None:
        """See that a processor makes what the cache keeps the outcome of.

        Raises:
            ValueError: Its settings are not those that the cache was made for.
        """
        found = differing_settings(self.key["processor"], _pixel_settings(processor))
        if found:
            raise ValueError(
                f"{self.directory}: holds what another processor makes ({found}). Make the cache with the processor "
                "that is used."
            )

    def path(self, clip_sha256: str, view: View) -> Path:
        """Where the file of a clip is, or would be."""
        return self.directory / clip_sha256[:2] / f"{clip_sha256}.{view.name}.safetensors"

    def has(self, clip_sha256: str, view: View) -> bool:
        """Whether the file of a clip is there."""
        return self.path(clip_sha256, view).is_file()

    def keeps(self, clip_sha256: str, view: View) -> bool:
        """Whether the file of a clip is there as it was written; a damaged one is reported and deleted."""
        if not self.has(clip_sha256, view):
            return False
        try:
            self.load_tensors(clip_sha256, view)
        except DamagedFeaturesError as error:
            logger.warning("%s It is computed anew.", error)
            self.path(clip_sha256, view).unlink(missing_ok=True)
            return False
        return True

    def load_tensors(self, clip_sha256: str, view: View) -> dict[str, torch.Tensor]:
        """What `save_tensors` wrote, mapped into memory.

        Raises:
            FileNotFoundError: It is not there.
            DamagedFeaturesError: It is damaged.
        """
        path = self.path(clip_sha256, view)
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
                checksum = (file.metadata() or {}).get("sha256")
        except SafetensorError as error:
            raise DamagedFeaturesError(f"{path}: damaged ({error}). Extract again.") from error
        if checksum != _checksum(tensors):
            raise DamagedFeaturesError(f"{path}: damaged (it is not what was written). Extract again.")
        return tensors

    def save_tensors(self, clip_sha256: str, view: View, tensors: Mapping[str, torch.Tensor]) -> None:
        """Write the file of a clip."""
        path = self.path(clip_sha256, view)
        path.parent.mkdir(exist_ok=True)
        kept = {name: tensor.cpu().contiguous() for name, tensor in tensors.items()}
        with written_whole(path) as temporary:
            # Not by `save_file`, which writes another temporary file, of which nobody knows after a kill.
            temporary.write_bytes(save(kept, metadata={"sha256": _checksum(kept)}))


def _checksum(tensors: Mapping[str, torch.Tensor]) -> str:
    digest = hashlib.sha256()
    for _, tensor in sorted(tensors.items()):
        digest.update(tensor.flatten().view(torch.uint8).numpy().tobytes())  # NumPy has no bfloat16
    return digest.hexdigest()


def key_of(model: ResNetLSTMModel, processor: ResNetLSTMVideoProcessor, precision: str) -> dict[str, Any]:
    """All that decides what a backbone makes of a clip, as JSON would give it back."""
    key: dict[str, Any] = {
        "backbone": {name: getattr(model.backbone.config, name) for name in _ARCHITECTURE},
        "backbone_sha256": state_dict_sha256(model.backbone),
        "decoder_version": DECODER_VERSION,
        "num_motion_stages": len(model.config.motion_stage_sizes),
        "precision": precision,
        "processor": _pixel_settings(processor),
    }
    return _as_json(key)


def differing_settings(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The settings in which two keys differ, in words; empty where they are the same."""
    found = []
    for name in sorted(there.keys() | here.keys()):
        theirs, ours = there.get(name), here.get(name)
        if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
            if nested := differing_settings(theirs, ours):
                found.append(f"{name}: {nested}")
        elif theirs != ours:
            found.append(f"{name}: {theirs} there, {ours} here")
    return "; ".join(found)


def _pixel_settings(processor: ResNetLSTMVideoProcessor) -> dict[str, Any]:
    settings = processor.to_dict()
    return _as_json({name: settings[name] for name in sorted(settings) if name not in _NOT_ABOUT_PIXELS})


def _as_json(settings: dict[str, Any]) -> dict[str, Any]:
    """With lists for tuples, so that it equals what was read from a file."""
    read: dict[str, Any] = json.loads(json.dumps(settings))
    return read


def state_dict_sha256(module: torch.nn.Module) -> str:
    """SHA-256 of a module's weights: names, shapes, dtypes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        tensor = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()
