"""Clips that are decoded ahead of what reads them: by processes for a device, in turns with the backbone on a CPU."""

from __future__ import annotations

import itertools
import multiprocessing
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

import torch

# Also registers how tensors pass between processes: by shared memory, not by their bytes.
import torch.multiprocessing

_Item = TypeVar("_Item")
_Loaded = TypeVar("_Loaded")

# Decodes an item, with so many threads.
Load = Callable[[_Item, int], _Loaded]


class LoadingError(OSError):
    """A process that decodes has died."""


def default_num_workers(device: torch.device | str) -> int:
    """How many processes decode for a device: one for each core that this process may use; for a CPU none.

    On a CPU a decoder beside the backbone would take one of its cores, and the others wait for it at each layer.
    """
    if torch.device(device).type == "cpu":
        return 0
    # Containers are often given fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_ahead(load: Load[_Item, _Loaded], items: Iterable[_Item], num_workers: int, ahead: int) -> Iterator[_Loaded]:
    """Load items in their order, while what was loaded before is used.

    Args:
        load: Decodes an item. With workers it runs in other processes: it, the items and what it gives are pickled,
            but for tensors, which are shared.
        items: As many as there are; they are taken as they are needed.
        num_workers: Processes. With none, as many items as there are cores are loaded at a time, by threads, and the
            next ones when these have been used.
        ahead: How many items may wait besides those that are being loaded.

    Raises:
        LoadingError: A process has died.
    """
    if num_workers:
        return _load_in_processes(load, items, num_workers, ahead)
    return _load_in_turns(load, items)


def _load_in_turns(load: Load[_Item, _Loaded], items: Iterable[_Item]) -> Iterator[_Loaded]:
    num_threads = torch.get_num_threads()
    items = iter(items)
    with ThreadPoolExecutor(num_threads) as pool:
        while portion := list(itertools.islice(items, num_threads)):
            # A clip that comes alone may take all cores.
            threads_each = 1 if len(portion) > 1 else 0
            yield from list(pool.map(load, portion, itertools.repeat(threads_each)))


def _load_in_processes(
    load: Load[_Item, _Loaded], items: Iterable[_Item], num_workers: int, ahead: int
) -> Iterator[_Loaded]:
    waiting: deque[Future[Any]] = deque()
    pool = ProcessPoolExecutor(num_workers, multiprocessing.get_context(), initializer=_begin, initargs=(load,))
    try:
        for item in items:
            waiting.append(pool.submit(_load, item))
            if len(waiting) >= num_workers + ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise LoadingError(
            f"one of {num_workers} processes that decode has died, perhaps for want of memory. Try fewer."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_load_item: Load[Any, Any]


def _begin(load: Load[Any, Any]) -> None:
    """Prepare a process: what it shall do is sent once, and its threads do not fight for the cores."""
    global _load_item
    _load_item = load
    torch.set_num_threads(1)


def _load(item: Any) -> Any:
    return _load_item(item, 1)
