from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine import Engine
from live import live_record, live_view, look
from resnet_lstm.data.generated_clips import generate_frames
from resnet_lstm.inference import LiveSession, load_model, training_rate


@pytest.fixture
def engine(trained_model: Path) -> Engine:
    engine = Engine(str(trained_model))
    engine.start_loading()
    return engine


def test_frames_of_a_request_each_give_what_one_session_gives(engine: Engine, trained_model: Path) -> None:
    frames = generate_frames("green_to_red", 3, seed=9)
    session = LiveSession(*load_model(str(trained_model)))
    interval = 1 / session.frames_per_second
    state = None
    for number, frame in enumerate(frames[:6]):
        state, looked = look(engine, frame, 100 + number * interval, state)
        assert looked
        expected = session.update(frame, 100 + number * interval)
        np.testing.assert_allclose(state.scores[-1][1], expected.scores, atol=1e-6)
    assert state is not None
    assert live_record(engine, state)["top"][0]["label"] == "green_to_red"


def test_frames_that_come_too_early_are_left_out(engine: Engine) -> None:
    frame = np.zeros((24, 32, 3), np.uint8)
    interval = 1 / training_rate(engine.config)
    state, num_looked = None, 0
    for number in range(41):
        state, looked = look(engine, frame, number * interval / 4, state)
        num_looked += looked
    assert num_looked == 11


def test_bars_start_from_where_they_were(engine: Engine) -> None:
    frames = generate_frames("brighten", 3, seed=9)
    state, _ = look(engine, frames[0], 0, None)
    live_view(engine, state)
    before = dict(state.shown)
    state, _ = look(engine, frames[10], 1, state)
    html = live_view(engine, state)
    assert all(f"--from:{100 * before[label]:.1f}%" in html for label in before)
