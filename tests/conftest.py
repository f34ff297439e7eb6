"""Fixtures shared by all tests: small real clips, and the real data where the machine has it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from resnet_lstm.data.video_encoding import write_video


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
