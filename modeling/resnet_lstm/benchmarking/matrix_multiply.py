"""What the processor can do at most: the time of a computation if it were one large matrix multiplication."""

from __future__ import annotations

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from .turns import Contender

_SIZE = 2048


def flop_of(module: nn.Module, *inputs: torch.Tensor) -> int:
    """Floating-point operations of a module's call, a multiplication and an addition counted as two."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops()


def matrix_multiply_limit(flop: float) -> Contender:
    """Multiplies float32 matrices of 2048 x 2048 for as long as so many operations take."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(_SIZE, _SIZE, generator=generator) for _ in range(2))
    product = torch.empty(_SIZE, _SIZE)
    times = max(1, round(flop / (2 * _SIZE**3)))

    def run(number: int) -> None:
        for _ in range(times):
            torch.mm(left, right, out=product)

    return Contender("matrix multiplications", run, per=times * 2 * _SIZE**3 / flop)
