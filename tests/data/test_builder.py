from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from clip_trees import make_clip, make_ucf101
from resnet_lstm.data.build import build_ucf101
from resnet_lstm.data.builder import UCF101Subset
from resnet_lstm.data.video_folder import SPLITS, DatasetError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_ucf101(tmp_path / "ucf101", {"Archery": [1, 2, 3, 4], "Biking": [1, 2, 3]}, clips_per_group=1)


def test_builder_gives_the_splits_of_the_folder_build(root: Path, tmp_path: Path) -> None:
    builder = UCF101Subset(cache_dir=str(tmp_path / "cache"), root=root)
    builder.download_and_prepare()
    loaded = builder.as_dataset()
    folder = build_ucf101(root, tmp_path / "out")
    assert set(loaded) == set(SPLITS)
    assert loaded["train"].features["label"].names == folder.labels
    for split in SPLITS:
        for row, clip in zip(loaded[split], folder.clips(split), strict=True):
            assert row["video"] == {"path": str(root / "UCF-101" / clip.file_name), "bytes": None}
            assert folder.labels[row["label"]] == clip.label
            assert (row["group"], row["clip"], row["sha256"]) == (clip.group, clip.clip, clip.sha256)
            assert (row["num_frames"], row["fps"], row["width"], row["height"]) == (3, 25.0, 48, 32)


def test_clips_are_not_copied_into_the_cache(root: Path, tmp_path: Path) -> None:
    builder = UCF101Subset(cache_dir=str(tmp_path / "cache"), root=root)
    builder.download_and_prepare()
    assert not list((tmp_path / "cache").rglob("*.avi"))
    assert {path.suffix for path in Path(builder.cache_dir).iterdir()} == {".arrow", ".json"}


def test_builder_streams(root: Path, tmp_path: Path) -> None:
    stream = UCF101Subset(cache_dir=str(tmp_path / "cache"), root=root).as_streaming_dataset()
    assert sum(1 for split in SPLITS for _ in stream[split]) == 7


def config_id(root: Path, tmp_path: Path, **settings: Any) -> str:
    return UCF101Subset(cache_dir=str(tmp_path / "cache"), root=root, **settings).config_id


@pytest.mark.parametrize(
    "settings", [{"seed": 1}, {"classes": ["Biking"]}, {"split": "random"}, {"max_videos_per_class": 2}]
)
def test_other_settings_have_a_cache_of_their_own(root: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    assert config_id(root, tmp_path, **settings) != config_id(root, tmp_path)


def test_changed_added_or_removed_clip_is_no_stale_hit(root: Path, tmp_path: Path) -> None:
    seen = {config_id(root, tmp_path)}
    folder = root / "UCF-101" / "Biking"
    make_clip(folder / "v_Biking_g01_c01.avi", num_frames=5)
    seen.add(config_id(root, tmp_path))
    make_clip(folder / "v_Biking_g09_c01.avi")
    seen.add(config_id(root, tmp_path))
    (folder / "v_Biking_g03_c01.avi").unlink()
    seen.add(config_id(root, tmp_path))
    assert len(seen) == 4


def test_same_settings_use_the_cache_again(root: Path, tmp_path: Path) -> None:
    assert config_id(root, tmp_path) == config_id(root / "UCF-101" / "..", tmp_path)


def test_builder_needs_a_root(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="name the folder of UCF-101"):
        UCF101Subset(cache_dir=str(tmp_path))
