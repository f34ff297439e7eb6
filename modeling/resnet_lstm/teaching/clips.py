"""The clips that a model is taught by: which class each shows, and which recording it was cut from."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..data.build import VIDEO_SUFFIXES
from ..data.video_folder import DatasetError, file_sha256
from ..features import ClipFile


@dataclass(frozen=True)
class TaughtClips:
    """Clips of new classes.

    Attributes:
        files: `[N]`.
        labels: `[N]`, names of classes.
        groups: `[N]`, the recording that each was cut from.
    """

    files: list[ClipFile]
    labels: list[str]
    groups: list[str]

    @classmethod
    def of(
        cls, classes: Mapping[str, Sequence[str | os.PathLike[str]]], group_regex: str | None = None
    ) -> TaughtClips:
        """Collect clips from files and folders.

        Args:
            classes: For each new class its clips. A folder stands for the clips in it and below it; those of one of
                its sub-folders are one recording. A file that is named itself is a recording of its own.
            group_regex: What in a file name tells the recording instead: the first capture group, or the whole match.

        Raises:
            DatasetError: A class has no clip, a file is not there or in two classes, or its name tells no recording.
        """
        files: list[ClipFile] = []
        labels: list[str] = []
        groups: list[str] = []
        class_of: dict[str, str] = {}
        for label, places in classes.items():
            found = [clip for place in places for clip in _clips_of(Path(place))]
            if not found:
                raise DatasetError(f"class {label!r}: no clip. Name files, or a folder that holds some.")
            for path, recording in found:
                sha256 = file_sha256(path)
                if class_of.setdefault(sha256, label) != label:
                    raise DatasetError(f"{path}: shows {class_of[sha256]!r} and {label!r}. Name each clip once.")
                if any(file.sha256 == sha256 for file in files):
                    continue  # the same bytes again tell nothing new
                files.append(ClipFile(path, sha256))
                labels.append(label)
                groups.append(_group_of(path, group_regex) if group_regex else recording)
        return cls(files, labels, groups)

    def where(self, kept: Sequence[bool]) -> TaughtClips:
        """Some of these clips."""
        chosen = [index for index, keep in enumerate(kept) if keep]
        return TaughtClips(
            [self.files[index] for index in chosen],
            [self.labels[index] for index in chosen],
            [self.groups[index] for index in chosen],
        )


def _clips_of(place: Path) -> list[tuple[Path, str]]:
    """The clips of a file or folder, each with its recording."""
    if place.is_file():
        return [(place, str(place))]
    if not place.is_dir():
        raise DatasetError(f"{place}: no such file or folder.")
    paths = sorted(path for path in place.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file())
    return [(path, str(path if path.parent == place else path.parent)) for path in paths]


def _group_of(path: Path, group_regex: str) -> str:
    match = re.search(group_regex, path.name)
    group = match and (match[1] if match.re.groups else match[0])
    if not group:
        raise DatasetError(f"{path}: group_regex={group_regex!r} finds no recording in this file name. Widen it.")
    return group
