from __future__ import annotations

from pathlib import Path

import pytest

from clip_trees import make_clip
from resnet_lstm.data.leakage import check_leakage
from resnet_lstm.data.video_folder import DatasetError, VideoFolder


def write_folder(root: Path, splits: dict[str, dict[str, tuple[str, str]]], *, groups: bool = True) -> VideoFolder:
    """`splits[split][file name] = (group, content)`: clips of the same content have the same bytes."""
    for split, clips in splits.items():
        rows = ["file_name,label,group" if groups else "file_name,label"]
        for name, (group, content) in clips.items():
            source = make_clip(root / "sources" / f"{content}.mp4")
            (root / split).mkdir(exist_ok=True)
            (root / split / name).write_bytes(source.read_bytes())
            rows.append(f"{name},run,{group}" if groups else f"{name},run")
        (root / split / "metadata.csv").write_text("\n".join(rows) + "\n")
    return VideoFolder.open(root)


SPLITS = {
    "train": {"a.mp4": ("g1", "1"), "b.mp4": ("g2", "2"), "c.mp4": ("g3", "3")},
    "validation": {"d.mp4": ("g4", "4")},
    "test": {"e.mp4": ("g1", "5"), "f.mp4": ("g5", "2"), "g.mp4": ("g4", "6"), "h.mp4": ("g3", "3")},
}


def test_shared_groups_and_equal_bytes_are_counted_exactly(tmp_path: Path) -> None:
    leakage = check_leakage(write_folder(tmp_path, SPLITS))
    # g.mp4 shares its group with a validation clip, which the model is chosen by and may be trained on in the end.
    assert leakage.shared_group == ("e.mp4", "g.mp4", "h.mp4")
    assert leakage.same_bytes == ("f.mp4", "h.mp4")
    assert leakage.to_dict() == {
        "split": "test",
        "num_clips": 4,
        "groups_known": True,
        "shared_group": 3,
        "shared_group_fraction": 0.75,
        "same_bytes": 2,
        "same_bytes_fraction": 0.5,
    }
    assert "3 of 4 test clips (75.0%) share a group" in leakage.summary()


def test_split_without_leakage(tmp_path: Path) -> None:
    leakage = check_leakage(write_folder(tmp_path, SPLITS), "validation")
    assert (leakage.shared_group, leakage.same_bytes) == ((), ())


def test_unknown_groups_are_not_called_free_of_leakage(tmp_path: Path) -> None:
    leakage = check_leakage(write_folder(tmp_path, SPLITS, groups=False))
    assert not leakage.groups_known
    assert leakage.shared_group is None
    assert leakage.to_dict()["shared_group_fraction"] is None
    assert leakage.same_bytes == ("f.mp4", "h.mp4")
    assert "groups unknown" in leakage.summary()


def test_one_clip_without_a_group_makes_groups_unknown(tmp_path: Path) -> None:
    splits = {**SPLITS, "test": {**SPLITS["test"], "i.mp4": ("", "7")}}
    assert not check_leakage(write_folder(tmp_path, splits)).groups_known


def test_empty_split_cannot_be_checked(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, {"train": SPLITS["train"]})
    with pytest.raises(DatasetError, match="has no test clips"):
        check_leakage(folder)
