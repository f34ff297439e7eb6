from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from conftest import build_tiny_model
from resnet_lstm import ResNetLSTMForVideoClassification
from resnet_lstm.frame_reading import band_means, motion_stages


@pytest.mark.parametrize("rows", [1, 2, 7, 14, 28])
def test_bands_are_those_of_adaptive_pooling(rows: int) -> None:
    a_map = torch.randn(2, 4, rows, 5)
    expected = F.adaptive_avg_pool2d(a_map, (3, 1))[..., 0]  # [N, C, bands]
    torch.testing.assert_close(band_means(a_map), expected.transpose(1, 2).flatten(1))


def test_there_are_no_more_motion_stages_than_stages_before_the_last() -> None:
    assert list(motion_stages(4, 2)) == [2, 1]
    assert list(motion_stages(4, 9)) == [2, 1, 0]
    assert list(motion_stages(4, 0)) == list(motion_stages(1, 2)) == []


@torch.no_grad()
def test_what_moves_up_has_changed_though_its_mean_has_not(tiny_model: ResNetLSTMForVideoClassification) -> None:
    base = tiny_model.resnet_lstm
    low, high = torch.zeros(2, 3, 32, 32).unbind()
    low[:, 20:28, 8:16], high[:, 4:12, 8:16] = 1.0, 1.0
    change = base.magnitudes(base.extract_frame_features(torch.stack([low, high])[None]))[0, 1, 16:56]
    pooled, upper, _, lower = change.split([16, 8, 8, 8])
    assert min(upper.mean(), lower.mean()) > 2 * pooled.mean()


@torch.no_grad()
def test_every_way_to_compute_features_gives_the_same(tiny_model: ResNetLSTMForVideoClassification) -> None:
    base, pixel_values = tiny_model.resnet_lstm, torch.randn(2, 3, 3, 32, 32)
    expected = base.extract_frame_features(pixel_values)
    assert expected.shape == (2, 3, 40)
    with torch.enable_grad():
        torch.testing.assert_close(base.extract_frame_features(pixel_values), expected, rtol=1e-4, atol=1e-5)
        base.unfreeze_backbone()
        base.gradient_checkpointing_enable()
        base.train()
        torch.testing.assert_close(base.extract_frame_features(pixel_values), expected, rtol=1e-4, atol=1e-5)
    base.eval()
    outputs = base(pixel_values, output_hidden_states=True)
    torch.testing.assert_close(outputs.frame_features, expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_a_model_saved_before_there_were_bands_and_lags_reads_as_it_did(tiny_backbone: Path, tmp_path: Path) -> None:
    old = build_tiny_model(tiny_backbone, num_motion_stages=0, change_lags=None)
    old.save_pretrained(tmp_path)
    path = tmp_path / "config.json"
    config = json.loads(path.read_text())
    assert config.pop("num_motion_stages") == 0
    assert config.pop("change_lags") is None
    path.write_text(json.dumps(config))
    model = ResNetLSTMForVideoClassification.from_pretrained(tmp_path)
    pixel_values = torch.randn(2, 3, 3, 32, 32)
    assert (model.config.frame_feature_size, model.config.hidden_size) == (16, 32)
    torch.testing.assert_close(model(pixel_values).logits, old(pixel_values).logits)


@torch.no_grad()
def test_features_of_more_stages_begin_with_those_of_fewer(tiny_backbone: Path) -> None:
    more, fewer = build_tiny_model(tiny_backbone), build_tiny_model(tiny_backbone, num_motion_stages=0)
    pixel_values = torch.randn(2, 3, 3, 32, 32)
    features = more.resnet_lstm.extract_frame_features(pixel_values)
    torch.testing.assert_close(fewer(frame_features=features).logits, fewer(pixel_values).logits)
    with pytest.raises(ValueError, match=r"\[2, 3, 16\]: \[B, T, 40\] was expected"):
        more(frame_features=features[..., :16])


@torch.no_grad()
@pytest.mark.parametrize("lags", [[1], [1, 3], [2]])
def test_each_frame_is_compared_with_those_so_far_back_and_the_first_stands_for_those_before_it(
    tiny_backbone: Path, lags: list[int]
) -> None:
    base = build_tiny_model(tiny_backbone, change_lags=lags).resnet_lstm
    features = torch.randn(2, 6, 40)
    magnitudes = base.magnitudes(features)
    changes = magnitudes[..., 16:].split(40, dim=-1)
    for lag, change in zip(lags, changes, strict=True):
        for frame in range(6):
            expected = (features[:, frame] - features[:, max(0, frame - lag)]).abs()
            torch.testing.assert_close(change[:, frame] ** 2, expected, atol=2e-4, rtol=1e-3)
    # The same frame by frame, from the features that the state keeps.
    state, read = None, []
    for frame in features.split(1, dim=1):
        outputs = base(frame_features=frame, lstm_state=state)
        state = outputs.lstm_state
        read.append(outputs.last_hidden_state)
    torch.testing.assert_close(torch.cat(read, dim=1), base(frame_features=features).last_hidden_state)
