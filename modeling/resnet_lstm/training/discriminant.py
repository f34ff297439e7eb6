"""A linear classifier in closed form: linear discriminant analysis with shrunken covariance and shrunken class means.

Where a class has a handful of clips, gradient descent fits their places and people. The discriminant estimates so
little from them, one mean a class and one covariance for all, that it does better, takes a second, and with one clip a
class becomes the nearest prototype.

Two estimates are drawn towards what needs less estimating. The covariance within classes, which N clips cannot tell in
thousands of dimensions, goes towards its own diagonal, so that what varies much within actions counts for less
(Friedman, "Regularized Discriminant Analysis", JASA 1989, draws it towards a multiple of the identity). The mean of a
class is drawn towards the mean of all classes, the more the fewer source videos it rests on (James & Stein, 1961): as
it is, the chance part of a mean of few makes that class look far from everything, and it is never predicted. How far
both go is chosen by the cross entropy on groups that were held out (`cross_validated_fit`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from ..known_score import NUM_DIRECTIONS, squared_distances
from .class_moments import ClassMoments

# A class that was not trained on is never predicted.
ABSENT = -1e4
# As many features at a time as spare a second copy of those of all clips.
_COLUMNS = 4096


@dataclass(frozen=True)
class LinearClassifier:
    """`features @ weight.T + bias` are the logits.

    Attributes:
        weight: `[L, H]`.
        bias: `[L]`.
    """

    weight: torch.Tensor
    bias: torch.Tensor

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        """Logits `[N, L]` of features `[N, H]`."""
        return features @ self.weight.T + self.bias

    def divided_by(self, temperature: float) -> LinearClassifier:
        """The classifier whose logits are this one's divided by a number."""
        return LinearClassifier(self.weight / temperature, self.bias / temperature)


@dataclass(frozen=True)
class Discriminant:
    """The discriminant of one shrinkage, before the means of its classes are drawn towards that of all.

    Attributes:
        num_labels: L.
        labels: `[P]`, of the classes that it knows.
        num_groups: `[P]`, of each of these.
        centre: `[H]`, the mean of all classes.
        directions: `[P, H]`, the covariance's inverse times what each class's mean is off the centre.
        squared_distances: `[P]`, of the means from the centre, by the covariance.
    """

    num_labels: int
    labels: np.ndarray
    num_groups: torch.Tensor
    centre: torch.Tensor
    directions: torch.Tensor
    squared_distances: torch.Tensor

    def classifier(self, prior_groups: float) -> LinearClassifier:
        """The classifier whose class means are drawn to the centre by so many groups; its logits are log densities."""
        weight = torch.zeros(self.num_labels, self.directions.shape[1])
        bias = torch.full((self.num_labels,), ABSENT)
        pulls = self._pulls(prior_groups)
        directions = pulls[:, None] * self.directions
        weight[self.labels] = directions
        bias[self.labels] = -directions @ self.centre - pulls**2 * self.squared_distances / 2
        return LinearClassifier(weight, bias)

    def projections(self, features: torch.Tensor) -> torch.Tensor:
        """What of features `[N, H]` is needed to classify them, `[N, P]`."""
        return (features - self.centre) @ self.directions.T

    def logits(self, projections: torch.Tensor, prior_groups: float) -> torch.Tensor:
        """Those of `classifier`, `[N, L]`, from `projections` `[N, P]`: to compare many pulls for the price of one."""
        pulls = self._pulls(prior_groups)
        logits = torch.full((len(projections), self.num_labels), ABSENT)
        logits[:, self.labels] = pulls * projections - pulls**2 * self.squared_distances / 2
        return logits

    def _pulls(self, prior_groups: float) -> torch.Tensor:
        return self.num_groups / (self.num_groups + prior_groups)


@dataclass(frozen=True)
class Spread:
    """Where the clips of all classes lie, and how much those of one class differ, for `squared_distances`.

    Attributes:
        centre: `[H]`.
        directions: `[K, H]`.
    """

    centre: torch.Tensor
    directions: torch.Tensor

    def squared_distances(self, features: torch.Tensor) -> torch.Tensor:
        """Distances `[N]` of features `[N, H]` from the centre."""
        return squared_distances(features, self.centre, self.directions)


class DiscriminantSolver:
    """Solves with the shrunken covariance `(1 - s) S + s D`, where S is the scatter of clips around their classes.

    D is the diagonal of what S is expected to be, see `ClassMoments.expected_variances`. With fewer clips N than
    features H, S has rank N at most: by Woodbury's identity an N x N system stands for the H x H one.

    Args:
        moments: Of the training clips.
        num_labels: L; classes that the moments do not know are never predicted.
    """

    def __init__(self, moments: ClassMoments, num_labels: int) -> None:
        self.moments, self.num_labels = moments, num_labels
        self.centre = moments.means.mean(dim=0)  # [H]
        self.offsets = moments.means - self.centre  # [P, H]
        self.variances = moments.expected_variances  # [H]
        if float(self.variances.sum()) <= 1e-12:
            # One clip a class: how far the classes lie apart stands for it.
            apart = float((self.offsets**2).mean()) or 1.0 / len(self.centre)
            self.variances = torch.full_like(self.centre, apart)
        self.residuals = moments.residuals  # [R, H]
        self.fewer_clips = len(self.residuals) < len(self.centre)
        self.product = (self._products() if self.fewer_clips else self.residuals.T @ self.residuals).double()

    def discriminant(self, shrinkage: float) -> Discriminant:
        """The discriminant of one shrinkage, between 0 and 1."""
        directions = self._solve(shrinkage)  # [P, H]
        return Discriminant(
            num_labels=self.num_labels,
            labels=self.moments.labels,
            num_groups=self.moments.num_groups.float().cpu(),
            centre=self.centre.float().cpu(),
            directions=directions.float().cpu(),
            squared_distances=(self.offsets * directions).sum(dim=1).float().cpu(),
        )

    def classifier(self, shrinkage: float, prior_groups: float) -> LinearClassifier:
        """See `Discriminant.classifier`."""
        return self.discriminant(shrinkage).classifier(prior_groups)

    def spread(self, shrinkage: float) -> Spread:
        """What distances are measured by: the covariance drawn towards a multiple of the identity."""
        variances, directions = self._principal_directions  # [K], [K, H]
        ridge, kept = shrinkage * self.variances.mean(), (1 - shrinkage) * variances
        # By Woodbury's identity, what the inverse of `ridge + kept` leaves of the inverse of `ridge` alone.
        directions = (kept / (ridge + kept)).sqrt()[:, None] * directions
        return Spread(self.centre.float().cpu(), directions.float().cpu())

    @cached_property
    def _principal_directions(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.moments.principal_directions(NUM_DIRECTIONS)

    def _products(self) -> torch.Tensor:
        """The residuals' products with each other, `[R, R]`, each feature in units of its expected variance."""
        products = self.residuals.new_zeros(len(self.residuals), len(self.residuals))
        parts = zip(self.residuals.split(_COLUMNS, dim=1), self.variances.split(_COLUMNS), strict=True)
        for part, variances in parts:
            products.addmm_(part / variances, part.T)
        return products

    def _solve(self, shrinkage: float) -> torch.Tensor:
        """The covariance's inverse times what the class means are off the centre, `[P, H]`."""
        kept = 1 - shrinkage
        system = kept * self.product
        if not self.fewer_clips:
            system.diagonal().add_(shrinkage * self.variances)
            return torch.linalg.solve(system, self.offsets.T.double()).T.to(self.offsets.dtype)
        system.diagonal().add_(shrinkage)
        scaled = self.offsets / self.variances
        inner = torch.linalg.solve(system, (self.residuals @ scaled.T).double())  # [R, P]
        return (scaled - kept * (self.residuals.T @ inner.to(scaled.dtype)).T / self.variances) / shrinkage
