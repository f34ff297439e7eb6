from __future__ import annotations

import threading

import pytest

from steps import Progress, Report, StoppedError, in_steps


def test_progress_comes_before_the_result() -> None:
    go_on = threading.Event()

    def work(report: Report) -> str:
        report(1, 4)
        go_on.wait()
        return "done"

    steps = in_steps("Working", work)
    assert isinstance(next(steps), Progress)
    second = next(steps)
    assert second == Progress("Working", 0.25)
    go_on.set()
    assert [step for step in steps if not isinstance(step, Progress)] == ["done"]


def test_closing_stops_the_work_at_its_next_report() -> None:
    stopped = threading.Event()

    def work(report: Report) -> None:
        try:
            while True:
                report(0, None)
        except StoppedError:
            stopped.set()
            raise

    steps = in_steps("Working", work)
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    assert stopped.is_set()
    assert not any(thread.name == "work" for thread in threading.enumerate())


def test_an_error_of_the_work_is_raised_where_it_is_waited_for() -> None:
    def work(_: Report) -> None:
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        list(in_steps("Working", work))
