from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from conftest import SCRIPTS, numbered_frames
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.benchmarking import flop_of
from resnet_lstm.benchmarking.decoding import other_readers, time_decoding
from resnet_lstm.benchmarking.extraction import peak_memory_of_extraction
from resnet_lstm.data import VideoFolder
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.device_precision import has_fast_bfloat16
from resnet_lstm.video_decoding import decode_video, sample_frame_indices


def run_benchmark(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "benchmark.py"), *map(str, arguments), "--quick"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def trained_dir(tiny_backbone: Path, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path) -> Path:
    torch.manual_seed(0)
    model = ResNetLSTMForVideoClassification.from_backbone(
        tiny_backbone, id2label={0: "brighten", 1: "darken"}, num_frames=6, lstm_hidden_size=12, early_exit_score=0.6
    )
    model.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def test_every_part_is_measured_against_something_of_the_same_run(
    trained_dir: Path, tiny_dataset: VideoFolder, tmp_path: Path
) -> None:
    parts = ["clips", "live", "decoding", "extraction", "feeding", "training", "anytime"]
    places = ["--cache-dir", tmp_path / "cache", "--output", tmp_path / "out"]
    run = run_benchmark(trained_dir, tiny_dataset.root, *places, "--parts", *parts)
    assert run.returncode == 0, run.stderr
    written = json.loads((tmp_path / "out" / "benchmark.json").read_text())
    by_part: dict[str, list[dict[str, object]]] = {}
    for figure in written["figures"]:
        by_part.setdefault(figure["part"], []).append(figure)
    # Where the processor is fast in it, a clip and a frame are timed in bfloat16 too.
    assert len(by_part) == len(parts) + (2 if has_fast_bfloat16("cpu") else 0)
    for part, figures in by_part.items():
        references = {figure["relative_to"] for figure in figures}
        assert len(references) == 1, part
        if part != "anytime":
            assert [figure["median"] for figure in figures if figure["name"] in references] == [1.0]
    assert written["anytime"]["clips"] == 1
    assert written["anytime"]["frames_read"] in (0.5, 1.0)


def test_a_model_that_is_not_there_is_one_clear_line(tiny_dataset: VideoFolder, tmp_path: Path) -> None:
    run = run_benchmark(tmp_path / "nothing", tiny_dataset.root)
    assert run.returncode == 2
    assert run.stderr.startswith("error: ") and "nothing" in run.stderr  # noqa: PT018 - one line


def test_readers_give_the_same_frames(tmp_path: Path) -> None:
    # What is compared must be the same work: each reader is given the same indices.
    clip = write_video(tmp_path / "clip.mp4", numbered_frames(30))
    indices = sample_frame_indices(30, 16).tolist()
    expected = decode_video(clip, 16).frames
    for name, reader in other_readers(clip).items():
        frames = reader(clip, indices)
        assert frames.shape == expected.shape, name
        assert abs(frames.astype(int) - expected).max() <= 4, name
    (figure, *_) = time_decoding("decoding", [clip], 16, num_rounds=1)
    assert figure.name == "resnet_lstm"


def test_the_operations_of_a_convolution_are_counted() -> None:
    convolution = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    assert flop_of(convolution, torch.zeros(2, 3, 10, 10)) == 2 * (2 * 100) * 8 * 27


def test_memory_is_that_of_a_process_of_its_own(trained_dir: Path, tiny_dataset: VideoFolder) -> None:
    few, many = peak_memory_of_extraction(tiny_dataset.root, trained_dir, (1, 4))
    assert few.median == 1
    assert many.median > 0.5
