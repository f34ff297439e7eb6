"""The discriminant fitted anew to clips of new classes, beside what a model keeps of the clips of its old ones."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from ..class_statistics import ClassStatistics
from ..training.class_moments import ClassMoments
from ..training.discriminant import DiscriminantFit, DiscriminantSolver, fit_by_cross_validation

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
) -> DiscriminantFit:
    """Fit the discriminant of a taught model.

    The shrinkage and the scale of the logits stay what they were for the clips that the model was trained on, of which
    there were more; where nothing is known of these, both are chosen by the new clips.

    Args:
        statistics: What the model keeps of its training clips, if it does.
        features: `[N, H]` of the new clips.
        labels: `[N]`, ids of the taught model.
        groups: `[N]`, the recordings.
        num_labels: L, of the taught model.
        keep_classes: Whether its first classes are those of `statistics`. Otherwise these tell no more than how much
            clips of one class differ.

    Returns:
        The fit; its held-out logits and distances are those of the new clips, each by a fit without its recording.
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
    return DiscriminantFit(
        classifier=fitted.classifier(shrinkage).divided_by(divisor),
        spread=fitted.spread(shrinkage),
        moments=fitted.moments,
        shrinkage=shrinkage,
        temperature=divisor,
        labels=labels,
        held_out_logits=held_out_logits,
        held_out_distances=held_out_distances,
    )
