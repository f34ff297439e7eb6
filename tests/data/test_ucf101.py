from __future__ import annotations

from pathlib import Path

import pytest

from clip_trees import make_lists, make_ucf101
from resnet_lstm.data.ucf101 import (
    DEFAULT_CLASSES,
    find_clips_folder,
    find_lists_folder,
    list_classes,
    list_clips,
    parse_clip_name,
    read_official_split,
    select_classes,
)
from resnet_lstm.data.video_folder import DatasetError


def test_clip_name_is_taken_apart() -> None:
    assert parse_clip_name("v_HandStandPushups_g07_c12.avi") == ("HandStandPushups", 7, 12)


@pytest.mark.parametrize("name", ["v_Biking_g1_c01.avi", "Biking_g01_c01.avi", "v_Biking_g01_c01.txt", "v_Biking.avi"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DatasetError, match=f"{name}: not a UCF-101 clip"):
        parse_clip_name(name)


def test_default_classes_are_the_first_25_official_ones(ucf101_root: Path) -> None:
    lines = (ucf101_root / "ucfTrainTestlist" / "classInd.txt").read_text().splitlines()
    assert tuple(line.split()[1] for line in lines[:25]) == DEFAULT_CLASSES


@pytest.mark.parametrize("inside", ["", "UCF-101"])
def test_root_may_hold_the_clips_folder_or_be_it(tmp_path: Path, inside: str) -> None:
    make_ucf101(tmp_path, {"Biking": [1]}, clips_per_group=1)
    (tmp_path / "UCF-101" / "notes").mkdir()
    folder = find_clips_folder(tmp_path / inside)
    assert list_classes(folder) == ["Biking"]


def test_root_without_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="holds no UCF-101 clips"):
        find_clips_folder(tmp_path)


def test_group_names_the_class_and_label_is_the_folder(tmp_path: Path) -> None:
    root = make_ucf101(tmp_path, {"HandStandPushups": [8]}, clips_per_group=1)
    (root / "UCF-101" / "HandStandPushups").rename(root / "UCF-101" / "HandstandPushups")
    (clip,) = list_clips(root / "UCF-101", "HandstandPushups")
    assert (clip.label, clip.group, clip.clip) == ("HandstandPushups", "HandstandPushups_g08", 1)


def test_limit_takes_the_first_clips_by_name(tmp_path: Path) -> None:
    root = make_ucf101(tmp_path, {"Biking": [3, 1, 2]})
    clips = list_clips(root / "UCF-101", "Biking", limit=3)
    assert [(clip.group, clip.clip) for clip in clips] == [("Biking_g01", 1), ("Biking_g01", 2), ("Biking_g02", 1)]


def test_missing_default_class_is_named_in_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    chosen, missing = select_classes([*DEFAULT_CLASSES[:-1], "YoYo"], "default")
    assert (chosen, missing) == (list(DEFAULT_CLASSES[:-1]), ["CuttingInKitchen"])
    assert "CuttingInKitchen" in caplog.text


def test_available_takes_every_class_that_is_there() -> None:
    assert select_classes(["Archery", "YoYo"], "available") == (["Archery", "YoYo"], [])


def test_class_asked_for_by_name_must_be_there() -> None:
    with pytest.raises(DatasetError, match=r"'bikng' is not there\. Did you mean Biking"):
        select_classes(["Archery", "Biking"], ["bikng"])
    with pytest.raises(DatasetError, match="2 classes are: Archery, Biking"):
        select_classes(["Archery", "Biking"], ["Quidditch"])


def test_none_of_the_default_classes_is_an_error() -> None:
    with pytest.raises(DatasetError, match="such as YoYo"):
        select_classes(["YoYo"], "default")


@pytest.mark.parametrize("passed", [None, "", "ucfTrainTestlist"])
def test_lists_are_found_beside_the_clips_or_where_told(tmp_path: Path, passed: str | None) -> None:
    make_lists(tmp_path, 1, train=["Biking/v_Biking_g08_c01.avi"], test=["Biking/v_Biking_g01_c01.avi"])
    folder = find_lists_folder(tmp_path / "UCF-101", None if passed is None else tmp_path / passed)
    split = read_official_split(folder, 1)
    assert split.train == {"Biking/v_Biking_g08_c01.avi"}
    assert split.test == {"Biking/v_Biking_g01_c01.avi"}


def test_missing_lists_are_an_error_that_says_where_they_are_from(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"UCF101TrainTestSplits-RecognitionTask\.zip"):
        find_lists_folder(tmp_path / "UCF-101")


def test_official_lists_share_no_clip_and_no_group(ucf101_root: Path) -> None:
    for number in (1, 2, 3):
        split = read_official_split(ucf101_root / "ucfTrainTestlist", number)
        assert len(split.train) + len(split.test) == 13320
        assert not {name[:-8] for name in split.train} & {name[:-8] for name in split.test}
