"""One way to an Accelerator, for every launcher and machine."""

from __future__ import annotations

from typing import Any

import torch
from accelerate import Accelerator


def create_accelerator(**kwargs: Any) -> Accelerator:
    """An `Accelerator` that also knows its siblings on a machine with nothing but a CPU.

    Under `torchrun` on such a machine a plain `Accelerator()` takes each process for the only one, and all of them do
    all of the work.

    Args:
        **kwargs: Those of `Accelerator`.
    """
    return Accelerator(cpu=not torch.accelerator.is_available(), **kwargs)
