from __future__ import annotations

from pathlib import Path

import pytest
import torch

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.features import UNIFORM, FeatureCache, View


def test_features_come_back_as_they_were(
    tmp_path: Path, tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor
) -> None:
    cache = FeatureCache(tmp_path, tiny_model.resnet_lstm, tiny_processor)
    features = torch.randn(6, 16)
    assert not cache.has("ab12", UNIFORM)
    cache.save("ab12", UNIFORM, features)
    again = FeatureCache(tmp_path, tiny_model.resnet_lstm, tiny_processor)
    assert again.has("ab12", UNIFORM)
    assert not again.has("ab12", View("random-1"))
    torch.testing.assert_close(again.load("ab12", UNIFORM), features, rtol=0, atol=0)


def test_another_weight_setting_or_precision_is_another_cache(
    tmp_path: Path, tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor
) -> None:
    base = tiny_model.resnet_lstm
    directories = [FeatureCache(tmp_path, base, tiny_processor).directory]
    directories.append(FeatureCache(tmp_path, base, tiny_processor, "bf16").directory)
    for setting in ({"num_frames": 7}, {"size": {"height": 32, "width": 40}}, {"image_mean": [0.5, 0.5, 0.5]}):
        processor = ResNetLSTMVideoProcessor(**({"size": {"height": 32, "width": 32}, "num_frames": 6} | setting))
        directories.append(FeatureCache(tmp_path, base, processor).directory)
    with torch.no_grad():
        base.backbone.embedder.embedder.convolution.weight[0, 0, 0, 0] += 1e-6
    directories.append(FeatureCache(tmp_path, base, tiny_processor).directory)
    base.backbone.embedder.embedder.normalization.running_mean[0] += 1e-6
    directories.append(FeatureCache(tmp_path, base, tiny_processor).directory)
    base.config.num_motion_stages = 0
    directories.append(FeatureCache(tmp_path, base, tiny_processor).directory)
    assert len(set(directories)) == len(directories)


def test_training_the_head_does_not_change_the_cache(
    tmp_path: Path, tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor
) -> None:
    before = FeatureCache(tmp_path, tiny_model.resnet_lstm, tiny_processor).directory
    with torch.no_grad():
        tiny_model.classifier.weight += 1
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    model = ResNetLSTMForVideoClassification.from_pretrained(tmp_path / "model")
    processor = ResNetLSTMVideoProcessor.from_pretrained(tmp_path / "model")
    assert FeatureCache(tmp_path, model.resnet_lstm, processor).directory == before


def test_a_damaged_file_is_named(
    tmp_path: Path, tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor
) -> None:
    cache = FeatureCache(tmp_path, tiny_model.resnet_lstm, tiny_processor)
    cache.save("ab12", UNIFORM, torch.randn(6, 16))
    path = cache.path("ab12", UNIFORM)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=f"{path.name}: damaged"):
        cache.load("ab12", UNIFORM)
