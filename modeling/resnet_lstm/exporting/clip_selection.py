"""A few clips that stand for all of a split."""

from __future__ import annotations

import itertools
from collections import defaultdict
from pathlib import Path

import numpy as np

from ..data.video_folder import VideoFolder


def select_clips(folder: VideoFolder, split: str, num_clips: int, seed: int) -> list[Path]:
    """Draw clips of a split, as many of each class as of any other, as far as there are.

    Args:
        folder: The dataset.
        split: Its split.
        num_clips: How many at the most.
        seed: The same one draws the same clips.
    """
    by_label = defaultdict(list)
    for clip in folder.clips(split):
        by_label[clip.label].append(clip)
    generator = np.random.default_rng(seed)
    shuffled = [[clips[i] for i in generator.permutation(len(clips))] for _, clips in sorted(by_label.items())]
    in_turn = (clip for clips in itertools.zip_longest(*shuffled) for clip in clips if clip is not None)
    return [folder.path(split, clip) for clip in itertools.islice(in_turn, num_clips)]
