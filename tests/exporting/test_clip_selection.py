from __future__ import annotations

from collections import Counter

from resnet_lstm.data import VideoFolder
from resnet_lstm.exporting.clip_selection import select_clips


def test_classes_are_drawn_from_alike(tiny_dataset: VideoFolder) -> None:
    clips = select_clips(tiny_dataset, "train", 7, seed=0)
    assert len(set(clips)) == 7
    assert sorted(Counter(clip.parent.name for clip in clips).values()) == [3, 4]
    assert all(clip.is_file() for clip in clips)


def test_the_seed_decides(tiny_dataset: VideoFolder) -> None:
    drawn = [select_clips(tiny_dataset, "train", 6, seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_there_may_be_fewer_than_asked_for(tiny_dataset: VideoFolder) -> None:
    assert len(select_clips(tiny_dataset, "test", 100, seed=0)) == len(tiny_dataset.clips("test"))
