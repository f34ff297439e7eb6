"""What a linear discriminant needs to know of clips: the mean of each class, and how clips of one class differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import torch.nn.functional as F

from ..class_statistics import NUM_QUANTILES, ClassStatistics

# Directions of the covariance within classes that a model keeps to be taught by.
NUM_KEPT_DIRECTIONS = 64
# Of more residuals the main directions are approximated.
MOST_EXACT_ROWS = 512
# How many clips the mean variance of all features counts for, as an estimate of that of one.
PRIOR_CLIPS = 20


@dataclass(frozen=True)
class ClassMoments:
    """First and second moments of clips by class.

    Attributes:
        labels: `[P]`, the label ids of the classes that have clips, in ascending order.
        means: `[P, H]`.
        num_groups: `[P]`, from how many source videos the clips of each class were cut.
        num_clips: `[P]`.
        residuals: `[R, H]`, whose product with itself, `[H, H]`, is the covariance within classes.
        variances: `[H]`, the diagonal of that covariance, what `residuals` leave out of it included.
        covariance_clips: How many clips it is estimated from.
    """

    labels: np.ndarray
    means: torch.Tensor
    num_groups: torch.Tensor
    num_clips: torch.Tensor
    residuals: torch.Tensor
    variances: torch.Tensor
    covariance_clips: int

    @classmethod
    def of(cls, features: torch.Tensor, labels: np.ndarray, groups: Sequence[str]) -> ClassMoments:
        """The moments of clips by their features `[N, H]`, labels `[N]` and groups `[N]`; nothing is left out."""
        present, counts = np.unique(labels, return_counts=True)
        group_names = np.asarray(groups)
        means, num_groups = [], []
        residuals = features.clone()
        for label in present:
            members = torch.from_numpy(np.flatnonzero(labels == label))
            means.append(features[members].double().mean(dim=0).to(features.dtype))
            residuals[members] -= means[-1]
            num_groups.append(len(np.unique(group_names[labels == label])))
        residuals /= len(features) ** 0.5
        return cls(
            labels=present,
            means=torch.stack(means),
            num_groups=torch.tensor(num_groups, dtype=features.dtype),
            num_clips=torch.tensor(counts, dtype=features.dtype),
            residuals=residuals,
            variances=torch.linalg.vector_norm(residuals, dim=0) ** 2,
            covariance_clips=len(features),
        )

    @classmethod
    def from_statistics(cls, statistics: ClassStatistics) -> ClassMoments:
        """The moments of a model's training clips, by what it keeps of them."""
        num_groups = statistics.num_groups.cpu()
        present = num_groups > 0
        return cls(
            labels=np.flatnonzero(present.numpy()),
            means=statistics.means.cpu()[present],
            num_groups=num_groups[present],
            num_clips=statistics.num_clips.cpu()[present],
            residuals=statistics.directions.cpu(),
            variances=statistics.variances.cpu(),
            covariance_clips=int(statistics.covariance_clips),
        )

    def to_statistics(
        self, num_labels: int, shrinkage: float, prior_groups: float, divisor: float, known_scores: np.ndarray
    ) -> ClassStatistics:
        """What a model keeps of its training clips.

        Args:
            num_labels: L.
            shrinkage: Of the covariance, in the model's classifier.
            prior_groups: How many groups the mean of all classes counts for there.
            divisor: What the classifier's logits are those of the discriminant divided by.
            known_scores: `[N]`, of clips by models that have not seen them; empty where the model does not tell.
        """
        variances, directions = self.principal_directions(NUM_KEPT_DIRECTIONS)
        statistics = ClassStatistics(self.means.shape[1], num_labels, len(directions))
        statistics.means[self.labels] = self.means.float().cpu()
        statistics.num_groups[self.labels] = self.num_groups.float().cpu()
        statistics.num_clips[self.labels] = self.num_clips.float().cpu()
        statistics.directions.copy_(variances.sqrt()[:, None] * directions)
        statistics.variances.copy_(self.variances)
        statistics.covariance_clips.fill_(self.covariance_clips)
        statistics.shrinkage.fill_(shrinkage)
        statistics.prior_groups.fill_(prior_groups)
        statistics.divisor.fill_(divisor)
        if len(known_scores):
            quantiles = np.quantile(known_scores, np.linspace(0, 1, NUM_QUANTILES))
            statistics.known_scores.copy_(torch.from_numpy(quantiles))
        return statistics

    def and_also(self, other: ClassMoments) -> ClassMoments:
        """The moments of these clips and of those of `other` together."""
        labels = np.union1d(self.labels, other.labels)
        num_groups, num_clips = torch.zeros(len(labels)), torch.zeros(len(labels))
        sums = torch.zeros(len(labels), self.means.shape[1])
        for moments in (self, other):
            rows = np.searchsorted(labels, moments.labels)
            num_groups[rows] += moments.num_groups
            num_clips[rows] += moments.num_clips
            sums[rows] += moments.num_clips[:, None] * moments.means
        covariance_clips = self.covariance_clips + other.covariance_clips
        mine, theirs = self.covariance_clips / covariance_clips, other.covariance_clips / covariance_clips
        shifts = self._shifts(other) / covariance_clips**0.5
        return ClassMoments(
            labels=labels,
            means=sums / num_clips[:, None],
            num_groups=num_groups,
            num_clips=num_clips,
            residuals=torch.cat([self.residuals * mine**0.5, other.residuals * theirs**0.5, shifts]),
            variances=self.variances * mine + other.variances * theirs + (shifts**2).sum(dim=0),
            covariance_clips=covariance_clips,
        )

    def _shifts(self, other: ClassMoments) -> torch.Tensor:
        """What the means of classes that both have clips of, being apart, add to the scatter: `[S, H]`."""
        _, mine, theirs = np.intersect1d(self.labels, other.labels, return_indices=True)
        clips, other_clips = self.num_clips[mine], other.num_clips[theirs]
        weights = (clips * other_clips / (clips + other_clips)).sqrt()
        return weights[:, None] * (self.means[mine] - other.means[theirs])

    def without_classes(self) -> ClassMoments:
        """How much clips of one class differ, and no class."""
        return replace(
            self,
            labels=self.labels[:0],
            means=self.means[:0],
            num_groups=self.num_groups[:0],
            num_clips=self.num_clips[:0],
        )

    @cached_property
    def expected_variances(self) -> torch.Tensor:
        """What clips that are not among these are expected to vary by, `[H]`: those of few clips are partly chance."""
        total = self.covariance_clips + PRIOR_CLIPS
        expected = (self.covariance_clips * self.variances + PRIOR_CLIPS * self.variances.mean()) / total
        # As large as the variances on average, each beside its own.
        return expected * (self.variances / expected).nan_to_num(1.0).mean()

    def principal_directions(self, num_directions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """The directions in which clips of one class differ most.

        Args:
            num_directions: At most so many.

        Returns:
            Variances `[K]` and unit vectors `[K, H]`.
        """
        num_directions = min(num_directions, *self.residuals.shape)
        if len(self.residuals) <= min(MOST_EXACT_ROWS, self.residuals.shape[1]):
            return self._exact_directions(num_directions)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            _, deviations, directions = torch.svd_lowrank(self.residuals, num_directions, niter=4)
        return deviations**2, directions.T

    def _exact_directions(self, num_directions: int) -> tuple[torch.Tensor, torch.Tensor]:
        """By the eigenvectors `[R, R]` of the residuals' products with each other."""
        variances, vectors = torch.linalg.eigh((self.residuals @ self.residuals.T).double())  # ascending
        variances, vectors = variances[-num_directions:].flip(0).clamp_min(0), vectors[:, -num_directions:].flip(1)
        directions = vectors.T.to(self.residuals.dtype) @ self.residuals  # [K, H], as long as the deviations that way
        return variances.to(directions.dtype), F.normalize(directions, dim=1)
