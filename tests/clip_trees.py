"""Folders of small real clips for tests."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from resnet_lstm.data.video_encoding import write_video


def make_clip(path: Path, num_frames: int = 3) -> Path:
    """A clip of 32x48 noise; clips of different names have different bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(zlib.crc32(path.name.encode()))
    return write_video(path, rng.integers(0, 255, (num_frames, 32, 48, 3), np.uint8))


def make_ucf101(root: Path, groups: Mapping[str, Sequence[int]], clips_per_group: int = 2) -> Path:
    """`root/UCF-101/<Class>/v_<Class>_gNN_cNN.avi` for the group numbers of each class."""
    for label, numbers in groups.items():
        for group in numbers:
            for clip in range(1, clips_per_group + 1):
                make_clip(root / "UCF-101" / label / f"v_{label}_g{group:02d}_c{clip:02d}.avi")
    return root


def make_lists(root: Path, number: int, train: Sequence[str], test: Sequence[str]) -> None:
    """`root/ucfTrainTestlist/` with one split's lists of `<Class>/<file name>`; trainlist01 is always there."""
    folder = root / "ucfTrainTestlist"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "trainlist01.txt").touch()
    (folder / f"trainlist{number:02d}.txt").write_text("".join(f"{name} 1\n" for name in train))
    (folder / f"testlist{number:02d}.txt").write_text("".join(f"{name}\n" for name in test))


def file_bytes(root: Path) -> dict[str, bytes]:
    """The bytes of every file below a folder."""
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
