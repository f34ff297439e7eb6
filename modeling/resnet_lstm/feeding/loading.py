"""Clips that are decoded ahead of what reads them: by processes for a device, in turns with the backbone on a CPU.

A process writes the pictures into a slot of memory that it shares with the main process and that is used again and
again, so that they are neither sent nor mapped anew.
"""

from __future__ import annotations

import itertools
import math
import multiprocessing
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace

import numpy as np
import torch

# Also registers how tensors pass between processes.
import torch.multiprocessing

from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..video_sources import VideoDecodingError, VideoSource
from .clip_pictures import ClipPictures, load_pictures


class LoadingError(OSError):
    """A process that decodes has died."""


@dataclass(frozen=True)
class PictureRequest:
    """A clip that shall be decoded.

    Attributes:
        source: A path, an http(s) URL, the file's bytes, or a binary file object (not for other processes).
        generator: Draws a random frame of each segment; without it the middle ones are taken.
        to_show: Whether to keep the frames for people too.
    """

    source: VideoSource
    generator: np.random.Generator | None = None
    to_show: bool = False


@dataclass(frozen=True)
class UnreadableClip:
    """A clip that could not be decoded.

    Attributes:
        error: Why, in one line that names it.
    """

    error: str


Loaded = ClipPictures | UnreadableClip


def default_num_workers(device: torch.device | str) -> int:
    """How many processes decode for a device: one for each core that this process may use; for a CPU none.

    On a CPU a decoder beside the backbone would take one of its cores, and the others wait for it at each layer.
    """
    if torch.device(device).type == "cpu":
        return 0
    # Containers are often given fewer cores than the machine has.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def load_batches(
    processor: ResNetLSTMVideoProcessor, requests: Iterable[PictureRequest], *, batch_size: int, num_workers: int
) -> Iterator[list[Loaded]]:
    """Decode clips in their order, while those before are used.

    Args:
        processor: How many frames, and their size.
        requests: As many as there are; they are taken as they are needed.
        batch_size: Clips of a batch.
        num_workers: Processes that decode. With none, as many clips as there are cores are decoded at a time, by
            threads, and the next ones when these have been used.

    Yields:
        The clips of a batch. Their `pictures` are lent until the next batch is asked for.

    Raises:
        LoadingError: A process has died.
    """
    if num_workers:
        return _load_in_processes(processor, requests, batch_size, num_workers)
    loaded = _load_in_turns(processor, requests)
    return iter(lambda: list(itertools.islice(loaded, batch_size)), [])


def _load(request: PictureRequest, processor: ResNetLSTMVideoProcessor, num_threads: int) -> Loaded:
    try:
        return load_pictures(
            request.source,
            processor,
            generator=request.generator,
            num_threads=num_threads,
            to_show=request.to_show,
        )
    except VideoDecodingError as error:
        return UnreadableClip(str(error))


def _load_in_turns(processor: ResNetLSTMVideoProcessor, requests: Iterable[PictureRequest]) -> Iterator[Loaded]:
    num_threads = torch.get_num_threads()
    requests = iter(requests)
    with ThreadPoolExecutor(num_threads) as pool:
        while portion := list(itertools.islice(requests, num_threads)):
            # A clip that comes alone may take all cores.
            threads_each = 1 if len(portion) > 1 else 0
            repeated = itertools.repeat
            yield from list(pool.map(_load, portion, repeated(processor), repeated(threads_each)))


def _load_in_processes(
    processor: ResNetLSTMVideoProcessor, requests: Iterable[PictureRequest], batch_size: int, num_workers: int
) -> Iterator[list[Loaded]]:
    num_waiting = num_workers + 2 * batch_size
    slots = _picture_slots(processor, num_waiting + batch_size)
    free = deque(range(len(slots)))
    pool = ProcessPoolExecutor(
        num_workers, multiprocessing.get_context(), initializer=_begin, initargs=(processor, slots)
    )
    requests = iter(requests)
    waiting: deque[tuple[int, Future[Loaded]]] = deque()
    try:
        while True:
            for request in itertools.islice(requests, num_waiting - len(waiting)):
                slot = free.popleft()
                waiting.append((slot, pool.submit(_load_into_slot, request, slot)))
            coming = [waiting.popleft() for _ in range(min(batch_size, len(waiting)))]
            if not coming:
                return
            yield [_from_slot(loaded.result(), slots[slot]) for slot, loaded in coming]
            free.extend(slot for slot, _ in coming)
    except BrokenProcessPool as error:
        raise LoadingError(
            f"one of {num_workers} processes that decode has died, perhaps for want of memory or of shared memory "
            f"({slots.nbytes / 2**20:.0f} MiB were asked for). Try fewer, or smaller batches."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _picture_slots(processor: ResNetLSTMVideoProcessor, num_slots: int) -> torch.Tensor:
    """`[num_slots, T, height, width, 3]` uint8, shared; pictures of another size do not go through it."""
    size = dict(processor.size)
    shape = (processor.num_frames, size.get("height") or 0, size.get("width") or 0, 3)
    # Not by `share_memory_`, which would copy what is not there yet.
    storage = torch.UntypedStorage._new_shared(num_slots * math.prod(shape))
    return torch.tensor([], dtype=torch.uint8).set_(storage).view(num_slots, *shape)


def _from_slot(loaded: Loaded, slot: torch.Tensor) -> Loaded:
    if isinstance(loaded, ClipPictures) and not loaded.pictures.numel():
        return replace(loaded, pictures=slot)
    return loaded


# Of a process that decodes.
_processor: ResNetLSTMVideoProcessor
_slots: torch.Tensor


def _begin(processor: ResNetLSTMVideoProcessor, slots: torch.Tensor) -> None:
    global _processor, _slots
    _processor, _slots = processor, slots
    # Its threads would fight with the other processes for the cores.
    torch.set_num_threads(1)


def _load_into_slot(request: PictureRequest, slot: int) -> Loaded:
    loaded = _load(request, _processor, num_threads=1)
    if isinstance(loaded, ClipPictures) and loaded.pictures.shape == _slots.shape[1:]:
        _slots[slot].copy_(loaded.pictures)
        return replace(loaded, pictures=torch.empty(0, dtype=torch.uint8))
    return loaded
