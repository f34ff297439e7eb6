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


def test_the_next_work_is_done_by_the_same_thread() -> None:
    threads = [list(in_steps("Working", lambda _: threading.current_thread()))[-1] for _ in range(3)]
    assert threads[0] is threads[1] is threads[2] is not threading.current_thread()


def test_two_works_at_once_do_not_wait_for_each_other() -> None:
    both = threading.Barrier(2)
    first = in_steps("Working", lambda _: both.wait(120))
    second = in_steps("Working", lambda _: both.wait(120))
    next(first)
    next(second)
    assert {list(first)[-1], list(second)[-1]} == {0, 1}


def test_an_error_of_the_work_is_raised_where_it_is_waited_for() -> None:
    def work(_: Report) -> None:
        raise ValueError("no luck")

    with pytest.raises(ValueError, match="no luck"):
        list(in_steps("Working", work))
