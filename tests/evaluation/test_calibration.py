from __future__ import annotations

import numpy as np
import pytest

from resnet_lstm.evaluation import fit_temperature, reliability
from resnet_lstm.evaluation.calibration import (
    HIGHEST_TEMPERATURE,
    LOWEST_TEMPERATURE,
    calibration_error_by_chance,
)


@pytest.fixture
def honest() -> tuple[np.ndarray, np.ndarray]:
    """Logits `[4000, 5]`, and labels drawn with the very probabilities that the logits stand for."""
    generator = np.random.default_rng(0)
    logits = generator.normal(0, 2, (4000, 5))
    gumbel = generator.gumbel(size=logits.shape)
    return logits, (logits + gumbel).argmax(axis=1)


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_the_temperature_undoes_a_factor(honest: tuple[np.ndarray, np.ndarray], factor: float) -> None:
    logits, labels = honest
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor, rel=0.06)


def test_the_error_tells_honest_scores_from_boasting_ones(honest: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = honest
    assert reliability(logits, labels).expected_calibration_error < 0.02
    assert reliability(4 * logits, labels).expected_calibration_error > 0.1
    assert reliability(logits / 4, labels).expected_calibration_error > 0.1


def test_true_probabilities_seem_wrong_on_few_clips(honest: tuple[np.ndarray, np.ndarray]) -> None:
    logits, labels = honest
    errors = [
        reliability(logits[start : start + 100], labels[start : start + 100]).expected_calibration_error
        for start in range(0, 4000, 100)
    ]
    by_chance = [calibration_error_by_chance(logits[start : start + 100]) for start in range(0, 4000, 100)]
    assert np.mean(errors) > 0.05
    assert np.mean(by_chance) == pytest.approx(np.mean(errors), rel=0.1)
    assert calibration_error_by_chance(logits) < 0.02


def test_bins_hold_all_clips_and_the_error_is_their_mean_distance() -> None:
    # Two clips at a score of 0.5, one of them right; two at almost 1, both right.
    logits = np.array([[0.0, 0.0], [0.0, 0.0], [40.0, 0.0], [0.0, 40.0]])
    result = reliability(logits, np.array([0, 1, 0, 1]), num_bins=4)
    assert result.clips.tolist() == [0, 0, 2, 2]
    assert result.accuracy[2:].tolist() == [0.5, 1.0]
    assert np.isnan(result.accuracy[:2]).all()
    assert result.expected_calibration_error == pytest.approx(0.0, abs=1e-9)
    assert reliability(logits, np.array([1, 1, 1, 1]), num_bins=4).expected_calibration_error == pytest.approx(0.5)


def test_clips_that_are_all_right_or_all_wrong_do_not_run_away() -> None:
    logits = np.eye(3)[[0, 1, 2, 0]]
    assert fit_temperature(logits, np.array([0, 1, 2, 0])) == pytest.approx(LOWEST_TEMPERATURE, rel=0.01)
    assert fit_temperature(logits, np.array([1, 2, 0, 1])) == pytest.approx(HIGHEST_TEMPERATURE, rel=0.01)
