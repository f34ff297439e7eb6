from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from clip_trees import file_bytes, make_clip, make_ucf101
from resnet_lstm.data import DatasetError, VideoFolder, build_ucf101, complete_dataset


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    return make_ucf101(tmp_path / "ucf101", {"Archery": [1, 2, 3], "Biking": [1, 2, 3]}, clips_per_group=1)


@pytest.fixture
def whole(clips: Path, tmp_path: Path) -> VideoFolder:
    return build_ucf101(clips, tmp_path / "whole")


@pytest.fixture
def metadata(whole: VideoFolder, tmp_path: Path) -> VideoFolder:
    shutil.copytree(whole.root, tmp_path / "metadata", ignore=shutil.ignore_patterns("*.avi"))
    return VideoFolder.open(tmp_path / "metadata")


def test_the_completed_dataset_is_the_original_to_the_byte(
    clips: Path, whole: VideoFolder, metadata: VideoFolder, tmp_path: Path
) -> None:
    make_clip(clips / "A" / "v_Archery_g01_c01.avi", num_frames=5)  # of the same name, found first
    completed = complete_dataset(metadata, clips, tmp_path / "completed")
    assert file_bytes(completed.root) == file_bytes(whole.root)


def test_clips_without_known_bytes_are_found_by_their_place(
    clips: Path, metadata: VideoFolder, tmp_path: Path
) -> None:
    for path in metadata.root.glob("*/metadata.csv"):
        lines = [",".join(line.split(",")[:-1]) for line in path.read_text().splitlines()]
        path.write_text("\n".join(lines) + "\n")
    make_clip(clips / "A" / "v_Archery_g01_c01.avi", num_frames=5)
    completed = complete_dataset(VideoFolder.open(metadata.root), clips, tmp_path / "completed")
    found = {path.name: path.read_bytes() for path in completed.root.rglob("*.avi")}
    assert found == {path.name: path.read_bytes() for path in (clips / "UCF-101").rglob("*.avi")}


def test_a_missing_or_different_clip_is_named(clips: Path, metadata: VideoFolder, tmp_path: Path) -> None:
    (clips / "UCF-101" / "Archery" / "v_Archery_g01_c01.avi").unlink()
    make_clip(clips / "UCF-101" / "Biking" / "v_Biking_g01_c01.avi", num_frames=5)
    with pytest.raises(DatasetError, match=r"2 of 6 clips .*v_Archery_g01_c01\.avi"):
        complete_dataset(metadata, clips, tmp_path / "completed")
    assert not (tmp_path / "completed").exists()
    with pytest.raises(DatasetError, match="no such folder"):
        complete_dataset(metadata, tmp_path / "nowhere", tmp_path / "completed")
