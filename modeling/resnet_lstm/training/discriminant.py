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
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold

from ..evaluation.calibration import fit_temperature
from ..evaluation.metrics import log_probabilities
from ..known_score import NUM_DIRECTIONS, squared_distances
from .class_moments import ClassMoments
from .fold_sums import NUM_SCORED, FoldSums

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


@dataclass(frozen=True)
class FitsWithoutFold:
    """Of each fold the fit to all others, its logits as sure as those of the fit to all.

    Attributes:
        num_labels: L.
        classifiers: F of them; none where nothing can be held out.
        spreads: F.
        known: F times `[L]`, which classes the others have clips of.
    """

    num_labels: int
    classifiers: list[LinearClassifier]
    spreads: list[Spread]
    known: list[np.ndarray]

    def score(self, features: torch.Tensor, labels: np.ndarray, folds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits `[N, L]` and distances `[N]` of clips, each by the fit without its fold; NaN where there is none.

        Args:
            features: `[N, H]`.
            labels: `[N]`.
            folds: `[N]`.
        """
        distances = np.full(len(labels), np.nan)
        logits = np.full((len(labels), self.num_labels), np.nan)
        for fold, (classifier, spread, known) in enumerate(
            zip(self.classifiers, self.spreads, self.known, strict=True)
        ):
            chosen = np.flatnonzero((folds == fold) & known[labels])
            of_fold = features[torch.from_numpy(chosen)]
            logits[chosen] = classifier(of_fold).numpy()
            distances[chosen] = spread.squared_distances(of_fold).numpy()
        return logits, distances

    def divided_by(self, temperature: float) -> FitsWithoutFold:
        """The fits whose logits are those of these divided by a number."""
        return replace(self, classifiers=[classifier.divided_by(temperature) for classifier in self.classifiers])


def fit_by_cross_validation(
    features: torch.Tensor,
    labels: np.ndarray,
    groups: Sequence[str],
    num_labels: int,
    seed: int = 0,
    num_scored: int = NUM_SCORED,
) -> DiscriminantFit:
    """Fit a discriminant, its shrinkage and temperature chosen by the cross entropy on groups that were held out.

    Args:
        features: `[N, H]`.
        labels: `[N]`.
        groups: `[N]`.
        num_labels: L.
        seed: Of the folds.
        num_scored: How many of the clips choose, where there are more than `most_rows`.
    """
    folds = group_folds(labels, groups, seed)
    sums = FoldSums(features.shape[1], num_labels, int(folds.max()) + 1, num_scored)
    sums.add(features, labels, groups, folds)
    fit, without_fold = fit_by_sums(sums)
    logits, distances = without_fold.score(features, labels, folds)
    return replace(fit, labels=labels, held_out_logits=logits, held_out_distances=distances)


def group_folds(labels: np.ndarray, groups: Sequence[str] | np.ndarray, seed: int = 0) -> np.ndarray:
    """The fold of each clip, `[N]`: all of a group are of one, and each has near the same classes. It may be but one.

    Args:
        labels: `[N]`.
        groups: `[N]`.
        seed: Of their order.
    """
    folds = np.zeros(len(labels), dtype=np.int64)
    num_folds = min(NUM_FOLDS, len(set(groups)), int(np.bincount(labels).max()))
    if num_folds > 1:
        splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
        with warnings.catch_warnings():
            # That a class has fewer clips than there are folds is what this is made for.
            warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
            for fold, (_, members) in enumerate(splitter.split(np.zeros(len(labels)), labels, groups)):
                folds[members] = fold
    return folds


def fit_by_sums(sums: FoldSums) -> tuple[DiscriminantFit, FitsWithoutFold]:
    """As `fit_by_cross_validation`, of clips of which all that is known are sums, and some of them to score.

    Args:
        sums: Of all clips.

    Returns:
        The fit, whose labels, held-out logits and distances are those of the clips that were scored, in their order;
        and those without a fold.
    """
    clips = sums.scored()
    by_shrinkage = _fits_without_fold(sums)
    solver = DiscriminantSolver(sums.moments(), sums.num_labels)
    least, best, temperature = np.inf, DEFAULT_SHRINKAGE, 0.0
    for shrinkage, fits in by_shrinkage.items():
        logits, _ = fits.score(clips.features, clips.labels, clips.folds)
        scored = np.flatnonzero(~np.isnan(logits[:, 0]))
        if len(scored):
            logits, labels = logits[scored], clips.labels[scored]
            # First to the scale of one, where the search for a temperature begins.
            scale = np.std(logits[logits > ABSENT / 2]) or 1.0
            divisor = scale * fit_temperature(logits / scale, labels)
            cross_entropy = -log_probabilities(logits / divisor)[np.arange(len(scored)), labels].mean()
            if cross_entropy < least:
                least, best, temperature = cross_entropy, shrinkage, divisor
    classifier = solver.classifier(best)
    if not temperature:
        # Nothing tells how sure to be: not very.
        present = np.isin(np.arange(sums.num_labels), solver.moments.labels)
        temperature = float(classifier(clips.features)[:, torch.from_numpy(present)].std()) or 1.0
    without_fold = by_shrinkage[best].divided_by(temperature)
    held_out_logits, held_out_distances = without_fold.score(clips.features, clips.labels, clips.folds)
    fit = DiscriminantFit(
        classifier=classifier.divided_by(temperature),
        spread=solver.spread(best),
        moments=solver.moments,
        shrinkage=best,
        temperature=temperature,
        labels=clips.labels,
        held_out_logits=held_out_logits,
        held_out_distances=held_out_distances,
    )
    return fit, without_fold


def _fits_without_fold(sums: FoldSums) -> dict[float, FitsWithoutFold]:
    """For each shrinkage the fits without one fold each; none where there is but one fold."""
    by_shrinkage = {shrinkage: FitsWithoutFold(sums.num_labels, [], [], []) for shrinkage in SHRINKAGES}
    for fold in range(sums.num_folds if sums.num_folds > 1 else 0):
        solver = DiscriminantSolver(sums.moments(without=fold), sums.num_labels)
        for shrinkage, fits in by_shrinkage.items():
            fits.classifiers.append(solver.classifier(shrinkage))
            fits.spreads.append(solver.spread(shrinkage))
            fits.known.append(np.isin(np.arange(sums.num_labels), solver.moments.labels))
        del solver  # before there is another of its size
    return by_shrinkage


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
        weight[self.moments.labels] = directions.float().cpu()
        of_classes = -directions @ self.centre - (self.means * directions).sum(dim=1) / 2
        bias[self.moments.labels] = of_classes.float().cpu()
        return LinearClassifier(weight, bias)

    def spread(self, shrinkage: float) -> Spread:
        """What distances are measured by, of the same covariance."""
        variances, directions = self._principal_directions  # [K], [K, H]
        ridge, kept = shrinkage * self.mean_variance, (1 - shrinkage) * variances
        # By Woodbury's identity, what the inverse of `ridge + kept` leaves of the inverse of `ridge` alone.
        directions = (kept / (ridge + kept)).sqrt()[:, None] * directions
        return Spread(self.centre.float().cpu(), directions.float().cpu())

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
