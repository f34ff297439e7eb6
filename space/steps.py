"""Long work -> a generator that tells how far it is, and that stops the work when it is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeAlias, TypeVar

_SECONDS_BETWEEN_REPORTS = 0.4

Result = TypeVar("Result")

# Called by the work with what is done of what is to do; None where that is not known.
Report: TypeAlias = Callable[[float, float | None], None]


@dataclass(frozen=True)
class Progress:
    """How far it is.

    Attributes:
        words: What is being done.
        part: From 0 to 1; None where it is not known.
    """

    words: str
    part: float | None = None

    def record(self) -> dict[str, str | float | None]:
        """In plain values, for programs."""
        return {"working": self.words, "part": self.part}


class StoppedError(Exception):
    """Raised within the work, out of its own reports, when nobody waits for it any more."""


def in_steps(words: str, work: Callable[[Report], Result]) -> Iterator[Progress | Result]:
    """Do some work in another thread; yield `Progress` now and then, and in the end its result.

    Gradio closes the generator when the request is cancelled or its page is closed. The work then ends at its next
    report, and the generator with it.

    Args:
        words: What is being done, for the reader.
        work: Takes a `Report` to call.

    Raises:
        Exception: Whatever the work raises.
    """
    stopped = threading.Event()
    part: float | None = None

    def report(done: float, total: float | None) -> None:
        nonlocal part
        if stopped.is_set():
            raise StoppedError
        part = min(1.0, done / total) if total else None

    try:
        worker = _idle.pop()
    except IndexError:
        worker = _Worker()
    future = worker.do(partial(work, report))
    try:
        while not future.done():
            yield Progress(words, part)
            wait([future], _SECONDS_BETWEEN_REPORTS)
        yield future.result()
    finally:
        stopped.set()
        wait([future])
        _idle.append(worker)


class _Worker(threading.Thread):
    """Does one piece of work after the other. The threads of `ThreadPoolExecutor` would hold up the server's end.

    Were there a new thread for each, the allocator would give it a heap of its own, and PyTorch a team of threads, and
    the server's memory would grow with each that happens to run beside another.
    """

    def __init__(self) -> None:
        super().__init__(name="work", daemon=True)
        self._to_do: SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = SimpleQueue()
        self.start()

    def do(self, work: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        self._to_do.put((future, work))
        return future

    def run(self) -> None:
        while True:
            self._do_next()

    def _do_next(self) -> None:
        # A function of its own, so that nothing is held while the next work is waited for.
        future, work = self._to_do.get()
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)


# As many as have worked at the same time so far.
_idle: list[_Worker] = []
