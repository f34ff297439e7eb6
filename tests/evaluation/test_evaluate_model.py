from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import SCRIPTS
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import DatasetError, VideoFolder
from resnet_lstm.evaluation.evaluate_model import evaluate_model
from resnet_lstm.features import FeatureCache


@pytest.fixture
def model(tiny_backbone: Path) -> ResNetLSTMForVideoClassification:
    return ResNetLSTMForVideoClassification.from_backbone(
        tiny_backbone, id2label={0: "darken", 1: "brighten"}, num_frames=6, lstm_hidden_size=12
    )


def test_cached_features_and_whole_clips_score_the_same(
    model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
) -> None:
    cache = FeatureCache(tmp_path, model.resnet_lstm, tiny_processor)
    cached = evaluate_model(model, tiny_processor, tiny_dataset, cache=cache, num_workers=0)
    whole = evaluate_model(model, tiny_processor, tiny_dataset)
    np.testing.assert_allclose(cached.logits, whole.logits, atol=1e-5)
    assert cached.to_dict()["top1"] == whole.to_dict()["top1"]
    # The labels are the model's, whatever the order of the dataset's.
    assert cached.label_names == ["darken", "brighten"]
    assert [cached.label_names[label] for label in cached.labels] == [c.label for c in tiny_dataset.clips("test")]


def test_a_broken_clip_is_left_out_of_the_score(
    model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
) -> None:
    shutil.copytree(tiny_dataset.root, tmp_path / "dataset")
    folder = VideoFolder.open(tmp_path / "dataset")
    folder.path("test", folder.clips("test")[0]).write_bytes(b"no video")
    cache = FeatureCache(tmp_path / "cache", model.resnet_lstm, tiny_processor)
    for report in (
        evaluate_model(model, tiny_processor, folder),
        evaluate_model(model, tiny_processor, folder, cache=cache, num_workers=0),
    ):
        assert report.file_names == [clip.file_name for clip in folder.clips("test")[1:]]


def test_a_class_that_the_model_does_not_know_is_named(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
) -> None:
    with pytest.raises(DatasetError, match="does not know brighten, darken"):
        evaluate_model(tiny_model, tiny_processor, tiny_dataset)


def test_the_script_writes_the_report(
    model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
) -> None:
    model.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    command = [sys.executable, str(SCRIPTS / "evaluate.py"), str(tmp_path / "model"), str(tiny_dataset.root)]
    run = subprocess.run(
        [*command, "--cache-dir", str(tmp_path / "cache")], capture_output=True, text=True, check=True
    )
    assert "top-1" in run.stdout
    assert "grouped by file" in run.stdout
    metrics = json.loads((tmp_path / "model" / "evaluation-test" / "metrics.json").read_text())
    assert metrics["clips"] == 4
    assert (tmp_path / "model" / "evaluation-test" / "confusion_matrix.png").is_file()
