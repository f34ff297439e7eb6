"""Clips that show none of a model's actions: to learn what such clips look like, or to see what it makes of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.video_folder import METADATA_FILE, SPLITS, DatasetError, VideoFolder
from ..inference import find_sources


@dataclass(frozen=True)
class UnknownClip:
    """A clip of none of the actions.

    Attributes:
        path: Where the file is.
        kind: What it shows instead: its folder's name, or its class in another dataset.
        group: The recording it was cut from, or its path where that is not known.
    """

    path: Path
    kind: str
    group: str


def find_unknown_clips(
    place: Path, known_labels: Collection[str], splits: Sequence[str] = SPLITS
) -> list[UnknownClip]:
    """The clips below a folder whose class is none of the known ones.

    Args:
        place: A VideoFolder, or any folder of clips, in folders named after what they show or not.
        known_labels: The actions that the model knows.
        splits: Those of a VideoFolder that are taken.

    Raises:
        DatasetError: There is no such clip.
        FileNotFoundError: There is no clip at all.
    """
    if any((place / split / METADATA_FILE).is_file() for split in SPLITS):
        folder = VideoFolder.open(place)
        clips = [
            UnknownClip(folder.path(split, clip), clip.label, folder.group_of(clip))
            for split in splits
            for clip in folder.clips(split)
        ]
    elif place.is_dir():
        paths = [Path(path) for path in find_sources([str(place)])]
        clips = [UnknownClip(path, path.parent.name, str(path)) for path in paths]
    else:
        raise DatasetError(f"{place}: no such folder. Give one of clips of other actions.")
    unknown = [clip for clip in clips if clip.kind not in known_labels]
    if not unknown:
        raise DatasetError(f"{place}: all its clips are of actions that the model knows.")
    return unknown
