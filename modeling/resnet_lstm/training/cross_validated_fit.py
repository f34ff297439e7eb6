"""The discriminant fitted to clips, what it shrinks chosen by groups that are held out in turn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold

from ..evaluation.calibration import fit_temperature
from ..evaluation.metrics import log_probabilities
from .class_moments import ClassMoments
from .discriminant import ABSENT, Discriminant, DiscriminantSolver, LinearClassifier, Spread
from .fold_sums import NUM_SCORED, FoldSums, Rows

# Of which each is tried with each; PRIOR_GROUPS is how many groups the mean of all classes counts for.
SHRINKAGES = (0.4, 0.6, 0.8, 0.9, 0.97)
PRIOR_GROUPS = (1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
# Where the data are too few to choose by.
DEFAULT_SHRINKAGE, DEFAULT_PRIOR_GROUPS = 0.9, 2.0
NUM_FOLDS = 5


@dataclass(frozen=True)
class DiscriminantFit:
    """A classifier, and what it would say of its own training clips had it not seen them.

    Attributes:
        classifier: Fitted to all clips, its logits as sure as those of unseen groups allow.
        spread: Of all clips.
        moments: Of all clips.
        shrinkage: Of the covariance.
        prior_groups: How many groups the mean of all classes counts for.
        temperature: What the logits of the discriminant were divided by.
        labels: `[N]`, the clips' own.
        held_out_logits: `[N, L]`: each clip's logits by a classifier fitted without its group. NaN where none could
            be: a class whose clips are all of one group is unknown without it.
        held_out_distances: `[N]`: each clip's distance by the same fit. NaN where there is none.
        background_offset: What the logit of the background was lowered by since, held-out ones included.
    """

    classifier: LinearClassifier
    spread: Spread
    moments: ClassMoments
    shrinkage: float
    prior_groups: float
    temperature: float
    labels: np.ndarray
    held_out_logits: np.ndarray
    held_out_distances: np.ndarray
    background_offset: float = 0.0


@dataclass(frozen=True)
class FitsWithoutFold:
    """Of each fold the fit to all others.

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


def fit_by_cross_validation(
    features: torch.Tensor,
    labels: np.ndarray,
    groups: Sequence[str],
    num_labels: int,
    seed: int = 0,
    num_scored: int = NUM_SCORED,
) -> DiscriminantFit:
    """Fit a discriminant; what it shrinks, and its temperature, are chosen by groups that were held out.

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
    without_fold = _discriminants_without_fold(sums)
    solver = DiscriminantSolver(sums.moments(), sums.num_labels)
    choice = _choose(without_fold, clips)
    shrinkage, prior_groups, temperature = choice or (DEFAULT_SHRINKAGE, DEFAULT_PRIOR_GROUPS, 0.0)
    classifier = solver.classifier(shrinkage, prior_groups)
    if not temperature:
        # Nothing tells how sure to be: not very.
        present = np.isin(np.arange(sums.num_labels), solver.moments.labels)
        temperature = float(classifier(clips.features)[:, torch.from_numpy(present)].std()) or 1.0
    fits = [fits_of_fold[shrinkage] for fits_of_fold in without_fold]
    held_out = FitsWithoutFold(
        num_labels=sums.num_labels,
        classifiers=[discriminant.classifier(prior_groups).divided_by(temperature) for discriminant, _ in fits],
        spreads=[spread for _, spread in fits],
        known=[np.isin(np.arange(sums.num_labels), discriminant.labels) for discriminant, _ in fits],
    )
    held_out_logits, held_out_distances = held_out.score(clips.features, clips.labels, clips.folds)
    fit = DiscriminantFit(
        classifier=classifier.divided_by(temperature),
        spread=solver.spread(shrinkage),
        moments=solver.moments,
        shrinkage=shrinkage,
        prior_groups=prior_groups,
        temperature=temperature,
        labels=clips.labels,
        held_out_logits=held_out_logits,
        held_out_distances=held_out_distances,
    )
    return fit, held_out


def _discriminants_without_fold(sums: FoldSums) -> list[dict[float, tuple[Discriminant, Spread]]]:
    """Of each fold what is fitted to all others, for each shrinkage; none where there is but one fold."""
    without_fold = []
    for fold in range(sums.num_folds if sums.num_folds > 1 else 0):
        solver = DiscriminantSolver(sums.moments(without=fold), sums.num_labels)
        without_fold.append(
            {shrinkage: (solver.discriminant(shrinkage), solver.spread(shrinkage)) for shrinkage in SHRINKAGES}
        )
        del solver  # before there is another of its size
    return without_fold


def _choose(
    without_fold: list[dict[float, tuple[Discriminant, Spread]]], clips: Rows
) -> tuple[float, float, float] | None:
    """The shrinkage, how many groups the mean of all counts for, and the temperature by which held-out clips are told
    best; None where none can be held out."""
    least, best = np.inf, None
    for shrinkage in SHRINKAGES:
        projections, labels = [], []
        for fold, fits in enumerate(without_fold):
            discriminant, _ = fits[shrinkage]
            chosen = np.flatnonzero((clips.folds == fold) & np.isin(clips.labels, discriminant.labels))
            projections.append((discriminant, discriminant.projections(clips.features[torch.from_numpy(chosen)])))
            labels.append(clips.labels[chosen])
        if not sum(map(len, labels)):
            return None
        of_clips = np.concatenate(labels)
        for prior_groups in PRIOR_GROUPS:
            logits = torch.cat([each.logits(projected, prior_groups) for each, projected in projections]).numpy()
            # First to the scale of one, where the search for a temperature begins.
            scale = np.std(logits[logits > ABSENT / 2]) or 1.0
            temperature = scale * fit_temperature(logits / scale, of_clips)
            cross_entropy = -log_probabilities(logits / temperature)[np.arange(len(of_clips)), of_clips].mean()
            if cross_entropy < least:
                least, best = cross_entropy, (shrinkage, prior_groups, float(temperature))
    return best
