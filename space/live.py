"""A webcam in the browser -> what is going on now, frame by frame, at a steady cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from view_parts import bars, curve, in_words, notice

if TYPE_CHECKING:
    import numpy as np
    import torch

    from engine import Engine, TaughtEngine

TOP_K = 5
# A frame that comes this much too early, in parts of the interval, is in time.
_TOLERANCE = 0.25
_UNSURE_BELOW = 0.5
_SECONDS_DRAWN = 30.0
_MAX_CURVES = 3
WAITING = notice("Allow the camera and press record. Pictures are looked at as they come, and never kept.")


@dataclass
class LiveState:
    """What is remembered of a viewer between two frames; nothing of the pictures themselves.

    Attributes:
        session: What the model goes on from (`LiveSession.state_dict`).
        due_seconds: When the next frame is wanted, by the server's clock.
        scores: The moments that are drawn, each with all labels' scores `[L]`.
        known_score: Of the last moment, see `LivePrediction`.
        none_of_mine: Whether none of the model's actions is there now.
        shown: The bars that are on the page.
    """

    session: dict[str, torch.Tensor] = field(default_factory=dict)
    due_seconds: float = -1.0
    scores: list[tuple[float, np.ndarray]] = field(default_factory=list)
    known_score: float | None = None
    none_of_mine: bool = False
    shown: dict[str, float] = field(default_factory=dict)


def look(
    engine: Engine | TaughtEngine, frame: np.ndarray, seconds: float, state: LiveState | None
) -> tuple[LiveState, bool]:
    """Take one more frame, unless it comes too early: the model is to see as many a second as it was trained on.

    Args:
        engine: Holds the model.
        frame: `[H, W, 3]` uint8.
        seconds: Its moment, by the server's clock.
        state: From the call before; None at first.

    Returns:
        The state to go on from, and whether the frame was looked at.
    """
    from resnet_lstm.inference import training_rate

    state = state or LiveState()
    interval = 1 / training_rate(engine.config)
    if seconds < state.due_seconds - _TOLERANCE * interval:
        return state, False
    if state.due_seconds >= 0 and seconds - state.due_seconds > _SECONDS_DRAWN:
        state = LiveState()  # the camera was off
    prediction, session = engine.look(frame.copy(), seconds, state.session)
    # Counted from the moment that was due, so that the rate holds; after a gap, from the frame.
    due = (state.due_seconds if seconds < state.due_seconds + interval else seconds) + interval
    scores = [(s, row) for s, row in state.scores if s > seconds - _SECONDS_DRAWN]
    scores.append((seconds, prediction.scores))
    none_of_mine = prediction.is_unknown(engine.config)
    return LiveState(session, due, scores, prediction.known_score, none_of_mine, state.shown), True


def live_record(engine: Engine | TaughtEngine, state: LiveState) -> dict[str, Any]:
    """The last prediction in plain values."""
    top = _top(engine, state)
    return {
        "known": None if state.known_score is None else round(state.known_score, 6),
        "none_of_my_actions": state.none_of_mine,
        "top": [{"label": label, "score": round(score, 6)} for label, score in top],
    }


def live_view(engine: Engine | TaughtEngine, state: LiveState) -> str:
    """The HTML of the last prediction. The bars start from where they were."""
    top = _top(engine, state)
    label, score = top[0]
    before = [state.shown.get(name, 0.0) for name, _ in top]
    state.shown = dict(top)
    answer = in_words(label) if score >= _UNSURE_BELOW else f"{in_words(label)}?"
    kicker = "I see" if score >= _UNSURE_BELOW else "I am not sure"
    if state.none_of_mine:
        kicker, answer = "I see", "None of my actions"
    return f"""<article class="rl-card rl-live" aria-label="What the camera shows">
<div class="rl-answer"><div role="status"><p class="rl-kicker">{kicker}</p>
<h2>{escape(answer)}</h2></div>{bars(top, before)}</div>
{_curve(engine, state, [name for name, _ in top[:_MAX_CURVES]])}</article>"""


def _top(engine: Engine | TaughtEngine, state: LiveState) -> list[tuple[str, float]]:
    scores = state.scores[-1][1]
    id2label: Mapping[int, str] = engine.config.id2label
    return [(id2label[int(i)], float(scores[i])) for i in scores.argsort(kind="stable")[::-1][:TOP_K]]


def _curve(engine: Engine | TaughtEngine, state: LiveState, shown: list[str]) -> str:
    label2id: Mapping[str, int] = engine.config.label2id
    now = state.scores[-1][0]
    start = min(state.scores[0][0], now - _SECONDS_DRAWN)
    moments = [seconds - start for seconds, _ in state.scores]
    lines = [(label, [float(row[label2id[label]]) for _, row in state.scores]) for label in shown]
    description = f"The scores of the last {_SECONDS_DRAWN:.0f} seconds."
    return curve(lines, moments, now - start, description, ends=(f"{_SECONDS_DRAWN:.0f} s ago", "now"))
