"""The discriminant fitted anew to clips of new classes, beside what a model keeps of the clips of its old ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..class_statistics import ClassStatistics
from ..training.class_moments import ClassMoments
from ..training.cross_validated_fit import DiscriminantFit, fit_by_cross_validation
from ..training.discriminant import DiscriminantSolver, LinearClassifier

# Recordings are left out one at a time up to so many; of more, several at a time.
MOST_FITS = 50


def refit_discriminant(
    statistics: ClassStatistics | None,
    features: torch.Tensor,
    labels: np.ndarray,
    groups: Sequence[str],
    num_labels: int,
    *,
    keep_classes: bool,
) -> tuple[DiscriminantFit, torch.Tensor]:
    """Fit the discriminant of a taught model.

    The shrinkage, the pull on the means and the scale of the logits stay what they were for the clips that the model
    was trained on, of which there were more; where nothing is known of these, they are chosen by the new clips. The
    classifier's bias makes up for how few recordings a class was learned from, see `_with_offsets_of_few`.

    Args:
        statistics: What the model keeps of its training clips, if it does.
        features: `[N, H]` of the new clips.
        labels: `[N]`, ids of the taught model.
        groups: `[N]`, the recordings.
        num_labels: L, of the taught model.
        keep_classes: Whether its first classes are those of `statistics`. Otherwise these tell no more than how much
            clips of one class differ.

    Returns:
        The fit, whose held-out logits and distances are those of the new clips, each by a fit without its recording;
        and what its logits are above those of the discriminant, `[L]`.
    """
    old = None
    if statistics is None:
        chosen = fit_by_cross_validation(features, labels, groups, num_labels)
        shrinkage, prior_groups, divisor = chosen.shrinkage, chosen.prior_groups, chosen.temperature
    else:
        old = ClassMoments.from_statistics(statistics)
        old = old if keep_classes else old.without_classes()
        shrinkage, prior_groups = float(statistics.shrinkage), float(statistics.prior_groups)
        divisor = float(statistics.divisor)

    def solver(indices: np.ndarray) -> DiscriminantSolver:
        new = ClassMoments.of(features[indices], labels[indices], [groups[index] for index in indices])
        return DiscriminantSolver(new if old is None else old.and_also(new), num_labels)

    # Recordings of one class come one after another: no fold holds two of them, unless there are very many.
    fold_of = {group: number % MOST_FITS for number, group in enumerate(dict.fromkeys(groups))}
    folds = np.array([fold_of[group] for group in groups])
    held_out_logits = np.empty((len(labels), num_labels))
    held_out_distances = np.empty(len(labels))
    held_out_moments = []
    for fold in range(folds.max() + 1):
        without = solver(np.flatnonzero(folds != fold))
        held_out_moments.append(without.moments)
        of_fold = features[folds == fold]
        held_out_logits[folds == fold] = without.classifier(shrinkage, prior_groups)(of_fold).numpy() / divisor
        held_out_distances[folds == fold] = without.spread(shrinkage).squared_distances(of_fold).numpy()
    fitted = solver(np.arange(len(labels)))
    classifier = fitted.classifier(shrinkage, prior_groups).divided_by(divisor)

    own = np.arange(len(labels)), labels
    gains = classifier(features).numpy()[own] - held_out_logits[own]
    chance = _chance_part(fitted.moments, labels, gains, prior_groups)
    offsets = np.zeros(num_labels)
    if statistics is not None and keep_classes:
        offsets[: len(statistics.offsets)] = statistics.offsets.cpu().numpy()
    for fold, moments in enumerate(held_out_moments):
        held_out_logits[folds == fold] += _with_offsets_of_few(offsets, moments, labels, chance, prior_groups)
    offsets = _with_offsets_of_few(offsets, fitted.moments, labels, chance, prior_groups)
    fit = DiscriminantFit(
        classifier=LinearClassifier(classifier.weight, classifier.bias + torch.from_numpy(offsets).float()),
        spread=fitted.spread(shrinkage),
        moments=fitted.moments,
        shrinkage=shrinkage,
        prior_groups=prior_groups,
        temperature=divisor,
        labels=labels,
        held_out_logits=held_out_logits,
        held_out_distances=held_out_distances,
    )
    return fit, torch.from_numpy(offsets).float()


def _chance_part(moments: ClassMoments, labels: np.ndarray, gains: np.ndarray, prior_groups: float) -> float:
    """How much of the logits is due to which recordings there are, if a class had one.

    Of the mean of n recordings, which is drawn towards that of all classes by the factor a (`discriminant`), a part is
    chance. Clips that the mean was learned from it makes look nearer, by a c / n, where c is the trace of the chance
    part's covariance for one recording, by the discriminant's metric: the c that is wanted.

    Args:
        moments: Of all clips.
        labels: `[N]`, of the clips to learn from.
        gains: `[N]`, the logit of each clip's own class, less what it is by a fit without the clip's recording.
        prior_groups: How many groups the mean of all classes counts for.
    """
    num_groups = moments.num_groups.numpy()[np.searchsorted(moments.labels, labels)]
    return float(np.mean(gains * num_groups / _pulls(num_groups, prior_groups)))


def _with_offsets_of_few(
    offsets: np.ndarray, moments: ClassMoments, labels: np.ndarray, chance: float, prior_groups: float
) -> np.ndarray:
    """What the logits of classes need for having been learned from fewer recordings than others.

    The chance part of a class's mean makes the clips that it was not learned from look farther than they are, by
    a^2 c / 2n on average, in the terms of `_chance_part`.

    Args:
        offsets: `[L]`, what other classes were given when they were taught.
        moments: Of all clips.
        labels: Of the clips to learn from.
        chance: Of `_chance_part`.
        prior_groups: How many groups the mean of all classes counts for.

    Returns:
        `[L]`; the classes that are learned get what they need more than what the others lack on average.
    """
    num_groups = moments.num_groups.numpy()
    needs = _pulls(num_groups, prior_groups) ** 2 * chance / (2 * num_groups)
    is_learned = np.isin(moments.labels, labels)
    lacks = np.where(is_learned, needs, needs - offsets[moments.labels])
    others = is_learned if is_learned.all() else ~is_learned
    result = offsets.copy()
    result[moments.labels[is_learned]] = needs[is_learned] - lacks[others].mean()
    return result


def _pulls(num_groups: np.ndarray, prior_groups: float) -> np.ndarray:
    """How far the means of so many recordings are from that of all classes, in parts of what they were."""
    return num_groups / (num_groups + prior_groups)
