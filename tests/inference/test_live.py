from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.inference import LiveSession


@pytest.fixture
def frames() -> np.ndarray:
    """20 frames of noise."""
    return np.random.default_rng(0).integers(0, 256, (20, 40, 56, 3), dtype=np.uint8)


@torch.no_grad()
def offline(
    model: ResNetLSTMForVideoClassification, processor: ResNetLSTMVideoProcessor, frames: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Logits and frame logits of one call on all frames."""
    outputs = model(processor(frames, do_sample_frames=False, return_tensors="pt")["pixel_values"])
    return outputs.logits[0].numpy(), outputs.frame_logits[0].numpy()


@pytest.mark.parametrize("compiled", [False, True])
def test_live_logits_are_those_of_one_call_on_all_frames(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    frames: np.ndarray,
    compiled: bool,
) -> None:
    if compiled:
        tiny_model.compile_for_inference()
    session = LiveSession(tiny_model, tiny_processor, half_life_seconds=math.inf)
    for number, frame in enumerate(frames, start=1):
        prediction = session.update(frame, number / 3)
        logits, frame_logits = offline(tiny_model, tiny_processor, frames[:number])
        np.testing.assert_allclose(prediction.frame_logits, frame_logits[-1], atol=1e-5)
        np.testing.assert_allclose(prediction.logits, logits, atol=1e-5)
        assert prediction.scores.sum() == pytest.approx(1)


def test_live_and_offline_know_as_much(
    knowing_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, frames: np.ndarray
) -> None:
    session = LiveSession(knowing_model, tiny_processor, half_life_seconds=math.inf)
    for number, frame in enumerate(frames):
        prediction = session.update(frame, number / 3)
    with torch.no_grad():
        outputs = knowing_model(tiny_processor(frames, do_sample_frames=False, return_tensors="pt")["pixel_values"])
    assert prediction.known_score is not None
    assert prediction.known_score == pytest.approx(float(outputs.known_score), abs=1e-5)
    config = knowing_model.config
    assert prediction.is_unknown(config, prediction.known_score + 0.01)
    assert not prediction.is_unknown(config, prediction.known_score - 0.01)
    config.background_label_id = prediction.top_k(1)[0]
    assert prediction.is_unknown(config, prediction.known_score - 0.01)


def test_a_frame_counts_half_after_each_half_life(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, frames: np.ndarray
) -> None:
    session = LiveSession(tiny_model, tiny_processor, half_life_seconds=2.0)
    for frame, seconds in zip(frames, (0.0, 2.0, 6.0), strict=False):
        prediction = session.update(frame, seconds)
    frame_logits = offline(tiny_model, tiny_processor, frames[:3])[1]
    weights = np.array([1 / 8, 1 / 4, 1])
    np.testing.assert_allclose(prediction.logits, weights @ frame_logits / weights.sum(), atol=1e-5)


def test_the_default_memory_holds_as_many_frames_as_a_clip(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, frames: np.ndarray
) -> None:
    tiny_model.config.num_frames, tiny_model.config.frames_per_second = 16, 2.5
    session = LiveSession(tiny_model, tiny_processor)
    for number in range(200):
        session.update(frames[0], number / session.frames_per_second)
    # A sum of steps, where the memory is defined by the integral.
    assert float(session.state_dict()["weight"]) == pytest.approx(16.5, abs=0.1)


def test_reset_forgets_all(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, frames: np.ndarray
) -> None:
    session = LiveSession(tiny_model, tiny_processor)
    first = session.update(frames[0], 5.0)
    assert not np.allclose(session.update(frames[0], 5.4).frame_logits, first.frame_logits)
    session.reset()
    assert session.state_dict() == {}
    np.testing.assert_array_equal(session.update(frames[0], 0.0).logits, first.logits)


def test_a_saved_session_goes_on_as_if_nothing_had_happened(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    frames: np.ndarray,
    tmp_path: Path,
) -> None:
    session = LiveSession(tiny_model, tiny_processor)
    for number in range(5):
        session.update(frames[number], number / 3)
    save_file(session.state_dict(), tmp_path / "session.safetensors")
    restored = LiveSession(tiny_model, tiny_processor)
    restored.load_state_dict(load_file(tmp_path / "session.safetensors"))
    for number in range(5, 10):
        expected = session.update(frames[number], number / 3)
        prediction = restored.update(frames[number], number / 3)
        np.testing.assert_array_equal(prediction.frame_logits, expected.frame_logits)
        np.testing.assert_array_equal(prediction.logits, expected.logits)


def test_the_state_does_not_grow(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, frames: np.ndarray
) -> None:
    session = LiveSession(tiny_model, tiny_processor)
    sizes = set()
    for number in range(60):
        session.update(frames[number % 20], number / 3)
        sizes.add(sum(tensor.nbytes for tensor in session.state_dict().values()))
    assert len(sizes) == 1


def test_what_cannot_be_is_refused(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, frames: np.ndarray
) -> None:
    session = LiveSession(tiny_model, tiny_processor)
    session.update(frames[0], 3.0)
    with pytest.raises(ValueError, match="time must not go backwards"):
        session.update(frames[1], 2.9)
    with pytest.raises(ValueError, match=r"\[H, W, 3\] uint8 was expected"):
        session.update(frames[1].astype(np.float32), 4.0)
    with pytest.raises(ValueError, match="was it another's"):
        session.load_state_dict({**session.state_dict(), "logit_sum": torch.zeros(9)})
    with pytest.raises(ValueError, match="half_life_seconds=0"):
        LiveSession(tiny_model, tiny_processor, half_life_seconds=0)
