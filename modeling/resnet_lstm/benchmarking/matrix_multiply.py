"""What the processor can do at most: the time of a computation if it were one large matrix multiplication."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..device_precision import precision_name
from .turns import Contender

_SIZE = 2048


def flop_of(module: nn.Module, *inputs: torch.Tensor) -> int:
    """Floating-point operations of a module's call, a multiplication and an addition counted as two."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(*inputs)
    return counter.get_total_flops()


def matrix_multiply_limit(flop: float, dtype: torch.dtype = torch.float32) -> Contender:
    """Multiplies matrices of 2048 x 2048 for as long as so many operations take.

    PyTorch multiplies by one of two libraries, as a product or as a convolution of 1 x 1; on some processors one of
    them knows half of the instructions only. The faster one counts.
    """
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(_SIZE, _SIZE, generator=generator).to(dtype) for _ in range(2))
    product = torch.empty(_SIZE, _SIZE, dtype=dtype)
    pixels = torch.randn(1, _SIZE, 32, 64, generator=generator).to(dtype, memory_format=torch.channels_last)
    filters = right.reshape(_SIZE, _SIZE, 1, 1)
    multiply = min((lambda: torch.mm(left, right, out=product), lambda: F.conv2d(pixels, filters)), key=_seconds)
    times = max(1, round(flop / (2 * _SIZE**3)))

    @torch.inference_mode()
    def run(number: int) -> None:
        for _ in range(times):
            multiply()

    return Contender(f"matrix multiplications, {precision_name(dtype)}", run, per=times * 2 * _SIZE**3 / flop)


@torch.inference_mode()
def _seconds(multiply: Callable[[], torch.Tensor]) -> float:
    """The best of a few."""
    best = float("inf")
    for _ in range(5):
        started = time.perf_counter()
        multiply()
        best = min(best, time.perf_counter() - started)
    return best
