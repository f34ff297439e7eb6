"""What the training loop reads: clips as cached features, as cached maps, or as pixel values decoded anew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch.utils.data import Dataset

from ..features import UNIFORM, ClipFile, FeatureCache, FeatureShards, FeaturesInMemory, MapCache, View
from ..feeding import load_pictures
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .clip_augmentation import ClipAugmentation

Example = dict[str, torch.Tensor]


class FeatureDataset(Dataset[Example]):
    """Clips as cached frame features, in each epoch one of their views.

    Items are `{"frame_features": [T, D] float32, "labels": [] int64}`, and `"logit_corrections": [L]` where there are
    any.

    Args:
        clips: The clips.
        labels: Their label ids.
        cache: Holds all `views` of all clips.
        views: What each epoch draws one of, for each clip.
        seed: Which one depends on nothing but the seed, the epoch and the clip's index.

    Attributes:
        logit_corrections: `[N, V, L]`, what the loss adds to the model's logits of each clip and view; or None.
    """

    def __init__(
        self,
        clips: Sequence[ClipFile],
        labels: Sequence[int],
        cache: FeatureCache | FeaturesInMemory | FeatureShards,
        views: Sequence[View] = (UNIFORM,),
        seed: int = 0,
    ) -> None:
        self.clips, self.labels, self.cache, self.views, self.seed = clips, labels, cache, views, seed
        self.epoch = 0
        self.logit_corrections: torch.Tensor | None = None

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: other views are drawn."""
        self.epoch = epoch

    def to_inputs(self, batch: Example) -> Example:
        """What the model is called with, of a batch on its device: the batch itself."""
        return batch

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Example:
        view = int(np.random.default_rng((self.seed, self.epoch, index)).integers(len(self.views)))
        features = self.cache.load(self.clips[index].sha256, self.views[view])
        example = {"frame_features": features, "labels": torch.tensor(self.labels[index])}
        if self.logit_corrections is not None:
            example["logit_corrections"] = self.logit_corrections[index, view]
        return example


class ClipDataset(Dataset[Example]):
    """Clips as pictures, decoded when they are asked for: for training the backbone too.

    Items are `{"pictures": [T, height, width, 3] uint8, "mirrored": [] bool, "labels": [] int64}`; `to_inputs` makes
    pixel values of a batch of them.

    Args:
        clips: The clips.
        labels: Their label ids.
        processor: Makes the pixel values.
        augment: Take random frames, others in each epoch.
        flip: Also mirror half of the clips, others in each epoch.
        seed: Which ones depends on nothing but the seed, the epoch and the clip's index.
        augmentation: Also change the pictures of each clip, on the device; others in each epoch.

    Attributes:
        logit_corrections: `[N, L]`, what the loss adds to the model's logits of each clip; or None.
    """

    def __init__(
        self,
        clips: Sequence[ClipFile],
        labels: Sequence[int],
        processor: ResNetLSTMVideoProcessor,
        augment: bool = False,
        flip: bool = False,
        seed: int = 0,
        augmentation: ClipAugmentation | None = None,
    ) -> None:
        self.clips, self.labels, self.processor, self.seed = clips, labels, processor, seed
        self.augment, self.flip, self.augmentation = augment, flip, augmentation
        self.epoch = 0
        self.logit_corrections: torch.Tensor | None = None

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: other frames are drawn."""
        self.epoch = epoch

    def to_inputs(self, batch: Example) -> Example:
        """What the model is called with, of a batch on its device."""
        pictures, mirrored, seeds = batch.pop("pictures"), batch.pop("mirrored"), batch.pop("augmentation_seed")
        if self.augmentation is not None:
            augmented = [self.augmentation(clip, seed) for clip, seed in zip(pictures, seeds.tolist(), strict=True)]
            pictures = torch.stack(augmented)
        pixel_values = self.processor.normalize_pictures(pictures)  # [B, T, C, height, width]
        mirrored = mirrored[:, None, None, None, None]
        return {"pixel_values": torch.where(mirrored, pixel_values.flip(-1), pixel_values), **batch}

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Example:
        generator = np.random.default_rng((self.seed, self.epoch, index))
        mirrored = self.flip and generator.random() < 0.5
        sampling = generator if self.augment else None
        example = {
            "pictures": load_pictures(self.clips[index].path, self.processor, generator=sampling).pictures,
            "mirrored": torch.tensor(mirrored),
            "augmentation_seed": torch.tensor(generator.integers(2**31)),
            "labels": torch.tensor(self.labels[index]),
        }
        if self.logit_corrections is not None:
            example["logit_corrections"] = self.logit_corrections[index]
        return example


class MapDataset(Dataset[Example]):
    """Clips as the cached maps that the last stage reads, to tune that stage alone; in each epoch one of their views.

    Items are `{"maps": [T, rows, columns, channels], "bands": [T, D - pooled_size] float32, "labels": [] int64}`, and
    `"logit_corrections": [L]` where there are any.

    Args:
        clips: The clips.
        labels: Their label ids.
        cache: Holds all `views` of all clips.
        views: What each epoch draws one of, for each clip.
        flip: Also mirror half of the maps, others in each epoch.
        seed: Which ones depends on nothing but the seed, the epoch and the clip's index.

    Attributes:
        logit_corrections: `[N, L]`, what the loss adds to the model's logits of each clip; or None.
    """

    def __init__(
        self,
        clips: Sequence[ClipFile],
        labels: Sequence[int],
        cache: MapCache,
        views: Sequence[View] = (UNIFORM,),
        flip: bool = False,
        seed: int = 0,
    ) -> None:
        self.clips, self.labels, self.cache, self.views, self.flip = clips, labels, cache, views, flip
        self.seed, self.epoch = seed, 0
        self.logit_corrections: torch.Tensor | None = None

    def set_epoch(self, epoch: int) -> None:
        """Begin an epoch: other views are drawn."""
        self.epoch = epoch

    def to_inputs(self, batch: Example) -> Example:
        """What `TunedByMaps` is called with, of a batch on its device: the batch itself."""
        return batch

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> Example:
        generator = np.random.default_rng((self.seed, self.epoch, index))
        view = self.views[int(generator.integers(len(self.views)))]
        maps, bands = self.cache.load(self.clips[index].sha256, view)
        if self.flip and generator.random() < 0.5:
            # Bands are means over whole rows: they stay.
            maps = maps.flip(-2)
        example = {"maps": maps, "bands": bands, "labels": torch.tensor(self.labels[index])}
        if self.logit_corrections is not None:
            example["logit_corrections"] = self.logit_corrections[index]
        return example
