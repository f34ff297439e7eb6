from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from conftest import build_tiny_model
from resnet_lstm import ResNetLSTMForVideoClassification
from resnet_lstm.inference import ClipPrediction, decision_places


def shares(model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor, label: int) -> np.ndarray:
    """The frames' shares in the decision, as the model itself gives them."""
    with torch.no_grad():
        outputs = model(pixel_values=pixel_values[None])
    logits, frame_logits = outputs.logits[0].numpy(), outputs.frame_logits[0].numpy()
    num_frames = len(frame_logits)
    nothing = np.zeros((num_frames, 1, 1, 3), np.uint8)
    return ClipPrediction("clip.mp4", logits, frame_logits, nothing, np.arange(num_frames)).frame_shares(label)


def with_statistics(model: ResNetLSTMForVideoClassification) -> ResNetLSTMForVideoClassification:
    """As trained: what is read is compared with means and deviations, and both classifiers have a say."""
    generator = torch.Generator().manual_seed(0)
    size = model.config.hidden_size
    model.resnet_lstm.set_feature_statistics(
        torch.rand(size, generator=generator), 0.1 + torch.rand(size, generator=generator)
    )
    model.set_classifier(torch.randn(3, size, generator=generator), torch.randn(3, generator=generator))
    return model.eval()


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"change_lags": None, "num_motion_stages": 0, "temperature": 1.3},
        {"temporal_change": False, "num_lstm_layers": 0},
    ],
    ids=["as trained today", "as trained before", "blind to order"],
)
@pytest.mark.parametrize("size", [(32, 32), (48, 80)])
def test_places_and_what_has_none_sum_to_the_share_of_each_frame(
    tiny_backbone: Path, config: dict[str, Any], size: tuple[int, int]
) -> None:
    model = with_statistics(build_tiny_model(tiny_backbone, **config))
    pixel_values = torch.randn(6, 3, *size, generator=torch.Generator().manual_seed(1))
    for label in range(3):
        found = decision_places(model, pixel_values, label)
        np.testing.assert_allclose(found.frame_shares, shares(model, pixel_values, label), rtol=1e-3, atol=1e-3)
        assert float(found.places.abs().sum()) > 0.01
        assert bool(found.lstm.any()) == (model.lstm_classifier is not None)


def test_what_is_compared_with_is_apart_from_what_is_seen(tiny_backbone: Path) -> None:
    """A place counts as much as it adds: what a frame's means add is found anew with the classifier alone."""
    model = with_statistics(build_tiny_model(tiny_backbone, temporal_change=False, num_lstm_layers=0))
    pixel_values = torch.randn(6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    found = decision_places(model, pixel_values, 1)
    with torch.no_grad():
        features = model.resnet_lstm.extract_frame_features(pixel_values[None])
        norm = model.resnet_lstm.feature_norm
        roots = (features[0, :, : model.config.pooled_size] + 1e-4).sqrt()
        of_one = norm(1 + torch.zeros_like(roots)) - norm(torch.zeros_like(roots))  # 1 / deviation
        scale = roots.shape[1] ** 0.5 / norm(roots).norm(dim=1)
        weight = model.classifier.weight[1] - model.classifier.weight.mean(dim=0)
        of_means = scale * ((roots - 1e-4 / roots) * of_one * weight).sum(dim=1)
        logits = model(frame_features=features).frame_logits[0]
        total = (logits[:, 1] - logits.mean(dim=1)).sum()
    torch.testing.assert_close(found.places.sum(dim=(1, 2)), of_means / total, rtol=1e-3, atol=1e-4)


def test_what_does_not_move_adds_nothing_to_what_is_read_of_change(tiny_backbone: Path) -> None:
    model = with_statistics(build_tiny_model(tiny_backbone))
    model.classifier.weight.data[:, : model.config.pooled_size] = 0  # only change counts
    pixel_values = torch.zeros(6, 3, 256, 256)
    for frame in range(6):
        pixel_values[frame, :, 4 * frame : 4 * frame + 16, 8:24] = 2.0
    places = decision_places(model, pixel_values, 1).places
    rows, columns = places.shape[1:]
    assert (rows, columns) == (64, 64)
    near, far = places[:, : rows // 2, : columns // 2], places[:, rows // 2 :, columns // 2 :]
    assert float(near[1:].abs().sum()) > 0
    assert not places[0].any()  # nothing was before it
    assert not far.any()
