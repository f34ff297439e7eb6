"""A small model that was really trained, and clips of classes that it does not know."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

import pytest

from conftest import make_tiny_processor
from resnet_lstm import ResNetLSTMForVideoClassification
from resnet_lstm.data import VideoFolder
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.training import RunOptions, TrainingSettings, train_classifier


@pytest.fixture(scope="session")
def _teachable_model(tiny_backbone: Path, tiny_dataset: VideoFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("teachable")
    train_classifier(
        tiny_dataset,
        root / "model",
        partial(ResNetLSTMForVideoClassification.from_backbone, tiny_backbone),
        make_tiny_processor(),
        TrainingSettings(num_train_epochs=2, train_batch_size=8),
        RunOptions(cache_dir=root / "cache", num_workers=0, precision="fp32"),
        head={"lstm_hidden_size": 12},
        train_baseline=False,
    )
    return root / "model"


@pytest.fixture
def teachable_dir(_teachable_model: Path, tmp_path: Path) -> Path:
    """A copy of what a training on `tiny_dataset` has left, to be changed at will."""
    return Path(shutil.copytree(_teachable_model, tmp_path / "teachable"))


@pytest.fixture
def teachable_model(teachable_dir: Path) -> ResNetLSTMForVideoClassification:
    """The model in it, which knows "brighten" and "darken"."""
    return ResNetLSTMForVideoClassification.from_pretrained(teachable_dir).eval()


@pytest.fixture(scope="session")
def new_clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of four clips of each of "grow" and "green_to_red"."""
    return write_generated_clips(
        tmp_path_factory.mktemp("new") / "clips", 4, classes=["grow", "green_to_red"], size=(32, 32), num_frames=12
    )
