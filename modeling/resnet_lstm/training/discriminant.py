"""A linear classifier in closed form: linear discriminant analysis with shrunken covariance and shrunken class means.

Where a class has a handful of clips, gradient descent fits their places and people. The discriminant estimates so
little from them, one mean a class and one covariance for all, that it does better, takes a second, and with one clip a
class becomes the nearest prototype.

Two estimates are drawn towards what needs no estimating. The covariance within classes, which N clips cannot tell in
thousands of dimensions, goes towards a multiple of the identity (Friedman, "Regularized Discriminant Analysis", JASA
1989). The mean of a class is drawn towards the mean of all classes, the more the fewer source videos it rests on
(James & Stein, 1961): as it is, the chance part of a mean of few makes that class look far from everything, and it is
never predicted.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold

from ..evaluation.calibration import fit_temperature
from ..evaluation.metrics import log_probabilities
from ..known_score import NUM_DIRECTIONS, squared_distances
from .class_moments import ClassMoments

# How many groups the mean of all classes counts for, as an estimate of the mean of one.
PRIOR_GROUPS = 2.0
SHRINKAGES = (0.4, 0.6, 0.8, 0.9, 0.97)
# Where the data are too few to choose by.
DEFAULT_SHRINKAGE = 0.9
NUM_FOLDS = 5
# A class that was not trained on is never predicted.
ABSENT = -1e4


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


@dataclass(frozen=True)
class DiscriminantFit:
    """A classifier, and what it would say of its own training clips had it not seen them.

    Attributes:
        classifier: Fitted to all clips, its logits as sure as those of unseen groups allow.
        spread: Of all clips.
        moments: Of all clips.
        shrinkage: Of the covariance.
        temperature: What the logits of the discriminant were divided by.
        labels: `[N]`, the clips' own.
        held_out_logits: `[N, L]`: each clip's logits by a classifier fitted without its group. NaN where none could
            be: a class whose clips are all of one group is unknown without it.
        held_out_distances: `[N]`: each clip's distance by the same fit. NaN where there is none.
    """

    classifier: LinearClassifier
    spread: Spread
    moments: ClassMoments
    shrinkage: float
    temperature: float
    labels: np.ndarray
    held_out_logits: np.ndarray
    held_out_distances: np.ndarray


def fit_by_cross_validation(
    features: torch.Tensor, labels: np.ndarray, groups: Sequence[str], num_labels: int, seed: int = 0
) -> DiscriminantFit:
    """Fit a discriminant, its shrinkage and temperature chosen by the cross entropy on groups that were held out.

    Args:
        features: `[N, H]`.
        labels: `[N]`.
        groups: `[N]`.
        num_labels: L.
        seed: Of the folds.
    """
    held_out = {shrinkage: np.full((len(labels), num_labels), np.nan) for shrinkage in SHRINKAGES}
    distances = {shrinkage: np.full(len(labels), np.nan) for shrinkage in SHRINKAGES}
    num_folds = min(NUM_FOLDS, len(set(groups)), int(np.bincount(labels).max()))
    if num_folds > 1:
        folds = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # That a class has fewer clips than there are folds is what this is made for.
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            split = list(folds.split(np.zeros(len(labels)), labels, groups))
        for train, test in split:
            known = test[np.isin(labels[test], labels[train])]
            moments = ClassMoments.of(features[train], labels[train], [groups[index] for index in train])
            solver = DiscriminantSolver(moments, num_labels)
            for shrinkage in SHRINKAGES:
                held_out[shrinkage][known] = solver.classifier(shrinkage)(features[known]).numpy()
                distances[shrinkage][known] = solver.spread(shrinkage).squared_distances(features[known]).numpy()
    scored = np.flatnonzero(~np.isnan(held_out[SHRINKAGES[0]][:, 0]))
    moments = ClassMoments.of(features, labels, groups)
    solver = DiscriminantSolver(moments, num_labels)
    if not len(scored):
        classifier = solver.classifier(DEFAULT_SHRINKAGE)
        # Nothing tells how sure to be: not very.
        present = np.isin(np.arange(num_labels), labels)
        deviation = float(classifier(features)[:, torch.from_numpy(present)].std()) or 1.0
        return DiscriminantFit(
            classifier.divided_by(deviation),
            solver.spread(DEFAULT_SHRINKAGE),
            moments,
            DEFAULT_SHRINKAGE,
            deviation,
            labels,
            held_out[DEFAULT_SHRINKAGE],
            distances[DEFAULT_SHRINKAGE],
        )

    def cross_entropy(logits: np.ndarray) -> float:
        return float(-log_probabilities(logits)[np.arange(len(scored)), labels[scored]].mean())

    calibrated, temperatures = {}, {}
    for shrinkage, logits in held_out.items():
        # First to the scale of one, where the search for a temperature begins.
        scale = np.std(logits[scored][logits[scored] > ABSENT / 2]) or 1.0
        temperatures[shrinkage] = scale * fit_temperature(logits[scored] / scale, labels[scored])
        calibrated[shrinkage] = logits / temperatures[shrinkage]
    best = min(SHRINKAGES, key=lambda shrinkage: cross_entropy(calibrated[shrinkage][scored]))
    return DiscriminantFit(
        solver.classifier(best).divided_by(temperatures[best]),
        solver.spread(best),
        moments,
        best,
        temperatures[best],
        labels,
        calibrated[best],
        distances[best],
    )


def fit_discriminant(
    features: torch.Tensor, labels: np.ndarray, groups: Sequence[str], num_labels: int, shrinkage: float
) -> LinearClassifier:
    """The discriminant of one shrinkage, between 0 and 1; its logits are log densities, all classes as likely."""
    return DiscriminantSolver(ClassMoments.of(features, labels, groups), num_labels).classifier(shrinkage)


class DiscriminantSolver:
    """Solves with the shrunken covariance `(1 - s) S + s m I`, where S is the scatter of clips around their classes.

    With fewer clips N than features H, S has rank N at most: by Woodbury's identity an N x N system stands for the
    H x H one.

    Args:
        moments: Of the training clips.
        num_labels: L; classes that the moments do not know are never predicted.
    """

    def __init__(self, moments: ClassMoments, num_labels: int) -> None:
        self.moments, self.num_labels = moments, num_labels
        self.centre = moments.means.mean(dim=0)  # [H]
        offsets = moments.means - self.centre
        self.means = offsets * (moments.num_groups / (moments.num_groups + PRIOR_GROUPS))[:, None]  # [P, H]
        self.mean_variance = moments.mean_variance
        if self.mean_variance * moments.means.shape[1] <= 1e-12:
            # One clip a class: how far the classes lie apart stands for it.
            self.mean_variance = float((offsets**2).mean()) or 1.0 / moments.means.shape[1]
        self.residuals = moments.residuals  # [R, H]
        self.fewer_clips = len(self.residuals) < self.residuals.shape[1]
        product = self.residuals @ self.residuals.T if self.fewer_clips else self.residuals.T @ self.residuals
        self.product = product.double()

    def classifier(self, shrinkage: float) -> LinearClassifier:
        """The discriminant of one shrinkage, between 0 and 1; its logits are log densities, all classes as likely."""
        weight, bias = torch.zeros(self.num_labels, self.means.shape[1]), torch.full((self.num_labels,), ABSENT)
        directions = self._solve(shrinkage)  # [P, H]
        weight[self.moments.labels] = directions
        bias[self.moments.labels] = -directions @ self.centre - (self.means * directions).sum(dim=1) / 2
        return LinearClassifier(weight, bias)

    def spread(self, shrinkage: float) -> Spread:
        """What distances are measured by, of the same covariance."""
        variances, directions = self._principal_directions  # [K], [K, H]
        ridge, kept = shrinkage * self.mean_variance, (1 - shrinkage) * variances
        # By Woodbury's identity, what the inverse of `ridge + kept` leaves of the inverse of `ridge` alone.
        return Spread(self.centre, (kept / (ridge + kept)).sqrt()[:, None] * directions)

    @cached_property
    def _principal_directions(self) -> tuple[torch.Tensor, torch.Tensor]:
        return self.moments.principal_directions(NUM_DIRECTIONS)

    def _solve(self, shrinkage: float) -> torch.Tensor:
        """The covariance's inverse times the class means, `[P, H]`."""
        ridge, kept = shrinkage * self.mean_variance, 1 - shrinkage
        system = kept * self.product
        system.diagonal().add_(ridge)
        if not self.fewer_clips:
            return torch.linalg.solve(system, self.means.T.double()).T.to(self.means.dtype)
        inner = torch.linalg.solve(system, (self.residuals @ self.means.T).double())  # [R, P]
        return (self.means - kept * (self.residuals.T @ inner.to(self.means.dtype)).T) / ridge
