"""One way to an Accelerator, for every launcher and machine."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from itertools import islice
from typing import Any, TypeVar

import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list, gather_object

# What `accelerate launch` says of it in the environment.
_CUT_MODELS = ("FSDP", "DEEPSPEED", "MEGATRON_LM")
# One waits for another that still has a long video to read, or clips to score. Who has ended is noticed at once.
_LONGEST_WAIT = timedelta(days=1)

_Found = TypeVar("_Found")


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
    waiting = InitProcessGroupKwargs(timeout=_LONGEST_WAIT)
    with _printing_to_stderr() if "WORLD_SIZE" in os.environ else nullcontext():
        return Accelerator(cpu=not torch.accelerator.is_available(), kwargs_handlers=[waiting], **kwargs)


@contextmanager
def _printing_to_stderr() -> Iterator[None]:
    """What libraries write past Python to stdout goes to stderr.

    Gloo tells of each connection in PyTorch 2.8, and stdout is for the answers of a command, which another program may
    read.
    """
    sys.stdout.flush()
    stdout = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(stdout, 1)
        os.close(stdout)


def end_together(accelerator: Accelerator) -> None:
    """Wait for the other processes of the run and part from them: one that ends connected may take another down."""
    accelerator.wait_for_everyone()
    accelerator.end_training()


def own_share() -> slice:
    """Which of a list's items are this process's: those of all processes of the run are the list."""
    state = PartialState()
    return slice(state.process_index, None, state.num_processes)


def own_stretch(num_items: int) -> slice:
    """As `own_share`, of so many items that lie side by side in files: so do a process's, which reads few files."""
    state = PartialState()
    start, end = (num_items * (state.process_index + i) // state.num_processes for i in (0, 1))
    return slice(start, end)


def found_by_first(find: Callable[[], _Found]) -> _Found:
    """What the first process of the run finds, for all of them, which must all make this call."""
    found = [find() if PartialState().is_main_process else None]
    broadcast_object_list(found)
    first: _Found = found[0]  # type: ignore[assignment]
    return first


def answers_of_all(answers: Iterable[_Found], num_items: int, at_a_time: int) -> Iterator[_Found]:
    """For the first process of the run the answers of all of them, in the order of what they answer; else none.

    Args:
        answers: Of this process, to its `own_share` of a list. All processes must make this call and go to the end.
        num_items: How many the list has.
        at_a_time: After so many of its answers a process gives them away, and waits for the others to do so.
    """
    state = PartialState()
    if state.num_processes == 1:
        yield from answers
        return
    own = iter(answers)
    for _ in range(0, num_items, at_a_time * state.num_processes):
        shares: list[list[_Found]] = gather_object([list(islice(own, at_a_time))])
        if state.is_main_process:
            yield from (share[index] for index in range(at_a_time) for share in shares if index < len(share))
    deque(own, maxlen=0)  # what is left to do after the last answer


def add_up(tensor: torch.Tensor) -> None:
    """Replace a tensor by its sum over all processes of the run, all of which must make this call."""
    state = PartialState()
    if state.num_processes > 1:
        # Some backends know tensors of their own device alone.
        total = tensor.to(state.device)
        torch.distributed.all_reduce(total)
        if total is not tensor:
            tensor.copy_(total)
