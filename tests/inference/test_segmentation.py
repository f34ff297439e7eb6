from __future__ import annotations

import itertools

import numpy as np

from resnet_lstm.inference.segmentation import most_likely_path, runs


def test_the_path_is_the_best_of_all_paths() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        log_scores = generator.normal(size=(6, 3))
        cost = float(generator.uniform(0, 2))

        def value(path: tuple[int, ...], log_scores: np.ndarray = log_scores, cost: float = cost) -> float:
            changes = sum(a != b for a, b in itertools.pairwise(path))
            return log_scores[range(6), path].sum() - cost * changes

        best = max(itertools.product(range(3), repeat=6), key=value)
        assert most_likely_path(log_scores, cost).tolist() == list(best)


def test_a_short_doubt_is_smoothed_away_and_a_long_change_stays() -> None:
    log_scores = np.log(np.array([[0.8, 0.2]] * 5 + [[0.4, 0.6]] + [[0.8, 0.2]] * 5 + [[0.1, 0.9]] * 6))
    assert most_likely_path(log_scores, 1.0).tolist() == [0] * 11 + [1] * 6
    assert most_likely_path(log_scores, 0.0).tolist() == [0] * 5 + [1] + [0] * 5 + [1] * 6


def test_runs_cover_the_path() -> None:
    assert list(runs(np.array([2, 2, 0, 1, 1]))) == [slice(0, 2), slice(2, 3), slice(3, 5)]
    assert list(runs(np.array([], int))) == []
