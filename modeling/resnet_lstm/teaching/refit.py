"""The discriminant fitted anew to clips of new classes, beside what a model keeps of the clips of its old ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..class_statistics import ClassStatistics
from ..training.class_moments import ClassMoments
from ..training.discriminant import (
    PRIOR_GROUPS,
    DiscriminantFit,
    DiscriminantSolver,
    LinearClassifier,
    fit_by_cross_validation,
)

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

    The shrinkage and the scale of the logits stay what they were for the clips that the model was trained on, of which
    there were more; where nothing is known of these, both are chosen by the new clips. The classifier's bias makes up
    for how few recordings a class was learned from, see `_with_offsets_of_few`.

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
        shrinkage, divisor = chosen.shrinkage, chosen.temperature
    else:
        old = ClassMoments.from_statistics(statistics)
        old = old if keep_classes else old.without_classes()
        shrinkage, divisor = float(statistics.shrinkage), float(statistics.divisor)

    def solver(indices: np.ndarray) -> DiscriminantSolver:
        new = ClassMoments.of(features[indices], labels[indices], [groups[index] for index in indices])
        return DiscriminantSolver(new if old is None else old.and_also(new), num_labels)

    held_out_logits = np.full((len(labels), num_labels), np.nan)
    held_out_distances = np.full(len(labels), np.nan)
    # Recordings of one class come one after another: no fold holds two of them, unless there are very many.
    fold_of = {group: number % MOST_FITS for number, group in enumerate(dict.fromkeys(groups))}
    folds = np.array([fold_of[group] for group in groups])
    for fold in range(folds.max() + 1):
        test = np.flatnonzero(folds == fold)
        without = solver(np.flatnonzero(folds != fold))
        held_out_logits[test] = without.classifier(shrinkage)(features[test]).numpy() / divisor
        held_out_distances[test] = without.spread(shrinkage).squared_distances(features[test]).numpy()
    fitted = solver(np.arange(len(labels)))
    classifier = fitted.classifier(shrinkage).divided_by(divisor)
    own = np.arange(len(labels)), labels
    gains = classifier(features).numpy()[own] - held_out_logits[own]
    offsets = torch.zeros(num_labels)
    if statistics is not None and keep_classes:
        offsets[: len(statistics.offsets)] = statistics.offsets.cpu()
    offsets = _with_offsets_of_few(offsets, fitted.moments, labels, gains)
    fit = DiscriminantFit(
        classifier=LinearClassifier(classifier.weight, classifier.bias + offsets),
        spread=fitted.spread(shrinkage),
        moments=fitted.moments,
        shrinkage=shrinkage,
        temperature=divisor,
        labels=labels,
        held_out_logits=held_out_logits + offsets.numpy(),
        held_out_distances=held_out_distances,
    )
    return fit, offsets


def _with_offsets_of_few(
    offsets: torch.Tensor, moments: ClassMoments, labels: np.ndarray, gains: np.ndarray
) -> torch.Tensor:
    """What a class needs for having been learned from fewer recordings than others.

    Of the mean of n recordings, drawn towards that of all classes by the factor a (`discriminant`), a part is chance.
    It makes clips look farther from the class than they are, its own by a^2 c / 2n on average, where c is the trace of
    the chance part's covariance for one recording, by the discriminant's metric. Clips that the mean was learned from
    it makes look nearer, by a c / n; so c is told by what they gain over being held out.

    Args:
        offsets: `[L]`, what other classes were given when they were taught.
        moments: Of all clips.
        labels: `[N]`, of the clips to learn from.
        gains: `[N]`, the logit of each clip's own class, less what it is by a fit without the clip's recording.

    Returns:
        The offsets with those of the classes that are learned: what they need more than is left to need for others.
    """
    num_groups = moments.num_groups.numpy()
    pulls = num_groups / (num_groups + PRIOR_GROUPS)
    row_of_clip = np.searchsorted(moments.labels, labels)
    chance = float(np.mean(gains * (num_groups / pulls)[row_of_clip]))
    needs = pulls**2 * chance / (2 * num_groups)
    is_learned = np.isin(moments.labels, labels)
    others = ~is_learned if not is_learned.all() else is_learned
    given = np.where(is_learned, 0.0, offsets.numpy()[moments.labels])
    offsets = offsets.clone()
    offsets[moments.labels[is_learned]] = torch.from_numpy(needs[is_learned] - (needs - given)[others].mean()).float()
    return offsets
