"""One way to an Accelerator, for every launcher and machine."""

from __future__ import annotations

import os
from typing import Any

import torch
from accelerate import Accelerator, PartialState

# What `accelerate launch` says of it in the environment.
_CUT_MODELS = ("FSDP", "DEEPSPEED", "MEGATRON_LM")


def create_accelerator(**kwargs: Any) -> Accelerator:
    """An `Accelerator` that also knows its siblings on a machine with nothing but a CPU.

    Under `torchrun` on such a machine a plain `Accelerator()` takes each process for the only one, and all of them do
    all of the work.

    Args:
        **kwargs: Those of `Accelerator`.

    Raises:
        ValueError: The launcher shall cut the model into parts.
    """
    for name in _CUT_MODELS:
        if os.environ.get(f"ACCELERATE_USE_{name}", "false") == "true":
            raise ValueError(
                f"launched with {name}: it cuts a model that is too large for one device, and this one is not. Launch "
                "with --multi_gpu alone: each process then has a whole model and a part of the clips."
            )
    return Accelerator(cpu=not torch.accelerator.is_available(), **kwargs)


def own_share() -> slice:
    """Which of a list's items are this process's: those of all processes of the run are the list."""
    state = PartialState()
    return slice(state.process_index, None, state.num_processes)


def add_up(tensor: torch.Tensor) -> None:
    """Replace a tensor by its sum over all processes of the run, all of which must make this call."""
    state = PartialState()
    if state.num_processes > 1:
        # Some backends know tensors of their own device alone.
        total = tensor.to(state.device)
        torch.distributed.all_reduce(total)
        if total is not tensor:
            tensor.copy_(total)
