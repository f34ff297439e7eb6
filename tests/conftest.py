"""Fixtures shared by all tests: small real clips, and the real data where the machine has it."""

from __future__ import annotations

import os
from pathlib import Path

# Before any library that reads it: no test may reach for the Hub.
os.environ["HF_HUB_OFFLINE"] = "1"

import numpy as np
import pytest
from transformers import ResNetConfig, ResNetModel, set_seed

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import VideoFolder, build_from_folders
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.data.video_encoding import write_video

pytest_plugins = ("space_fixtures",)

SCRIPTS = Path(__file__).parents[1] / "scripts"


def numbered_frames(num_frames: int, height: int = 48, width: int = 64) -> list[np.ndarray]:
    """Grey frames whose brightness tells their number: frame i has the value 10 + 8 i, so up to 30 frames."""
    if num_frames > 30:
        raise ValueError(f"num_frames={num_frames}: only 30 grey levels can be told apart after compression.")
    return [np.full((height, width, 3), 10 + 8 * i, np.uint8) for i in range(num_frames)]


def frame_numbers(frames: np.ndarray) -> list[int]:
    """The number of each of the decoded `frames` `[T, H, W, 3]`, read back from its brightness."""
    return [round((float(frame.mean()) - 10) / 8) for frame in frames]


@pytest.fixture
def numbered_clip(tmp_path: Path) -> Path:
    """A 20-frame mp4 at 25 fps whose frames tell their number."""
    return write_video(tmp_path / "numbered.mp4", numbered_frames(20))


def _folder_from_environment(variable: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set")
    path = Path(value)
    if not path.is_dir():
        pytest.fail(f"{variable}={value} is not a folder")
    return path


@pytest.fixture(scope="session")
def ucf101_root() -> Path:
    """The folder that holds `UCF-101/` and `ucfTrainTestlist/`."""
    return _folder_from_environment("UCF101_ROOT")


@pytest.fixture(scope="session")
def resnet50_path() -> Path:
    """ResNet-50 weights in the layout of `microsoft/resnet-50`."""
    return _folder_from_environment("RESNET50_PATH")


@pytest.fixture(scope="session")
def tiny_backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ResNet of two layers in the layout of `microsoft/resnet-50`, with BatchNorm statistics of its own."""
    path = tmp_path_factory.mktemp("backbone")
    set_seed(0)
    resnet = ResNetModel(ResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic"))
    for name, buffer in resnet.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
    resnet.save_pretrained(path)
    return path


@pytest.fixture
def tiny_processor() -> ResNetLSTMVideoProcessor:
    """Six frames of 32 x 32 pixels."""
    return ResNetLSTMVideoProcessor(size={"height": 32, "width": 32}, num_frames=6)


@pytest.fixture
def tiny_model(tiny_backbone: Path) -> ResNetLSTMForVideoClassification:
    """Three labels, six frames, twelve LSTM units that have a say, in evaluation mode."""
    set_seed(0)
    model = ResNetLSTMForVideoClassification.from_backbone(
        tiny_backbone, id2label={0: "jump", 1: "run", 2: "swim"}, num_frames=6, lstm_hidden_size=12
    )
    assert model.lstm_classifier is not None
    model.lstm_classifier.weight.data.normal_(std=0.1)
    return model.eval()


@pytest.fixture
def model_dir(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path
) -> Path:
    """Where `tiny_model` and `tiny_processor` are saved."""
    tiny_model.save_pretrained(tmp_path / "model")
    tiny_processor.save_pretrained(tmp_path / "model")
    return tmp_path / "model"


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> VideoFolder:
    """20 generated clips of each of two classes, in splits of 16, 2 and 2."""
    root = tmp_path_factory.mktemp("generated")
    clips = write_generated_clips(root / "clips", 20, classes=["brighten", "darken"], size=(32, 32), num_frames=12)
    return build_from_folders(clips, root / "dataset")
