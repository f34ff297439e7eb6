"""Frame features on disk, found by what they were made from."""

from __future__ import annotations

import os
from collections.abc import Callable

import torch

from ..device_precision import precision_name
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .kept_clips import KeptClips
from .views import View


def feature_reader(model: ResNetLSTMModel, precision: str) -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
    """What computes the features `[B, T, D]` of a batch `[B, T, C, height, width]`, in a precision by its name."""
    model.eval().compile_for_inference(precision=precision)
    return lambda pixel_values: (model.extract_frame_features(pixel_values),)


class FeatureCache(KeptClips):
    """The frame features of clips, one safetensors file for each clip and view.

    A cache belongs to one backbone, one reading of its maps, one set of processor settings, one version of the decoder
    and one precision, and lies in a folder named after them all; in it a clip goes by the SHA-256 of its bytes. So a
    changed clip, weight or setting is a miss, never a stale hit. Files appear whole or not at all, carry a checksum of
    what they hold, and processes may share a cache.

    Args:
        root: The folder of all caches.
        model: Its backbone makes the features.
        processor: Makes the backbone's input.
        precision: What the backbone computes in, see `device_precision`.

    Attributes:
        precision: The same; "auto" is what it was found to be.
    """

    @classmethod
    def of_model(
        cls, root: str | os.PathLike[str], model: ResNetLSTMModel, processor: ResNetLSTMVideoProcessor
    ) -> FeatureCache:
        """The cache of what a model computes where no gradient is wanted, in the precision in which it does."""
        return cls(root, model, processor, precision_name(model.inference_dtype or model.backbone.dtype))

    def reader(self, model: ResNetLSTMModel) -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
        """What of a batch `[B, T, C, height, width]` is kept, clip by clip: the features `[B, T, D]`."""
        return feature_reader(model, self.precision)

    def load(self, clip_sha256: str, view: View) -> torch.Tensor:
        """The features of a clip, `[T, D]` float32.

        Raises:
            FileNotFoundError: They are not there.
            DamagedFeaturesError: Their file is damaged.
        """
        return self.load_tensors(clip_sha256, view)["frame_features"]

    def save(self, clip_sha256: str, view: View, frame_features: torch.Tensor) -> None:
        """Keep the features `[T, D]` of a clip."""
        self.save_tensors(clip_sha256, view, {"frame_features": frame_features.float()})


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
