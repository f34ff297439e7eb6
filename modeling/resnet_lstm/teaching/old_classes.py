"""What a model knows of its classes, as the discriminant asks for it."""

from __future__ import annotations

import numpy as np

from ..class_statistics import ClassStatistics
from ..training.class_moments import ClassMoments


def moments_of(statistics: ClassStatistics) -> ClassMoments:
    """The moments of the training clips, from what is kept of them."""
    num_groups = statistics.num_groups.cpu()
    present = num_groups > 0
    return ClassMoments(
        np.flatnonzero(present.numpy()),
        statistics.means.cpu()[present],
        num_groups[present],
        int(statistics.num_clips),
        statistics.directions.cpu(),
        float(statistics.mean_variance),
    )


def known_scores_of(statistics: ClassStatistics) -> np.ndarray:
    """The known scores of as many clips as the model was trained on, drawn evenly from what is kept of theirs."""
    quantiles = statistics.known_scores.cpu().numpy()
    at = np.linspace(0, 1, int(statistics.num_clips))
    return np.interp(at, np.linspace(0, 1, len(quantiles)), quantiles)
