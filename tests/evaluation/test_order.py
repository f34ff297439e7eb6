"""What a report tells of the worth of order."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from conftest import build_tiny_model
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import VideoFolder
from resnet_lstm.evaluation.evaluate_model import evaluate_model
from resnet_lstm.evaluation.order import in_order, without_lstm
from resnet_lstm.features import FeatureCache

LABELS = {"id2label": {0: "darken", 1: "brighten"}}


def test_a_clip_is_shuffled_in_a_way_of_its_own() -> None:
    frames = torch.arange(12.0).view(6, 2)
    one, other = (in_order(frames, "shuffled", digit * 64) for digit in "12")
    assert not one.equal(other)
    assert one.equal(in_order(frames, "shuffled", "1" * 64))
    assert sorted(one.tolist()) == frames.tolist()
    assert in_order(frames, "reversed", "1" * 64).tolist() == frames.tolist()[::-1]
    assert in_order(frames, "as filmed", "1" * 64).equal(frames)
    with pytest.raises(ValueError, match="order 'sorted': must be one of as filmed, shuffled, reversed"):
        in_order(frames, "sorted", "1" * 64)


@torch.no_grad()
def test_without_its_lstm_a_model_says_what_its_classifier_says(tiny_model: ResNetLSTMForVideoClassification) -> None:
    pixel_values = torch.randn(2, 6, 3, 32, 32)
    before = tiny_model(pixel_values).logits
    silenced = without_lstm(tiny_model)
    assert silenced is not None
    others = silenced(pixel_values=pixel_values).logits
    torch.testing.assert_close(tiny_model(pixel_values).logits, before)
    assert others is not None
    assert before is not None
    assert not torch.allclose(others, before, atol=1e-3)
    assert tiny_model.lstm_classifier is not None
    tiny_model.lstm_classifier.weight.zero_()
    torch.testing.assert_close(tiny_model(pixel_values).logits, others)


@pytest.mark.parametrize(
    ("head", "ways"),
    [
        ({}, {"with frames shuffled", "with frames reversed", "without the LSTM"}),
        ({"num_lstm_layers": 0}, {"with frames shuffled", "with frames reversed"}),
        ({"num_lstm_layers": 0, "temporal_change": False}, set()),
    ],
)
def test_a_report_tells_the_worth_of_what_the_model_reads(
    tiny_backbone: Path,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
    head: dict[str, object],
    ways: set[str],
) -> None:
    model = build_tiny_model(tiny_backbone, **LABELS, **head)
    cache = FeatureCache(tmp_path, model.resnet_lstm, tiny_processor)
    report = evaluate_model(model, tiny_processor, tiny_dataset, cache=cache, num_workers=0)
    assert report.to_dict()["lost"].keys() == ways
    assert all(f"lost {way}" in report.summary() for way in ways)
    assert all(points.low <= points.value <= points.high for points in report.lost.values())
