"""The straight line from pretrained to tuned weights: what tuning taught can be taken in part.

Wortsman et al., "Robust fine-tuning of zero-shot models" (WiSE-FT), CVPR 2022.
"""

from __future__ import annotations

import torch
from torch import nn

# 0 is the pretrained backbone, 1 the tuned one.
POINTS = (0.0, 0.25, 0.5, 0.75, 1.0)


class WeightLine:
    """Sets a module's weights to points between two of its states.

    Args:
        module: As it is now, it is at the end of the line.
        start: Its `state_dict` at the beginning.
    """

    def __init__(self, module: nn.Module, start: dict[str, torch.Tensor]) -> None:
        self._module, self._start = module, start
        self._end = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    def move_to(self, point: float) -> None:
        """Put the module at a point, from 0 to 1. Both ends are met to the bit."""
        weights = {}
        for name, end in self._end.items():
            start = self._start[name]
            is_between = end.is_floating_point() and 0 < point < 1
            weights[name] = torch.lerp(start, end, point) if is_between else (end if point else start)
        self._module.load_state_dict(weights)
