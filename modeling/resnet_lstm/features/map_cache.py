"""The maps that a backbone's last stage reads, on disk: what a tuning of that stage alone reads again and again."""

from __future__ import annotations

from collections.abc import Callable

import torch

from ..device_precision import backbone_dtype
from ..folded_backbone import FoldedBackbone
from ..modeling_resnet_lstm import ResNetLSTMModel
from .kept_clips import KeptClips
from .views import View


class MapCache(KeptClips):
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

    HOLDS = "maps before the last stage"

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

    def load(self, clip_sha256: str, view: View) -> tuple[torch.Tensor, torch.Tensor]:
        """The maps of a clip, `[T, rows, columns, channels]` in the cache's precision, and the bands `[T, D - C]`.

        Raises:
            FileNotFoundError: They are not there.
            DamagedFeaturesError: Their file is damaged.
        """
        kept = self.load_tensors(clip_sha256, view)
        return kept["maps"], kept["bands"]

    def save(self, clip_sha256: str, view: View, maps: torch.Tensor, bands: torch.Tensor) -> None:
        """Keep the maps and the bands of a clip, as `load` gives them."""
        self.save_tensors(clip_sha256, view, {"maps": maps, "bands": bands.float()})
