"""The maps that a backbone's last stage reads, on disk: what a tuning of that stage alone reads again and again."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch

from ..device_precision import backbone_dtype, precision_name
from ..folded_backbone import FoldedBackbone
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .cache import cache_key, clip_path, keep, keyed_directory, load_kept
from .views import View


class MapCache:
    """As `FeatureCache`, with the maps before the last stage in place of the mean of the last map.

    A clip of 16 frames of 224 x 224 takes 6.7 MB in bfloat16 with a ResNet-50, twice that in float32. A file is mapped
    into memory when it is loaded, so that however many clips there are, no more of them is held than is in use.

    Args:
        root: The folder of all caches.
        model: Its backbone makes the maps; its weights before the last stage, and those of it too, name the cache.
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
        self.key = {**cache_key(model, processor, self.precision), "holds": "maps before the last stage"}
        self.directory = keyed_directory(Path(root), self.key)

    def reader(self, model: ResNetLSTMModel) -> Callable[[torch.Tensor], tuple[torch.Tensor, ...]]:
        """What of a batch `[B, T, C, height, width]` is kept, clip by clip: maps and bands, as `load` gives them."""
        model.eval()
        folded = FoldedBackbone(
            model.backbone, backbone_dtype(self.precision, model.device), model.config.num_motion_stages
        )

        def read(pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
            maps, bands = folded.before_last_stage(pixel_values.flatten(0, 1))
            # The order of "channels last", in which they are computed.
            read = (maps.permute(0, 2, 3, 1), bands)
            return tuple(tensor.unflatten(0, pixel_values.shape[:2]) for tensor in read)

        return read

    def path(self, clip_sha256: str, view: View) -> Path:
        """Where the maps of a clip are, or would be."""
        return clip_path(self.directory, clip_sha256, view)

    def has(self, clip_sha256: str, view: View) -> bool:
        """Whether the maps of a clip are there."""
        return self.path(clip_sha256, view).is_file()

    def load(self, clip_sha256: str, view: View) -> tuple[torch.Tensor, torch.Tensor]:
        """The maps of a clip, `[T, rows, columns, channels]` in the cache's precision, and the bands `[T, D - C]`.

        Raises:
            FileNotFoundError: They are not there.
            ValueError: Their file is damaged.
        """
        kept = load_kept(self.path(clip_sha256, view))
        return kept["maps"], kept["bands"]

    def save(self, clip_sha256: str, view: View, maps: torch.Tensor, bands: torch.Tensor) -> None:
        """Keep the maps and the bands of a clip, as `load` gives them."""
        keep(self.path(clip_sha256, view), {"maps": maps, "bands": bands.float()})
