from __future__ import annotations

from resnet_lstm.training.early_stopping import EarlyStopping


def stops_after(values: list[float], patience: int, greater_is_better: bool = False) -> tuple[int, int | None]:
    stopping = EarlyStopping(patience, greater_is_better)
    for epoch, value in enumerate(values):
        stopping.update(epoch, value)
        if stopping.should_stop:
            return epoch, stopping.best_epoch
    return len(values), stopping.best_epoch


def test_it_stops_when_patience_runs_out_and_knows_the_best() -> None:
    assert stops_after([3, 2, 1, 1.5, 1.2, 0.5], patience=2) == (4, 2)
    assert stops_after([0.1, 0.3, 0.2, 0.2], patience=2, greater_is_better=True) == (3, 1)


def test_an_equal_figure_is_not_better() -> None:
    assert stops_after([1, 1, 1], patience=2) == (2, 0)


def test_no_patience_means_no_stop() -> None:
    assert stops_after([1, 2, 3, 4], patience=0) == (4, 0)


def test_a_figure_that_is_no_number_is_never_the_best() -> None:
    assert stops_after([float("nan"), 2, float("nan")], patience=5) == (3, 1)
