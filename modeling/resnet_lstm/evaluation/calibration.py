"""Whether a model that says 80 % is right in 80 of 100 clips, and the one number that makes it so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from .metrics import log_probabilities

NUM_BINS = 15
# Beyond these a temperature tells that a few clips were fitted, not how sure the model is.
LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE = 0.2, 5.0

# Of what chance would make of the scores.
NUM_DRAWS = 1000

# With fewer a temperature would say more of them than of the model.
LEAST_CLIPS_FOR_TEMPERATURE = 20


@dataclass(frozen=True)
class Reliability:
    """Clips in bins of equal width by the score of their predicted class.

    Attributes:
        confidence: `[M]` mean score of each bin's clips; the bin's middle where it has none.
        accuracy: `[M]` the part of each bin's clips that are right; NaN where it has none.
        clips: `[M]`.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    clips: np.ndarray

    @property
    def expected_calibration_error(self) -> float:
        """The distance of confidence and accuracy, averaged over clips (Guo et al., arXiv 1706.04599)."""
        distance = np.abs(self.confidence - np.nan_to_num(self.accuracy, nan=0.0))
        return float((distance * self.clips).sum() / self.clips.sum())


def reliability(logits: np.ndarray, labels: np.ndarray, num_bins: int = NUM_BINS) -> Reliability:
    """How confidence and accuracy go together.

    Args:
        logits: `[N, L]`.
        labels: `[N]`.
        num_bins: M.
    """
    confidence = np.exp(log_probabilities(logits).max(axis=1))  # [N]
    return _in_bins(confidence, logits.argmax(axis=1) == labels, num_bins)


def calibration_error_by_chance(logits: np.ndarray, num_bins: int = NUM_BINS, seed: int = 0) -> float:
    """The calibration error that a model whose scores were true probabilities would have on these clips, on average.

    It is 0 of endless clips alone: of few, a bin that is right four times in five may hold three clips.

    Args:
        logits: `[N, L]`.
        num_bins: M.
        seed: Of the draws.
    """
    confidence = np.exp(log_probabilities(logits).max(axis=1))  # [N]
    generator = np.random.default_rng(seed)
    draws = (generator.random(len(confidence)) < confidence for _ in range(NUM_DRAWS))  # each [N]
    return float(np.mean([_in_bins(confidence, right, num_bins).expected_calibration_error for right in draws]))


def _in_bins(confidence: np.ndarray, right: np.ndarray, num_bins: int) -> Reliability:
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    clips, confidence_sum, right_sum = (
        np.bincount(bins, weights=of_clips, minlength=num_bins) for of_clips in (np.ones(len(bins)), confidence, right)
    )
    some = clips > 0
    middles = (np.arange(num_bins) + 0.5) / num_bins
    return Reliability(
        confidence=np.divide(confidence_sum, clips, out=middles, where=some),
        accuracy=np.divide(right_sum, clips, out=np.full(num_bins, np.nan), where=some),
        clips=clips.astype(int),
    )


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The number that logits are divided by for the least cross entropy; which class is best does not change.

    Args:
        logits: `[N, L]` of clips that were not trained on.
        labels: `[N]`.

    Returns:
        Between `LOWEST_TEMPERATURE` and `HIGHEST_TEMPERATURE`.
    """
    clips = np.arange(len(labels))

    def cross_entropy(log_temperature: float) -> float:
        return float(-log_probabilities(logits / np.exp(log_temperature))[clips, labels].mean())

    bounds = (np.log(LOWEST_TEMPERATURE), np.log(HIGHEST_TEMPERATURE))
    return float(np.exp(minimize_scalar(cross_entropy, bounds=bounds, method="bounded").x))
