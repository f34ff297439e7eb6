"""Frame features on disk, found by what they were made from."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ..device_precision import backbone_dtype, precision_name
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_decoding import DECODER_VERSION
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..whole_file import written_whole
from .views import View

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


class FeatureCache:
    """The frame features of clips, one safetensors file for each clip and view.

    A cache belongs to one backbone, one reading of its maps, one set of processor settings, one version of the decoder
    and one precision, and lies in a folder named after them all; in it a clip goes by the SHA-256 of its bytes. So a
    changed clip, weight or setting is a miss, never a stale hit. Files appear whole or not at all, and processes may
    share a cache.

    Args:
        root: The folder of all caches.
        model: Its backbone makes the features.
        processor: Makes the backbone's input.
        precision: What the backbone computes in, see `device_precision`.

    Attributes:
        precision: The same; "auto" is what it was found to be.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        model: ResNetLSTMModel,
        processor: ResNetLSTMVideoProcessor,
        precision: str = "fp32",
    ) -> None:
        self.precision = precision_name(backbone_dtype(precision, model.device))
        self.key = cache_key(model, processor, self.precision)
        self.directory = keyed_directory(Path(root), self.key)

    @classmethod
    def of_model(
        cls, root: str | os.PathLike[str], model: ResNetLSTMModel, processor: ResNetLSTMVideoProcessor
    ) -> FeatureCache:
        """The cache of what a model computes where no gradient is wanted, in the precision in which it does."""
        return cls(root, model, processor, precision_name(model.inference_dtype or model.backbone.dtype))

    def reader(self, model: ResNetLSTMModel) -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
        """What of a batch `[B, T, C, height, width]` is kept, clip by clip: the features `[B, T, D]`."""
        model.eval().compile_for_inference(precision=self.precision)
        return lambda pixel_values: (model.extract_frame_features(pixel_values),)

    def path(self, clip_sha256: str, view: View) -> Path:
        """Where the features of a clip are, or would be."""
        return clip_path(self.directory, clip_sha256, view)

    def has(self, clip_sha256: str, view: View) -> bool:
        """Whether the features of a clip are there."""
        return self.path(clip_sha256, view).is_file()

    def load(self, clip_sha256: str, view: View) -> torch.Tensor:
        """The features of a clip, `[T, D]` float32.

        Raises:
            FileNotFoundError: They are not there.
            ValueError: Their file is damaged.
        """
        return load_kept(self.path(clip_sha256, view))["frame_features"]

    def save(self, clip_sha256: str, view: View, frame_features: torch.Tensor) -> None:
        """Keep the features `[T, D]` of a clip."""
        keep(self.path(clip_sha256, view), {"frame_features": frame_features.float()})


class FeaturesInMemory:
    """Reads a cache and keeps what it has read, so that only the first epoch waits for the disk.

    Args:
        cache: What to read.
        max_bytes: When this much is kept, the rest is read anew each time.
    """

    def __init__(self, cache: FeatureCache, max_bytes: int = 4 * 2**30) -> None:
        self.cache = cache
        self.free_bytes = max_bytes
        self._kept: dict[tuple[str, View], torch.Tensor] = {}

    def load(self, clip_sha256: str, view: View) -> torch.Tensor:
        """As `FeatureCache.load`. The tensor is shared: do not change it."""
        kept = self._kept.get((clip_sha256, view))
        if kept is None:
            kept = self.cache.load(clip_sha256, view)
            if kept.nbytes <= self.free_bytes:
                self.free_bytes -= kept.nbytes
                self._kept[clip_sha256, view] = kept
        return kept


def cache_key(model: ResNetLSTMModel, processor: ResNetLSTMVideoProcessor, precision: str) -> dict[str, Any]:
    """All that decides what a backbone makes of a clip."""
    settings = processor.to_dict()
    return {
        "backbone": {name: getattr(model.backbone.config, name) for name in _ARCHITECTURE},
        "backbone_sha256": state_dict_sha256(model.backbone),
        "decoder_version": DECODER_VERSION,
        "num_motion_stages": len(model.config.motion_stage_sizes),
        "precision": precision,
        "processor": {name: settings[name] for name in sorted(settings) if name not in _NOT_ABOUT_PIXELS},
    }


def keyed_directory(root: Path, key: dict[str, Any]) -> Path:
    """The folder of a key, which is made where it is missing and tells its key."""
    text = json.dumps(key, indent=2, sort_keys=True) + "\n"
    directory = root / hashlib.sha256(text.encode()).hexdigest()[:16]
    directory.mkdir(parents=True, exist_ok=True)
    with written_whole(directory / "key.json") as temporary:
        temporary.write_text(text)
    return directory


def clip_path(directory: Path, clip_sha256: str, view: View) -> Path:
    """Where in a cache's folder a clip is, or would be."""
    return directory / clip_sha256[:2] / f"{clip_sha256}.{view.name}.safetensors"


def keep(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write the tensors of a clip, whole or not at all."""
    path.parent.mkdir(exist_ok=True)
    with written_whole(path) as temporary:
        save_file({name: tensor.cpu().contiguous() for name, tensor in tensors.items()}, temporary)


def load_kept(path: Path) -> dict[str, torch.Tensor]:
    """What `keep` wrote, mapped into memory: the disk is read as far as it is used.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is damaged.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path}: damaged ({error}). Delete it and extract again.") from error


def state_dict_sha256(module: torch.nn.Module) -> str:
    """SHA-256 of a module's weights: names, shapes, dtypes and bytes."""
    digest = hashlib.sha256()
    for name, tensor in sorted(module.state_dict().items()):
        tensor = tensor.detach().cpu().contiguous()
        digest.update(f"{name} {list(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()
