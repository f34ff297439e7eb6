"""Scores moment by moment -> the stretches they make."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def most_likely_path(log_scores: np.ndarray, switch_cost: float) -> np.ndarray:
    """The path through the states with the highest sum of log-scores, less a price for each change of state.

    This is Viterbi's algorithm for a hidden Markov model in which all changes are equally likely (Rabiner, "A tutorial
    on hidden Markov models", 1989, section III.B); one step takes time in proportion to the number of states.

    Args:
        log_scores: `[F, S]` of each moment and state.
        switch_cost: What a change costs; 0 gives the best state of each moment.

    Returns:
        `[F]` int64, the state at each moment. Of equal ones the path that changes less, then the first state.
    """
    num_moments, num_states = log_scores.shape
    came_from = np.zeros((num_moments, num_states), np.int32)
    stay = np.arange(num_states, dtype=np.int32)
    total = np.zeros(num_states)
    for moment in range(num_moments):
        best = int(total.argmax())
        switched = total[best] - switch_cost
        came_from[moment] = np.where(total >= switched, stay, best)
        total = np.maximum(total, switched) + log_scores[moment]
    path = np.zeros(num_moments, np.int64)
    state = int(total.argmax()) if num_moments else 0
    for moment in range(num_moments - 1, -1, -1):
        path[moment] = state
        state = int(came_from[moment, state])
    return path


def runs(path: np.ndarray) -> Iterator[slice]:
    """The stretches of one state each, in order."""
    ends = [*(np.flatnonzero(np.diff(path)) + 1), len(path)] if len(path) else []
    start = 0
    for end in ends:
        yield slice(start, int(end))
        start = int(end)
