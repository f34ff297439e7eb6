from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import SCRIPTS
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import DatasetError, VideoFolder
from resnet_lstm.evaluation.test_time import READINGS, UNTIL_SURE, USUAL, price_readings
from resnet_lstm.features import UNIFORM, FeatureCache, clip_files
from resnet_lstm.video_decoding import decode_video


@pytest.fixture
def model(tiny_backbone: Path) -> ResNetLSTMForVideoClassification:
    torch.manual_seed(0)
    return ResNetLSTMForVideoClassification.from_backbone(
        tiny_backbone, id2label={0: "brighten", 1: "darken"}, num_frames=6, lstm_hidden_size=12
    ).eval()


def test_each_reading_is_what_the_model_says_of_those_frames(
    model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
) -> None:
    priced = {
        reading.name: reading
        for reading in price_readings(model, tiny_processor, tiny_dataset, "test", tmp_path, num_workers=0)
    }
    assert list(priced) == [reading.name for reading in READINGS]
    labels = np.array([model.config.label2id[clip.label] for clip in tiny_dataset.clips("test")])
    frames_of = {"half the frames": 3, USUAL: 6, "twice the frames": 12}
    with torch.no_grad():
        for name, num_frames in frames_of.items():
            frames = [decode_video(file.path, num_frames).frames for file in clip_files(tiny_dataset, "test")]
            pixel_values = tiny_processor(frames, do_sample_frames=False, return_tensors="pt")["pixel_values"]
            answers = model(pixel_values).logits.argmax(-1).numpy()
            assert priced[name].top1.value == pytest.approx((answers == labels).mean())
            assert (priced[name].num_frames, priced[name].cost) == (num_frames, num_frames / 6)
    assert (priced["and mirrored"].num_frames, priced["and mirrored"].cost) == (12, 2)
    assert priced[USUAL].gain_top1 is None
    half = priced["half the frames"]
    assert half.gain_top1 is not None
    assert half.gain_top1.value == pytest.approx(half.top1.value - priced[USUAL].top1.value)
    assert tiny_processor.num_frames == 6


def test_readings_are_made_in_the_precision_of_the_model(
    model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
) -> None:
    model.compile_for_inference(precision="bf16")
    price_readings(model, tiny_processor, tiny_dataset, "test", tmp_path, num_workers=0)
    made, other = (
        FeatureCache(tmp_path, model.resnet_lstm, tiny_processor, precision) for precision in ("bf16", "fp32")
    )
    for file in clip_files(tiny_dataset, "test"):
        assert made.has(file.sha256, UNIFORM)
        assert not other.has(file.sha256, UNIFORM)


def test_reading_until_sure_is_priced_where_the_model_knows_when_that_is(
    model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
) -> None:
    for sure_at, frames_read in ((0.01, 3), (1.0, 6)):
        model.config.early_exit_score = sure_at
        *_, until_sure = price_readings(model, tiny_processor, tiny_dataset, "test", tmp_path, num_workers=0)
        assert (until_sure.name, until_sure.num_frames) == (UNTIL_SURE, frames_read)
        assert until_sure.cost == frames_read / 6


def test_a_broken_clip_is_named(
    model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
) -> None:
    shutil.copytree(tiny_dataset.root, tmp_path / "dataset")
    folder = VideoFolder.open(tmp_path / "dataset")
    broken = folder.path("test", folder.clips("test")[0])
    broken.write_bytes(b"no video")
    with pytest.raises(DatasetError, match=broken.name):
        price_readings(model, tiny_processor, folder, "test", tmp_path / "cache", num_workers=0)


def test_the_script_writes_the_table_and_the_picture(
    model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
) -> None:
    model.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    command = [sys.executable, str(SCRIPTS / "evaluate.py"), str(tmp_path / "model"), str(tiny_dataset.root)]
    options = ["--test-time", "--cache-dir", str(tmp_path / "cache"), "--output", str(tmp_path / "figures")]
    run = subprocess.run([*command, *options], capture_output=True, text=True, check=True)
    result = json.loads((tmp_path / "figures" / "test_time.json").read_text())
    assert result["split"] == "test"
    assert [reading["name"] for reading in result["readings"]] == [reading.name for reading in READINGS]
    assert (tmp_path / "figures" / "test_time.md").read_text() in run.stdout
    assert (tmp_path / "figures" / "test_time.csv").read_text().count("\n") == 1 + len(READINGS)
    assert (tmp_path / "figures" / "test_time.png").stat().st_size > 1000

    run = subprocess.run([*command, "--test-time", "--no-cache"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "--no-cache" in run.stderr
