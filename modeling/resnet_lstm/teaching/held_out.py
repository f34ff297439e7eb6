"""What a taught model would say of the clips it was taught by, had it not seen their recordings."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from sklearn.model_selection import GroupKFold

from ..training.class_moments import ClassMoments
from ..training.discriminant import DiscriminantSolver

# Of more recordings, several are left out together.
MOST_FITS = 50


def held_out_logits(
    old: ClassMoments | None,
    features: torch.Tensor,
    labels: np.ndarray,
    groups: Sequence[str],
    num_labels: int,
    shrinkage: float,
) -> np.ndarray:
    """Logits of each clip by a discriminant fitted without the clip's recording.

    Args:
        old: The moments of clips of other classes, which are in every fit; None if there are none.
        features: `[N, H]`.
        labels: `[N]`.
        groups: `[N]`, the recordings.
        num_labels: L.
        shrinkage: Of the covariance.

    Returns:
        `[N, L]`; NaN where a class has no other recording.
    """
    logits = np.full((len(labels), num_labels), np.nan)
    num_folds = min(MOST_FITS, len(set(groups)))
    if num_folds < 2:
        return logits
    for train, test in GroupKFold(num_folds).split(labels, labels, groups):
        moments = ClassMoments.of(features[train], labels[train], [groups[index] for index in train])
        moments = moments if old is None else old.and_also(moments)
        known = test[np.isin(labels[test], labels[train])]
        if len(known) and len(moments.labels) > 1:
            classifier = DiscriminantSolver(moments, num_labels).classifier(shrinkage)
            logits[known] = classifier(features[known]).numpy()
    return logits
