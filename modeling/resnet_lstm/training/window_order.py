"""The order in which features are trained on that do not fit into memory: shuffled as far as the buffer reaches."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch.utils.data import Dataset, Sampler

from ..features import FeatureShards
from .datasets import Example, FeatureDataset


class WindowSampler(Sampler[int]):
    """All clips of a dataset in another order each epoch, such that each row group is read once an epoch.

    The row groups are shuffled, and dealt into windows of as many as the buffer holds; the clips of a window are
    shuffled. The order depends on nothing but the seed, the epoch and the buffer, so that a run can be resumed within
    an epoch without reading what came before.

    Args:
        dataset: The clips; its seed and its epoch decide the order.
        shards: Where their features are.
    """

    def __init__(self, dataset: FeatureDataset, shards: FeatureShards) -> None:
        self.dataset = dataset
        groups = np.array([shards.row_group(clip.sha256, dataset.views[0]) for clip in dataset.clips])
        self._buffer_bytes = shards.buffer_bytes
        self._members = {int(group): np.flatnonzero(groups == group) for group in np.unique(groups)}
        self._bytes = {group: shards.row_group_bytes(group) for group in self._members}

    @property
    def is_needed(self) -> bool:
        """Whether the features are more than the buffer holds."""
        return sum(self._bytes.values()) > self._buffer_bytes

    def __len__(self) -> int:
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        generator = np.random.default_rng((self.dataset.seed, self.dataset.epoch))
        for window in self._windows(generator.permutation(list(self._members)).tolist()):
            clips = np.concatenate([self._members[group] for group in window])
            yield from generator.permutation(clips).tolist()

    def _windows(self, groups: list[int]) -> Iterator[list[int]]:
        window: list[int] = []
        num_bytes = 0
        for group in groups:
            if window and num_bytes + self._bytes[group] > self._buffer_bytes:
                yield window
                window, num_bytes = [], 0
            window.append(group)
            num_bytes += self._bytes[group]
        yield window


def order_of(dataset: Dataset[Example]) -> WindowSampler | None:
    """What orders the clips of a dataset whose features are more than the buffer holds; None for any other."""
    if isinstance(dataset, FeatureDataset) and isinstance(dataset.cache, FeatureShards):
        sampler = WindowSampler(dataset, dataset.cache)
        return sampler if sampler.is_needed else None
    return None
