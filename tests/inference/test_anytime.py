from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.inference import ClipPrediction, predict_clips
from resnet_lstm.inference.anytime import fit_early_exit_score, read_until_sure, reading_stages


@pytest.mark.parametrize("num_frames", [1, 2, 3, 6, 8, 16, 30, 33])
def test_each_stage_has_the_frames_of_the_one_before_and_the_last_has_all(num_frames: int) -> None:
    stages = reading_stages(num_frames)
    assert stages[-1] == list(range(num_frames))
    for earlier, later in itertools.pairwise(stages):
        assert set(earlier) < set(later)
        assert later == sorted(later)


def test_stages_double_and_lie_evenly_over_the_clip() -> None:
    assert reading_stages(16) == [[2, 10], [2, 6, 10, 14], [0, 2, 4, 6, 8, 10, 12, 14], list(range(16))]


class Features:
    """Random features of six frames that count how often each is read."""

    def __init__(self, model: ResNetLSTMForVideoClassification) -> None:
        generator = torch.Generator().manual_seed(0)
        self.features = torch.randn(6, model.config.frame_feature_size, generator=generator)
        self.read: list[int] = []

    def __call__(self, indices: list[int]) -> torch.Tensor:
        self.read += indices
        return self.features[indices]


def test_no_frame_is_read_twice_and_the_rest_only_while_unsure(tiny_model: ResNetLSTMForVideoClassification) -> None:
    features = Features(tiny_model)
    reading = read_until_sure(tiny_model, features, 6, sure_at=1.0)
    assert reading.indices == sorted(features.read) == list(range(6))
    expected = tiny_model(frame_features=features.features[None])
    torch.testing.assert_close(reading.outputs.frame_logits, expected.frame_logits)

    features = Features(tiny_model)
    reading = read_until_sure(tiny_model, features, 6, sure_at=0.01)
    assert reading.indices == features.read == [0, 2, 4]
    expected = tiny_model(frame_features=features.features[None, [0, 2, 4]])
    torch.testing.assert_close(reading.outputs.logits, expected.logits)


def logits_of(scores: list[list[float]]) -> np.ndarray:
    """`[N, 2]` logits of clips whose answers have these scores."""
    return np.log(np.array(scores))


def test_the_early_exit_score_is_as_low_as_the_answers_allow() -> None:
    early = logits_of([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    # The third clip's answer turns when it is read on.
    late = logits_of([[0.95, 0.05], [0.1, 0.9], [0.4, 0.6]])
    assert 0.7 < fit_early_exit_score(np.stack([early, late])) < 0.72
    assert fit_early_exit_score(np.stack([early, late]), agreement=0.6) == pytest.approx(0.5)


def test_answers_that_are_sure_and_wrong_are_never_stopped_at() -> None:
    early, late = logits_of([[0.999, 0.001]]), logits_of([[0.3, 0.7]])
    assert fit_early_exit_score(np.stack([early, late])) == 1.0


def test_an_anytime_prediction_shows_the_frames_it_has_read(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path
) -> None:
    tiny_model.config.early_exit_score = 1e-3
    (prediction,) = predict_clips(tiny_model, tiny_processor, [numbered_clip], anytime=True)
    assert isinstance(prediction, ClipPrediction)
    assert len(prediction.frames) == len(prediction.seconds) == len(prediction.frame_logits) == 3
    np.testing.assert_allclose(prediction.seconds, [0.8 / 12, 5 * 0.8 / 12, 9 * 0.8 / 12])
    np.testing.assert_allclose(prediction.logits, prediction.frame_logits.mean(axis=0), atol=1e-6)

    tiny_model.config.early_exit_score = 1.0
    (anytime,) = predict_clips(tiny_model, tiny_processor, [numbered_clip], anytime=True)
    (usual,) = predict_clips(tiny_model, tiny_processor, [numbered_clip])
    np.testing.assert_allclose(anytime.logits, usual.logits, atol=1e-5)  # type: ignore[union-attr]


def test_a_model_that_cannot_tell_when_it_is_sure_says_so(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path
) -> None:
    with pytest.raises(ValueError, match="early_exit_score"):
        next(predict_clips(tiny_model, tiny_processor, [numbered_clip], anytime=True))
