"""Long work -> a generator that tells how far it is, and that stops the work when it is closed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

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
    """Do some work in a thread of its own; yield `Progress` now and then, and in the end its result.

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

    future: Future[Result] = Future()
    thread = threading.Thread(target=_run, args=(future, work, report), name="work", daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            yield Progress(words, part)
            thread.join(_SECONDS_BETWEEN_REPORTS)
        yield future.result()
    finally:
        stopped.set()
        thread.join()


def _run(future: Future[Result], work: Callable[[Report], Result], report: Report) -> None:
    try:
        future.set_result(work(report))
    except BaseException as error:
        future.set_exception(error)
