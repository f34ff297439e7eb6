from __future__ import annotations

import gc

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from resnet_lstm import ResNetLSTMForVideoClassification
from resnet_lstm.inference.moments import Moments


def noise(num_frames: int, seed: int = 0) -> torch.Tensor:
    """Features `[F, D]` that are nothing alike."""
    return torch.rand(num_frames, 40, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def moments_of(
    model: ResNetLSTMForVideoClassification, frame_features: torch.Tensor, at_a_time: int = 7, stride: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    moments = Moments(model.eval(), stride)
    for portion in frame_features.split(at_a_time):
        moments.add(portion)
    return moments.finish()


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("num_frames", [1, 5, 40, 100])
def test_it_does_not_matter_how_the_frames_come(
    knowing_model: ResNetLSTMForVideoClassification, num_frames: int, stride: int
) -> None:
    frames = noise(num_frames)
    scores, known = moments_of(knowing_model, frames, at_a_time=num_frames, stride=stride)
    assert scores.shape == (num_frames, knowing_model.config.num_labels)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    assert known.shape == (num_frames,)
    for at_a_time in (1, 7):
        others = moments_of(knowing_model, frames, at_a_time, stride)
        np.testing.assert_allclose(others[0], scores, atol=1e-5)
        np.testing.assert_allclose(others[1], known, atol=1e-5)


def test_a_moment_is_a_clip_of_the_frames_around_it(knowing_model: ResNetLSTMForVideoClassification) -> None:
    frames = noise(6)  # one window
    scores, known = moments_of(knowing_model, frames)
    with torch.no_grad():
        outputs = knowing_model.resnet_lstm(frame_features=frames[None])
        features = outputs.last_hidden_state[0, :, : knowing_model.config.hidden_size]
        frame_logits = knowing_model.frame_logits(outputs.last_hidden_state)[0]
        for moment in range(6):
            # By the mean of the last map alone.
            likeness = F.cosine_similarity(features[moment, :16], features[:, :16])
            weights = torch.exp(5 * likeness - 0.5 * ((torch.arange(6) - moment) / 3) ** 2)
            # Itself at the geometric mean of what it would count and what the next most alike does.
            most_alike = torch.cat([weights[:moment], weights[moment + 1 :]]).max()
            weights[moment] = (weights[moment] * most_alike).sqrt()
            weights /= weights.sum()
            torch.testing.assert_close(torch.from_numpy(scores[moment]), (weights @ frame_logits).softmax(dim=0))
            known_score = knowing_model.known_probability((weights @ features)[None])
            assert known_score is not None
            assert float(known[moment]) == pytest.approx(float(known_score), abs=1e-5)


def test_what_happens_after_a_cut_does_not_change_what_happened_before(
    knowing_model: ResNetLSTMForVideoClassification,
) -> None:
    assert knowing_model.lstm_classifier is not None
    knowing_model.lstm_classifier.weight.data.zero_()  # the LSTM would carry something across
    knowing_model.classifier.weight.data *= 10
    one, other = F.one_hot(torch.tensor([3, 8]), 40).float() * 10
    alone, known_alone = moments_of(knowing_model, one.repeat(40, 1))
    scores, known = moments_of(knowing_model, torch.cat([one.repeat(40, 1), other.repeat(40, 1)]))
    np.testing.assert_allclose(scores[5:40], alone[5:], atol=0.05)
    np.testing.assert_allclose(known[5:40], known_alone[5:], atol=0.05)
    assert abs(scores[41:] - alone[20]).max() > 0.1


def test_only_the_frames_around_are_kept(knowing_model: ResNetLSTMForVideoClassification) -> None:
    size = knowing_model.config.hidden_size

    def num_kept() -> int:
        tensors = (item for item in gc.get_objects() if isinstance(item, torch.Tensor))
        return sum(tensor.shape == (size,) for tensor in tensors)

    moments = Moments(knowing_model.eval())
    before = num_kept()
    kept = []
    with torch.inference_mode():
        for portion in noise(200).split(10):
            moments.add(portion)
            kept.append(num_kept() - before)
    assert 6 < max(kept) <= 50
    assert kept[-1] == kept[9]
