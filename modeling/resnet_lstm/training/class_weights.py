"""How much each class weighs in the training loss."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch


def class_weights(labels: Sequence[int], num_labels: int, scheme: str) -> torch.Tensor:
    """The weight of each class in the training loss.

    Args:
        labels: `[N]`, the label ids of the training clips.
        num_labels: L.
        scheme: "none" gives every clip the same weight, "balanced" every class (a clip's weight is the inverse of its
            class's clips), "sqrt" is half-way (the inverse root).

    Returns:
        `[L]` float32, scaled so that the mean weight of a clip is 1. A class without clips has the weight 0.
    """
    counts = np.bincount(np.asarray(labels), minlength=num_labels).astype(np.float64)
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[scheme]
    weights = np.divide(1.0, counts**power, out=np.zeros(num_labels), where=counts > 0)
    return torch.tensor(weights * counts.sum() / (weights * counts).sum(), dtype=torch.float32)
