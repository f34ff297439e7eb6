"""Long videos and cameras on the command line."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import SCRIPTS
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor, probe_video
from resnet_lstm.data import VideoFolder
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.data.video_encoding import write_video


def run(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def long_video(tmp_path: Path) -> Path:
    """Six seconds."""
    return write_video(tmp_path / "long.mp4", (np.full((96, 128, 3), i, np.uint8) for i in range(150)))


def test_a_timeline_in_all_its_forms(model_dir: Path, long_video: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / f"actions.{name}" for name in ("json", "csv", "png", "mp4")}
    done = run(
        "predict.py", model_dir, long_video, "--timeline", "--fps", 5, "--min-score", 0.2, "--json", places["json"],
        "--csv", places["csv"], "--plot", places["png"], "--annotate", places["mp4"],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    record = json.loads(places["json"].read_text())
    assert record["source"] == str(long_video)
    assert len(record["moments"]) == 30
    assert record["segments"][0]["start"] == 0
    assert record["segments"][-1]["end"] == 6
    rows = list(csv.DictReader(places["csv"].read_text().splitlines()))
    assert [row["action"] for row in rows] == [segment["label"] or "" for segment in record["segments"]]
    assert rows[0]["action"] in done.stdout
    assert places["png"].stat().st_size > 5000
    assert probe_video(places["mp4"]).seconds == pytest.approx(6, abs=0.05)


def test_a_broken_video_costs_only_itself(model_dir: Path, long_video: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    done = run("predict.py", model_dir, broken, long_video, "--timeline", "--csv", tmp_path / "actions.csv")
    assert done.returncode == 1
    assert done.stderr.count("broken.mp4: not readable as a video") == 1
    rows = list(csv.DictReader((tmp_path / "actions.csv").read_text().splitlines()))
    assert "broken.mp4: not readable" in rows[0]["error"]
    assert rows[-1]["source"] == str(long_video)
    both = run("predict.py", model_dir, broken, long_video, "--timeline", "--plot", tmp_path / "actions.png")
    assert both.returncode == 2
    assert "--plot and --annotate take one" in both.stderr


def test_a_camera_is_followed_frame_by_frame(model_dir: Path, long_video: Path, tmp_path: Path) -> None:
    done = run("live.py", model_dir, long_video, "--fps", 2, "--json", tmp_path / "live.jsonl")
    assert done.returncode == 0, done.stderr
    records = [json.loads(line) for line in (tmp_path / "live.jsonl").read_text().splitlines()]
    assert [record["seconds"] for record in records] == pytest.approx([0.25 + 0.5 * i for i in range(12)])
    assert records[-1]["top"][0]["label"] in done.stdout
    assert "\nerror: webcam /dev/video99: " in run("live.py", model_dir, "/dev/video99").stderr


def test_timelines_are_scored_on_joined_clips(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    tmp_path: Path,
) -> None:
    tiny_model.config.id2label = {0: "brighten", 1: "darken", 2: "none of these"}
    tiny_model.config.label2id = {label: index for index, label in tiny_model.config.id2label.items()}
    tiny_model.config.frames_per_second = 12.0
    for part in (tiny_model, tiny_processor):
        part.save_pretrained(tmp_path / "model")
    others = write_generated_clips(tmp_path / "others", 2, classes=["grow"], size=(32, 32), num_frames=12)
    done = run(
        "evaluate.py", tmp_path / "model", tiny_dataset.root, "--timeline", "--unknown", others,
        "--cache-dir", tmp_path / "cache", "--num-workers", 0,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    output = tmp_path / "model" / "evaluation-test"
    assert {path.name for path in output.iterdir()} == {f"localisation.{suffix}" for suffix in ("json", "csv", "png")}
    content = json.loads((output / "localisation.json").read_text())
    assert content["seconds"] == pytest.approx((4 * 12 + 2 * 12) / 25, abs=0.01)
    assert f"frame accuracy           {100 * content['frame_accuracy']['value']:5.1f} %" in done.stdout
