"""L2-SP: weight decay towards the weights that a model comes with, in place of zero.

Li, Grandvalet and Davoine, "Explicit Inductive Bias for Transfer Learning with Convolutional Networks", ICML 2018.
"""

from __future__ import annotations

import torch
from torch import nn


class PullToStart:
    """A term of the loss that grows with the distance of the trained weights from where they are now.

    Args:
        model: Its weights with a gradient are pulled.
        strength: What half of the squared distance is multiplied by.
    """

    def __init__(self, model: nn.Module, strength: float) -> None:
        self._strength = strength
        self._start = [
            (parameter, parameter.detach().clone()) for parameter in model.parameters() if parameter.requires_grad
        ]

    def __call__(self) -> torch.Tensor:
        """The term, `[]`."""
        return self._strength / 2 * sum(((now - then) ** 2).sum() for now, then in self._start)  # type: ignore[return-value]
