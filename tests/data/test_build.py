from __future__ import annotations

import json
import shutil
from collections import Counter
from pathlib import Path

import datasets
import pytest

from clip_trees import file_bytes, make_clip, make_lists, make_ucf101
from conftest import numbered_frames
from hostile_videos import write_stream
from resnet_lstm.data.build import build_from_folders, build_ucf101
from resnet_lstm.data.leakage import check_leakage
from resnet_lstm.data.ucf101 import DEFAULT_CLASSES
from resnet_lstm.data.video_folder import SPLITS, DatasetError, VideoFolder


@pytest.fixture(scope="module")
def ucf101_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    groups = {"Archery": range(1, 11), "Biking": [1, 2, 3], "Bowling": [4, 5], "YoYo": [6]}
    return make_ucf101(tmp_path_factory.mktemp("ucf101"), {label: list(numbers) for label, numbers in groups.items()})


@pytest.fixture
def own_clips(tmp_path: Path) -> Path:
    """Two classes of four recordings in two parts each."""
    for label in ("cook", "wash up"):
        for recording in range(4):
            for part in (1, 2):
                make_clip(tmp_path / "clips" / label / f"{label}-{recording}_part{part}.mp4")
    return tmp_path / "clips"


def splits_of(folder: VideoFolder) -> dict[str, str]:
    return {clip.file_name: split for split in SPLITS for clip in folder.clips(split)}


def test_every_clip_is_probed(ucf101_tree: Path, tmp_path: Path) -> None:
    folder = build_ucf101(ucf101_tree, tmp_path / "out", classes="available")
    assert len(splits_of(folder)) == 32
    clip = folder.clips("train")[0]
    assert (clip.label, clip.group) == ("Archery", clip.file_name.removeprefix("Archery/v_")[:11])
    assert (clip.num_frames, clip.fps, clip.width, clip.height) == (3, 25.0, 48, 32)
    assert clip.seconds == pytest.approx(0.12)


def test_two_builds_give_the_same_bytes(ucf101_tree: Path, tmp_path: Path) -> None:
    first = build_ucf101(ucf101_tree, tmp_path / "1", classes="available", num_workers=1)
    moved = shutil.copytree(ucf101_tree, tmp_path / "moved")
    second = build_ucf101(moved / "UCF-101", tmp_path / "2", classes=["YoYo", "Bowling", "Biking", "Archery"])
    assert file_bytes(first.root) == file_bytes(second.root)


def test_classes_of_few_groups_are_listed(ucf101_tree: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    info = build_ucf101(ucf101_tree, tmp_path / "out", classes="available").info
    assert info["classes_without_train"] == []
    assert info["classes_without_validation"] == ["Bowling", "YoYo"]
    assert info["classes_without_test"] == ["YoYo"]
    assert "classes without a test clip: YoYo" in caplog.text


def test_default_classes_that_are_missing_are_listed(ucf101_tree: Path, tmp_path: Path) -> None:
    folder = build_ucf101(ucf101_tree, tmp_path / "out")
    assert folder.labels == ["Archery", "Biking", "Bowling"]
    assert folder.info["missing_classes"] == [label for label in DEFAULT_CLASSES if label not in folder.labels]


def test_at_most_so_many_clips_of_a_class_are_taken(ucf101_tree: Path, tmp_path: Path) -> None:
    folder = build_ucf101(ucf101_tree, tmp_path / "out", classes=["Archery", "Biking"], max_videos_per_class=4)
    expected = {f"{name}/v_{name}_g0{g}_c0{c}.avi" for name in ("Archery", "Biking") for g in (1, 2) for c in (1, 2)}
    assert set(splits_of(folder)) == expected


def test_grouped_split_has_no_leakage_and_random_is_called_leaky(ucf101_tree: Path, tmp_path: Path) -> None:
    grouped = build_ucf101(ucf101_tree, tmp_path / "grouped")
    assert (grouped.split_scheme, grouped.info["leaky"]) == ("grouped", False)
    assert check_leakage(grouped).shared_group == ()
    leaky = build_ucf101(ucf101_tree, tmp_path / "random", split="random")
    assert (leaky.split_scheme, leaky.info["leaky"]) == ("random (leaky)", True)


def test_official_split_follows_the_lists(tmp_path: Path) -> None:
    root = make_ucf101(tmp_path, {"Archery": [1, 8, 9, 10], "Biking": [8, 9]}, clips_per_group=1)
    train = [f"Archery/v_Archery_g{group:02d}_c01.avi" for group in (8, 9)] + ["Biking/v_Biking_g08_c01.avi"]
    make_lists(root, 2, train=train, test=["Archery/v_Archery_g01_c01.avi", "Archery/v_Archery_g02_c01.avi"])
    folder = build_ucf101(root, tmp_path / "out", split="official-2")
    assert [clip.file_name for clip in folder.clips("test")] == ["Archery/v_Archery_g01_c01.avi"]
    assert Counter(splits_of(folder).values()) == {"train": 2, "validation": 1, "test": 1}
    assert folder.info["left_out"] == 2
    assert folder.info["classes_without_test"] == ["Biking"]
    assert folder.split_scheme == "official-2"


def test_info_names_no_place_and_no_time(ucf101_tree: Path, tmp_path: Path) -> None:
    folder = build_ucf101(ucf101_tree, tmp_path / "out")
    text = (folder.root / "dataset.json").read_text()
    assert str(ucf101_tree) not in text
    assert str(tmp_path) not in text


def test_load_dataset_reads_the_folder(ucf101_tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    folder = build_ucf101(ucf101_tree, tmp_path / "out")
    loaded = datasets.load_dataset("videofolder", data_dir=str(folder.root), cache_dir=str(tmp_path / "cache"))
    for split in SPLITS:
        rows = loaded[split].cast_column("video", datasets.Video(decode=False))
        found = [(row["video"]["path"], row["label"], row["sha256"]) for row in rows]
        assert found == [(str(folder.path(split, c)), c.label, c.sha256) for c in folder.clips(split)]


def test_load_dataset_reads_webm_and_unusual_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    for number in range(4):
        make_clip(tmp_path / "clips" / "train_test" / f"é [{number}], test.webm")
        make_clip(tmp_path / "clips" / "walk" / f"train 跳 {number}.MP4")
    folder = build_from_folders(tmp_path / "clips", tmp_path / "out")
    loaded = datasets.load_dataset("videofolder", data_dir=str(folder.root), cache_dir=str(tmp_path / "cache"))
    for split in SPLITS:
        rows = loaded[split].cast_column("video", datasets.Video(decode=False))
        assert [(row["video"]["path"], row["label"]) for row in rows] == [
            (str(folder.path(split, clip)), clip.label) for clip in folder.clips(split)
        ]


def test_unreadable_clip_is_listed_with_its_cause(own_clips: Path, tmp_path: Path) -> None:
    (own_clips / "cook" / "broken.mp4").write_bytes(b"no video at all")
    folder = build_from_folders(own_clips, tmp_path / "out")
    (item,) = folder.info["unreadable"]
    assert item["file"] == "cook/broken.mp4"
    assert "broken.mp4" in item["cause"]
    assert str(tmp_path) not in item["cause"]
    assert len(splits_of(folder)) == 16


def test_unreadable_clips_are_counted_in_a_line_a_class(
    own_clips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    for number, content in enumerate([pointer, pointer, b"<!DOCTYPE html><title>Log in</title>"]):
        (own_clips / "cook" / f"broken-{number}.mp4").write_bytes(content)
    folder = build_from_folders(own_clips, tmp_path / "out")
    assert len(folder.info["unreadable"]) == 3
    (line,) = [record.message for record in caplog.records if "cannot be read" in record.message]
    assert line.startswith("cook: 3 of 11 clips cannot be read: 2 not readable as a video (found: a Git LFS pointer")
    assert "; 1 not readable as a video (found: an HTML page" in line


def test_damaged_clips_are_taken_and_listed(own_clips: Path, tmp_path: Path) -> None:
    clip = make_clip(own_clips / "cook" / "cut.avi", 20)
    content = clip.read_bytes()
    clip.write_bytes(content[: len(content) // 2])
    folder = build_from_folders(own_clips, tmp_path / "out")
    (item,) = folder.info["damaged"]
    assert item["file"] == "cook/cut.avi"
    assert item["total_frames"] == 20
    assert 0 < item["damaged_frames"] < 20
    assert "cook/cut.avi" in splits_of(folder)


@pytest.mark.parametrize("suffix", [".mts", ".m2ts", ".ts", ".h264", ".mjpeg"])
def test_what_cameras_record_is_taken(own_clips: Path, tmp_path: Path, suffix: str) -> None:
    transport = suffix.endswith("ts")
    write_stream(
        own_clips / "cook" / f"camera{suffix}",
        "mjpeg" if suffix == ".mjpeg" else "libx264",
        numbered_frames(20),
        container="mpegts" if transport else None,
        container_options={"mpegts_m2ts_mode": str(int(suffix != ".ts"))} if transport else None,
    )
    folder = build_from_folders(own_clips, tmp_path / "out")
    assert f"cook/camera{suffix}" in splits_of(folder)
    assert (folder.info["skipped_files"], folder.info["unreadable"]) == ([], [])


def test_a_mirror_of_ucf101_in_mp4_has_the_same_splits(ucf101_tree: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    for clip in (ucf101_tree / "UCF-101").rglob("*.avi"):
        make_clip(mirror / "UCF-101" / clip.parent.name / f"{clip.stem}.mp4")
    listed = sorted(clip.relative_to(ucf101_tree / "UCF-101").as_posix() for clip in ucf101_tree.rglob("*.avi"))
    for root in (ucf101_tree, mirror):
        make_lists(root, 1, train=listed[4:], test=listed[:4])
    for split in ("grouped", "official-1"):
        original, mirrored = (
            build_ucf101(root, tmp_path / split / root.name, classes="available", split=split)
            for root in (ucf101_tree, mirror)
        )
        expected = {name.replace(".avi", ".mp4"): place for name, place in splits_of(original).items()}
        assert splits_of(mirrored) == expected
    shutil.rmtree(ucf101_tree / "ucfTrainTestlist")


def test_a_ucf101_clip_in_two_containers_is_taken_once(ucf101_tree: Path, tmp_path: Path) -> None:
    root = shutil.copytree(ucf101_tree, tmp_path / "ucf101")
    folder = root / "UCF-101" / "YoYo"
    for name in ("v_YoYo_g06_c01.mp4", "notes.txt"):
        shutil.copyfile(folder / "v_YoYo_g06_c01.avi", folder / name)
    (root / "UCF-101" / "Mixing").mkdir()
    built = build_ucf101(root, tmp_path / "out", classes="available")
    assert [name for name in splits_of(built) if "YoYo" in name and "c01" in name] == ["YoYo/v_YoYo_g06_c01.avi"]
    assert built.info["skipped_files"] == ["YoYo/notes.txt", "YoYo/v_YoYo_g06_c01.mp4"]
    assert built.info["empty_classes"] == ["Mixing"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Cook", "differ by case or blanks alone"),
        ("washup", "differ by case or blanks alone"),
        ("=cmd", "begins with one of = "),
        ("dye\x1b[31m", "control characters"),
    ],
)
def test_a_class_name_that_is_two_or_does_harm_is_refused(
    own_clips: Path, tmp_path: Path, name: str, message: str
) -> None:
    make_clip(own_clips / name / "a.mp4")
    with pytest.raises(DatasetError, match=message) as error:
        build_from_folders(own_clips, tmp_path / "out")
    assert str(error.value).isprintable()


def test_a_class_folder_that_is_there_twice_through_a_link_is_refused(own_clips: Path, tmp_path: Path) -> None:
    (own_clips / "bake").symlink_to(own_clips / "cook", target_is_directory=True)
    with pytest.raises(DatasetError, match="cook: a link to the same folder as the class bake"):
        build_from_folders(own_clips, tmp_path / "out")


def test_all_clips_unreadable_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "clips" / "cook").mkdir(parents=True)
    (tmp_path / "clips" / "cook" / "a.mp4").write_bytes(b"no video at all")
    with pytest.raises(DatasetError, match="None of the 1 clips can be read"):
        build_from_folders(tmp_path / "clips", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_clip_equal_to_a_test_clip_is_dropped_from_training(ucf101_tree: Path, tmp_path: Path) -> None:
    root = shutil.copytree(ucf101_tree, tmp_path / "ucf101")
    before = splits_of(build_ucf101(root, tmp_path / "before"))
    of_split = {split: sorted(name for name, other in before.items() if other == split) for split in SPLITS}
    train, validation, test = (of_split[split] for split in SPLITS)
    for twin, original in ((train[0], test[0]), (train[1], validation[0]), (validation[1], test[1])):
        shutil.copyfile(root / "UCF-101" / original, root / "UCF-101" / twin)
    folder = build_ucf101(root, tmp_path / "after")
    assert sorted(folder.info["dropped_duplicates"], key=lambda item: item["dropped"]) == [
        {"dropped": f"train/{train[0]}", "kept": f"test/{test[0]}"},
        {"dropped": f"train/{train[1]}", "kept": f"validation/{validation[0]}"},
        {"dropped": f"validation/{validation[1]}", "kept": f"test/{test[1]}"},
    ]
    assert set(before) - set(splits_of(folder)) == {train[0], train[1], validation[1]}
    assert check_leakage(folder).same_bytes == ()


def test_equal_clips_of_one_split_stay(ucf101_tree: Path, tmp_path: Path) -> None:
    root = shutil.copytree(ucf101_tree, tmp_path / "ucf101")
    folder = root / "UCF-101" / "Biking"
    shutil.copyfile(folder / "v_Biking_g01_c01.avi", folder / "v_Biking_g01_c02.avi")
    built = build_ucf101(root, tmp_path / "out")
    assert built.info["dropped_duplicates"] == []
    assert {"Biking/v_Biking_g01_c01.avi", "Biking/v_Biking_g01_c02.avi"} <= set(splits_of(built))


def test_one_clip_under_two_labels_is_reported(own_clips: Path, tmp_path: Path) -> None:
    shutil.copyfile(own_clips / "cook" / "cook-0_part1.mp4", own_clips / "wash up" / "copy.mp4")
    (item,) = build_from_folders(own_clips, tmp_path / "out").info["conflicting_duplicates"]
    assert {name.split("/", 1)[1] for name in item["files"]} == {"cook/cook-0_part1.mp4", "wash up/copy.mp4"}


def test_without_regex_groups_are_unknown(own_clips: Path, tmp_path: Path) -> None:
    folder = build_from_folders(own_clips, tmp_path / "out")
    assert folder.split_scheme == "grouped by file"
    assert {clip.group for clip in folder.clips("train")} == {None}
    assert not check_leakage(folder).groups_known


@pytest.mark.parametrize(("group_regex", "group"), [(r"^(.*)_part", "cook-0"), (r"\d", "0"), (r"-(\d)_(part)", "0")])
def test_regex_keeps_a_recording_in_one_split(own_clips: Path, tmp_path: Path, group_regex: str, group: str) -> None:
    folder = build_from_folders(own_clips, tmp_path / "out", group_regex=group_regex)
    groups = {clip.file_name: clip.group for split in SPLITS for clip in folder.clips(split)}
    assert groups["cook/cook-0_part1.mp4"] == groups["cook/cook-0_part2.mp4"] == group
    assert folder.split_scheme == "grouped"
    assert check_leakage(folder).shared_group == ()


def test_file_without_a_group_is_an_error(own_clips: Path, tmp_path: Path) -> None:
    make_clip(own_clips / "cook" / "other.mp4")
    with pytest.raises(DatasetError, match=r"other\.mp4: group_regex=.* finds no group"):
        build_from_folders(own_clips, tmp_path / "out", group_regex="^(.*)_part")


def test_every_file_that_is_no_clip_is_named(own_clips: Path, tmp_path: Path) -> None:
    (own_clips / "cook" / "notes.txt").touch()
    (own_clips / "cook" / ".hidden.mp4").touch()
    (own_clips / "cook" / "wash up.ts").write_text("Greet(): void {}")
    (own_clips / "cook" / "more").mkdir()
    (own_clips / "loose.mp4").touch()
    (own_clips / "empty").mkdir()
    info = build_from_folders(own_clips, tmp_path / "out").info
    folder = "cook/more/ (a folder in a class folder)"
    assert info["skipped_files"] == ["cook/.hidden.mp4", folder, "cook/notes.txt", "cook/wash up.ts", "loose.mp4"]
    assert info["empty_classes"] == ["empty"]
    assert info["labels"] == ["cook", "wash up"]


def test_official_split_is_refused_for_own_clips(own_clips: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="official lists are of UCF-101"):
        build_from_folders(own_clips, tmp_path / "out", split="official-1")


def test_target_inside_the_source_is_refused(own_clips: Path) -> None:
    with pytest.raises(DatasetError, match="must not hold one another"):
        build_from_folders(own_clips, own_clips / "out")


def test_interrupted_build_leaves_nothing(own_clips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[Path] = []

    def interrupt(source: Path, target: Path) -> None:
        if len(copied) == 5:
            raise KeyboardInterrupt
        copied.append(shutil.copyfile(source, target))

    monkeypatch.setattr("os.link", interrupt)
    with pytest.raises(KeyboardInterrupt):
        build_from_folders(own_clips, tmp_path / "out")
    assert len(copied) == 5
    assert [path.name for path in tmp_path.iterdir()] == ["clips"]


def test_leftover_of_a_killed_build_is_replaced(own_clips: Path, tmp_path: Path) -> None:
    make_clip(tmp_path / "out.incomplete" / "train" / "old.mp4")
    folder = build_from_folders(own_clips, tmp_path / "out")
    assert not (folder.root / "train" / "old.mp4").exists()
    assert not (tmp_path / "out.incomplete").exists()


def test_real_ucf101_is_built_whole_and_without_leakage(ucf101_root: Path, tmp_path: Path) -> None:
    folder = build_ucf101(ucf101_root, tmp_path / "out", classes="available")
    names = splits_of(folder)
    by_class = Counter(name.split("/")[0] for name in names)
    assert len(by_class) == len(folder.labels)
    assert folder.info["unreadable"] == []
    for label in folder.labels:
        assert len(list((ucf101_root / "UCF-101" / label).glob("*.avi"))) == by_class[label]
    assert json.loads((folder.root / "dataset.json").read_text())["counts"]["test"].keys() == set(folder.labels)
    leakage = check_leakage(folder)
    assert (leakage.groups_known, leakage.shared_group, leakage.same_bytes) == (True, (), ())


def test_clips_of_none_of_the_actions_are_the_background(own_clips: Path, tmp_path: Path) -> None:
    for place in ("garden/a_part1.mp4", "garden/a_part2.mp4", "street/day/b_part1.mp4"):
        make_clip(tmp_path / "others" / place)
    # Another clip of the same name.
    make_clip(tmp_path / "b_part2.mp4").rename(tmp_path / "others" / "street" / "b_part1.mp4")
    (tmp_path / "others" / "street" / "notes.txt").touch()
    folder = build_from_folders(
        own_clips, tmp_path / "out", background=tmp_path / "others", group_regex="([^-]*)_part"
    )
    assert folder.labels == ["cook", "wash up", "background"]
    background = {
        clip.file_name: clip.group for split in SPLITS for clip in folder.clips(split) if clip.label == "background"
    }
    assert background == {
        "background/others-garden-a_part1.mp4": "a",
        "background/others-garden-a_part2.mp4": "a",
        "background/others-street-day-b_part1.mp4": "b",
        "background/others-street-b_part1.mp4": "b",
    }
    assert folder.info["skipped_files"] == ["others/street/notes.txt"]


def test_a_background_joins_the_class_folder_of_that_name(own_clips: Path, tmp_path: Path) -> None:
    make_clip(own_clips / "Background" / "a.mp4")
    make_clip(tmp_path / "others" / "b.mp4")
    folder = build_from_folders(own_clips, tmp_path / "out", background=tmp_path / "others")
    names = [clip.file_name for split in SPLITS for clip in folder.clips(split) if clip.label == "Background"]
    assert sorted(names) == ["Background/a.mp4", "Background/others-b.mp4"]
    assert folder.labels == ["Background", "cook", "wash up"]


def test_a_background_without_clips_or_among_the_classes_is_refused(own_clips: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for background in (tmp_path / "empty", tmp_path / "nowhere"):
        with pytest.raises(DatasetError, match=rf"{background.name}: found no clips of the background"):
            build_from_folders(own_clips, tmp_path / "out", background=background)
    for background in (own_clips, own_clips / "cook", tmp_path):
        with pytest.raises(DatasetError, match="must not hold one another"):
            build_from_folders(own_clips, tmp_path / "out", background=background)
