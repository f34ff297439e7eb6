"""What a linear discriminant needs to know of clips: the mean of each class, and how clips of one class differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch


@dataclass(frozen=True)
class ClassMoments:
    """First and second moments of clips by class.

    Attributes:
        labels: `[P]`, the label ids of the classes that have clips.
        means: `[P, H]`.
        num_groups: `[P]`, from how many source videos the clips of each class were cut.
        num_clips: N, of all classes.
        residuals: `[R, H]`, whose product with itself, `[H, H]`, is the covariance within classes.
        mean_variance: The trace of that covariance over H, what `residuals` leave out of it included.
    """

    labels: np.ndarray
    means: torch.Tensor
    num_groups: torch.Tensor
    num_clips: int
    residuals: torch.Tensor
    mean_variance: float

    @classmethod
    def of(cls, features: torch.Tensor, labels: np.ndarray, groups: Sequence[str]) -> ClassMoments:
        """The moments of clips by their features `[N, H]`, labels `[N]` and groups `[N]`; nothing is left out."""
        present, group_names = np.unique(labels), np.asarray(groups)
        means, num_groups = [], []
        residuals = features.clone()
        for label in present:
            members = torch.from_numpy(np.flatnonzero(labels == label))
            means.append(features[members].mean(dim=0))
            residuals[members] -= means[-1]
            num_groups.append(len(np.unique(group_names[labels == label])))
        residuals /= len(features) ** 0.5
        return cls(
            present,
            torch.stack(means),
            torch.tensor(num_groups, dtype=features.dtype),
            len(features),
            residuals,
            float((residuals**2).sum()) / features.shape[1],
        )

    def and_also(self, other: ClassMoments) -> ClassMoments:
        """The moments of these clips and of those of `other`, which show other classes."""
        num_clips = self.num_clips + other.num_clips
        mine, theirs = self.num_clips / num_clips, other.num_clips / num_clips
        return ClassMoments(
            np.concatenate([self.labels, other.labels]),
            torch.cat([self.means, other.means]),
            torch.cat([self.num_groups, other.num_groups]),
            num_clips,
            torch.cat([self.residuals * mine**0.5, other.residuals * theirs**0.5]),
            self.mean_variance * mine + other.mean_variance * theirs,
        )

    def without_classes(self) -> ClassMoments:
        """How much clips of one class differ, and no class."""
        return replace(self, labels=self.labels[:0], means=self.means[:0], num_groups=self.num_groups[:0])

    def principal_directions(self, num_directions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The directions in which clips of one class differ most.

        Args:
            num_directions: At most so many.

        Returns:
            Variances `[K]` and unit vectors `[K, H]`.
        """
        num_directions = min(num_directions, *self.residuals.shape)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            _, deviations, directions = torch.svd_lowrank(self.residuals, num_directions, niter=4)
        return deviations**2, directions.T
