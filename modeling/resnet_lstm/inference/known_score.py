"""Whether one of the model's actions is there at all.

The classifier that is fitted to a frozen backbone's features gives log-densities, less that of the centre of all
classes: a logit of 0 says that the action is as likely as nothing in particular. So "none of them" takes its place
among the actions with a logit of 0, and what is known has the probability

    sum exp(logits) / (1 + sum exp(logits)) = sigmoid(log-sum-exp of the logits),

the energy score (Liu et al., https://arxiv.org/abs/2010.03759) with a zero that means something. The logits of a
head that learned by gradient descent have no such zero; their exponentials sum to more than 1, and all is taken for
known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch

# Another way of telling: logits [B, L] of windows and their frames' features [B, T, D], tensors both -> [B], how
# probable it is, from 0 to 1, that a window shows one of the model's actions at all.
KnownScore: TypeAlias = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def known_probability(logits: np.ndarray) -> np.ndarray:
    """How probable it is, from 0 to 1, that one of the actions is there at all.

    Args:
        logits: `[..., L]`.

    Returns:
        `[...]`.
    """
    highest = np.maximum(logits.max(axis=-1), 0)
    exponentials = np.exp(logits - highest[..., None]).sum(axis=-1)
    return exponentials / (exponentials + np.exp(-highest))
