"""Clips -> train, validation and test. Same clips and seed, same splits, in whatever order the clips come.

Clips of one group are cut from one source video: a test clip whose group is also in training measures how well a model
remembers that video. Only the random split lets this happen.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence

from .ucf101 import OfficialSplit, listed_name
from .video_folder import SPLITS, Clip, DatasetError

SPLIT_SCHEMES = ("grouped", "official-1", "official-2", "official-3", "random")

TEST_FRACTION = 0.1
VALIDATION_FRACTION = 0.1


def grouped_split(clips: Iterable[Clip], seed: int) -> dict[Clip, str]:
    """Split every class near 80/10/10 with no group in two splits.

    A group may hold clips of several classes. A class of three or more groups has at least one in each split. A class
    of two has none for validation, a class of one is all training: see `classes_without`. A clip without a group is a
    group of its own.

    Returns:
        The split of each clip.
    """
    return _deal(clips, seed, lambda clip: clip.group or clip.file_name)


def random_split(clips: Iterable[Clip], seed: int) -> dict[Clip, str]:
    """Split every class near 80/10/10 clip by clip, as tutorials do. It leaks: groups fall on both sides.

    Returns:
        The split of each clip.
    """
    return _deal(clips, seed, lambda clip: clip.file_name)


def official_split(clips: Iterable[Clip], lists: OfficialSplit, seed: int) -> dict[Clip, str]:
    """Split by the official lists; whole groups near a ninth of each class's training clips become validation.

    Since no training clip is taken from the test list, the test figures compare with published ones.

    Args:
        clips: Their `file_name` must be `<Class>/<file name>`, as in the lists but for the suffix.
        lists: The official lists.
        seed: Picks the validation groups.

    Returns:
        The split of each clip that is in one of the lists; the others are left out.

    Raises:
        DatasetError: One of the two lists names no clip at all of those given.
    """
    clips = list(clips)
    splits = {clip: "test" for clip in clips if listed_name(clip.file_name) in lists.test}
    training = [clip for clip in clips if listed_name(clip.file_name) in lists.train]
    for name, members in (("test", splits), ("training", training)):
        if not members:
            raise DatasetError(
                f"None of the {len(clips)} clips is in the official {name} list of this split. "
                "Choose another split, or complete the dataset."
            )
    splits.update(hold_out_validation(training, seed))
    return splits


def hold_out_validation(training: Iterable[Clip], seed: int) -> dict[Clip, str]:
    """Split training clips into train and validation, near a ninth of each class's clips, by whole groups.

    A ninth of the training clips stands to the rest as 10 to 80. At least one group of each class stays in train.

    Args:
        training: The clips.
        seed: Picks the groups.

    Returns:
        The split of each clip.
    """
    splits: dict[Clip, str] = {}
    for label, groups in _groups_by_label(training, lambda clip: clip.group or clip.file_name).items():
        order = _shuffled(groups, seed, label)
        validation = _take(order, groups, sum(map(len, groups.values())) / 9, leave=1)
        for group in order:
            splits.update(dict.fromkeys(groups[group], "validation" if group in validation else "train"))
    return splits


def classes_without(splits: Iterable[tuple[str, str]], labels: Sequence[str]) -> dict[str, list[str]]:
    """The classes that each split lacks.

    Args:
        splits: The label and split of each clip.
        labels: All classes.

    Returns:
        For each of train, validation and test the classes without a clip in it.
    """
    present = set(splits)
    return {split: [label for label in labels if (label, split) not in present] for split in SPLITS}


def _deal(clips: Iterable[Clip], seed: int, group_of: Callable[[Clip], str]) -> dict[Clip, str]:
    split_of_group: dict[str, str] = {}
    groups_by_label = _groups_by_label(clips, group_of)
    for label, groups in sorted(groups_by_label.items()):
        num_clips = sum(map(len, groups.values()))
        # A recording that shows several actions went where the first of them put it; it counts towards the shares.
        dealt = {split: [g for g in groups if split_of_group.get(g) == split] for split in SPLITS}
        wanted = {
            split: fraction * num_clips - sum(len(groups[group]) for group in dealt[split])
            for split, fraction in (("test", TEST_FRACTION), ("validation", VALIDATION_FRACTION))
        }
        order = _shuffled(groups.keys() - split_of_group.keys(), seed, label)
        leave = 2 if len(order) > 2 else 1
        test = _take(order, groups, wanted["test"], leave, at_least_one=not dealt["test"])
        rest = [group for group in order if group not in test]
        validation = _take(rest, groups, wanted["validation"], leave=1, at_least_one=not dealt["validation"])
        for group in order:
            split_of_group[group] = "test" if group in test else "validation" if group in validation else "train"
    return {
        clip: split_of_group[group]
        for groups in groups_by_label.values()
        for group, members in groups.items()
        for clip in members
    }


def _groups_by_label(clips: Iterable[Clip], group_of: Callable[[Clip], str]) -> dict[str, dict[str, list[Clip]]]:
    groups: dict[str, dict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
    for clip in clips:
        groups[clip.label][group_of(clip)].append(clip)
    return groups


def _shuffled(groups: Collection[str], seed: int, label: str) -> list[str]:
    # A generator for each class: adding a class leaves the splits of the others as they were.
    order = sorted(groups)
    random.Random(f"{seed}/{label}").shuffle(order)  # noqa: S311 - a reproducible shuffle, no secret
    return order


def _take(
    order: Sequence[str], groups: dict[str, list[Clip]], num_clips: float, leave: int, at_least_one: bool = True
) -> set[str]:
    """The groups whose clips come near `num_clips`, at least one if `leave` allows; at least `leave` stay behind."""
    taken: set[str] = set()
    count = 0
    for group in order:
        size = len(groups[group])
        if len(order) - len(taken) > leave and abs(count + size - num_clips) < abs(count - num_clips):
            taken.add(group)
            count += size
    if not taken and at_least_one and len(order) > leave:
        # Every group is too large for the few clips wanted, so the smallest errs least.
        taken.add(min(order, key=lambda group: len(groups[group])))
    return taken
