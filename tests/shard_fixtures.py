"""The same small clips as a VideoFolder and in shards, in the same order."""

from __future__ import annotations

import csv
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import pytest

from resnet_lstm.data import SPLITS, VideoFolder
from resnet_lstm.data.shard_writing import write_clip_shards
from resnet_lstm.data.video_folder import METADATA_FILE, Entry


class SameClips(NamedTuple):
    """A dataset in two forms.

    Attributes:
        folder: As a VideoFolder.
        shards: The folder of its shards.
    """

    folder: VideoFolder
    shards: Path


def entries_of(folder: VideoFolder) -> list[Entry]:
    """What a VideoFolder is written from."""
    return [Entry(split, folder.path(split, clip), clip) for split in SPLITS for clip in folder.clips(split)]


@pytest.fixture(scope="session")
def same_clips(tiny_dataset: VideoFolder, tmp_path_factory: pytest.TempPathFactory) -> SameClips:
    """`tiny_dataset` in six shards, and a VideoFolder that lists its clips in their order."""
    root = tmp_path_factory.mktemp("same_clips")
    written = write_clip_shards(root / "shards", entries_of(tiny_dataset), tiny_dataset.labels, tiny_dataset.info, 6)
    shutil.copytree(tiny_dataset.root, root / "dataset")
    for split in SPLITS:
        rows = [asdict(clip) for clip in written.clips(split)]
        with (root / "dataset" / split / METADATA_FILE).open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return SameClips(VideoFolder.open(root / "dataset"), root / "shards")
