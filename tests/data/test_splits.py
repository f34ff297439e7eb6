from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from resnet_lstm.data.splits import classes_without, grouped_split, official_split, random_split
from resnet_lstm.data.ucf101 import OfficialSplit
from resnet_lstm.data.video_folder import Clip, DatasetError

Split = Callable[[list[Clip], int], dict[Clip, str]]


def clips_of(label: str, group_sizes: list[int]) -> list[Clip]:
    return [
        Clip(f"{label}/v_{label}_g{group:02d}_c{clip:02d}.avi", label, f"{label}_g{group:02d}", clip)
        for group, size in enumerate(group_sizes, start=1)
        for clip in range(1, size + 1)
    ]


MANY = [clip for label in ("Archery", "Biking", "Punch") for clip in clips_of(label, [4, 7, 5, 6, 4] * 5)]


@pytest.mark.parametrize("seed", range(10))
def test_no_group_is_in_two_splits(seed: int) -> None:
    splits = grouped_split(MANY, seed)
    assert len({(clip.group, split) for clip, split in splits.items()}) == len({clip.group for clip in MANY})


@pytest.mark.parametrize("split", [grouped_split, random_split])
def test_every_class_is_split_near_80_10_10(split: Split) -> None:
    counts = Counter((clip.label, name) for clip, name in split(MANY, 42).items())
    for label in ("Archery", "Biking", "Punch"):
        # Of 130 clips: 13 for test and validation each, give or take half of the largest group
        assert abs(counts[label, "test"] - 13) <= 3.5
        assert abs(counts[label, "validation"] - 13) <= 3.5


def test_random_split_is_exact_to_the_clip() -> None:
    assert Counter(random_split(MANY, 42).values()) == {"train": 312, "validation": 39, "test": 39}


@pytest.mark.parametrize(
    ("group_sizes", "expected"),
    [
        ([5], {"train"}),
        ([5, 2], {"train", "test"}),
        ([5, 2, 2], {"train", "validation", "test"}),
        ([1, 1, 9, 1], {"train", "validation", "test"}),
    ],
)
@pytest.mark.parametrize("seed", range(10))
def test_class_of_few_groups_gets_the_splits_it_can(group_sizes: list[int], expected: set[str], seed: int) -> None:
    assert set(grouped_split(clips_of("Biking", group_sizes), seed).values()) == expected


@pytest.mark.parametrize("seed", range(10))
def test_largest_group_of_few_goes_to_training(seed: int) -> None:
    splits = grouped_split(clips_of("Biking", [2, 9, 2]), seed)
    assert {split for clip, split in splits.items() if clip.group == "Biking_g02"} == {"train"}


@pytest.mark.parametrize("split", [grouped_split, random_split])
def test_order_of_the_clips_does_not_matter(split: Split) -> None:
    shuffled = sorted(MANY, key=lambda clip: (clip.clip, clip.label))
    assert split(shuffled, 42) == split(MANY, 42)


@pytest.mark.parametrize("split", [grouped_split, random_split])
def test_seed_changes_the_split(split: Split) -> None:
    assert split(MANY, 1) != split(MANY, 2)


def test_a_further_class_leaves_the_others_as_they_were() -> None:
    alone = grouped_split(MANY, 42)
    together = grouped_split(MANY + clips_of("Bowling", [3, 3, 3]), 42)
    assert {clip: together[clip] for clip in MANY} == alone


def test_split_of_a_seed_is_this_one_in_every_process_and_release() -> None:
    splits = grouped_split(clips_of("Biking", [1] * 20), 42)
    assert {clip.group for clip, split in splits.items() if split == "test"} == {"Biking_g13", "Biking_g14"}
    assert {clip.group for clip, split in splits.items() if split == "validation"} == {"Biking_g02", "Biking_g06"}


def test_official_test_list_is_the_test_split() -> None:
    clips = clips_of("Biking", [4] * 25)
    test = {clip.file_name for clip in clips if clip.group is not None and clip.group <= "Biking_g07"}
    train = {clip.file_name for clip in clips} - test
    splits = official_split(clips, OfficialSplit(frozenset(train), frozenset(test)), 42)
    assert {clip.file_name for clip, split in splits.items() if split == "test"} == test
    # A ninth of 72 training clips, in whole groups of 4
    assert Counter(splits.values()) == {"train": 64, "validation": 8, "test": 28}
    assert len({(clip.group, split) for clip, split in splits.items()}) == 25


def test_clips_of_neither_list_are_left_out() -> None:
    clips = clips_of("Biking", [1, 1, 1, 1])
    lists = OfficialSplit(frozenset(clip.file_name for clip in clips[:2]), frozenset([clips[2].file_name]))
    assert set(official_split(clips, lists, 42)) == set(clips[:3])


def test_official_split_without_test_clips_is_an_error() -> None:
    clips = clips_of("Biking", [1, 1])
    lists = OfficialSplit(frozenset(clip.file_name for clip in clips), frozenset(["Biking/v_Biking_g09_c01.avi"]))
    with pytest.raises(DatasetError, match="None of the 2 clips is in the official test list"):
        official_split(clips, lists, 42)


def test_classes_that_a_split_lacks_are_named() -> None:
    lacking = classes_without([("A", "train"), ("A", "test"), ("B", "train")], ["A", "B"])
    assert lacking == {"train": [], "validation": ["A", "B"], "test": ["B"]}


def test_a_recording_of_several_classes_stays_in_one_split() -> None:
    clips = [
        Clip(f"{label}/{recording}_{part}.mp4", label, f"recording-{recording}")
        for label in ("cook", "wash", "eat")
        for recording in range(20)
        for part in range(2)
    ]
    splits = grouped_split(clips, 42)
    assert {len({splits[c] for c in clips if c.group == f"recording-{n}"}) for n in range(20)} == {1}
    for split, share in (("train", 0.8), ("validation", 0.1), ("test", 0.1)):
        assert sum(found == split for found in splits.values()) / len(clips) == pytest.approx(share, abs=0.03)
    assert splits == grouped_split(clips[::-1], 42)
