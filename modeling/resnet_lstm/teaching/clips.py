"""The clips that a model is taught by: which class each shows, and which recording it was cut from."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..data.class_folders import compile_group_regex, match_group
from ..data.video_folder import file_sha256
from ..inference import find_sources
from .errors import TeachingError

# What a class is told by: its clips, or one of them or one folder of them.
ClipsOfClass = str | os.PathLike[str] | Sequence[Any]


@dataclass(frozen=True)
class TeachingClip:
    """A clip of a class that a model shall learn.

    Attributes:
        source: A path, or anything else that the processor takes.
        label: The class.
        name: What it is called in reports, unique among the clips.
        group: The recording it was cut from.
        sha256: Of the file's bytes, in hexadecimal; None for what is no file on disk.
    """

    source: Any
    label: str
    name: str
    group: str
    sha256: str | None


def collect_clips(classes: Mapping[str, ClipsOfClass], group_regex: str | None = None) -> list[TeachingClip]:
    """List the clips of all classes. Of files with the same content one is taken.

    Args:
        classes: The clips of each class: files, folders of files, URLs, frames `[T, H, W, 3]` or features `[T, D]`.
        group_regex: What in a file name tells the recording it was cut from, as in `build_from_folders`. Without it,
            and for what is no file, each clip is a recording of its own.

    Raises:
        DatasetError: The expression is none, or finds no recording in a file name.
        FileNotFoundError: A folder holds no clip.
        TeachingError: A file is not there, or stands for two classes.
    """
    pattern = compile_group_regex(group_regex)
    clips: list[TeachingClip] = []
    label_of: dict[str, str] = {}
    taken: Counter[str] = Counter()
    for label, sources in classes.items():
        for source, file_name in _sources_of(sources):
            path = Path(source) if file_name is not None and Path(source).is_file() else None
            sha256 = None if path is None else file_sha256(path)
            if sha256 is not None:
                if sha256 in label_of and label_of[sha256] != label:
                    raise TeachingError(f"{path}: is given for {label_of[sha256]!r} and for {label!r}. Choose one.")
                if sha256 in label_of:
                    continue
                label_of[sha256] = label
            name = f"{label}/{file_name or 'clip'}"
            taken[name] += 1
            name = name if taken[name] == 1 else f"{name} ({taken[name]})"
            group = match_group(pattern, path) if pattern and path else name
            clips.append(TeachingClip(source, label, name, group, sha256))
    return clips


def _sources_of(sources: ClipsOfClass) -> Iterator[tuple[Any, str | None]]:
    """Each clip, and its file name if it is a file."""
    if isinstance(sources, str | os.PathLike):
        sources = [sources]
    for source in sources:
        if not isinstance(source, str | os.PathLike):
            yield source, None
            continue
        for found in find_sources([os.fspath(source)]):
            is_url = found.startswith(("http://", "https://"))
            if not is_url and not Path(found).is_file():
                raise TeachingError(f"{found}: no such file or folder.")
            yield found, Path(urlsplit(found).path if is_url else found).name


def check_clips(
    classes: Iterable[str], clips: Sequence[TeachingClip], errors: Sequence[tuple[TeachingClip, str]] = ()
) -> None:
    """A class is learned from two recordings at least, so that each can be recognised by what was learned from others.

    Args:
        classes: Their names.
        clips: Those that can be read, as far as is known.
        errors: The others, each with the reason.

    Raises:
        TeachingError: A class has too few.
    """
    for label in classes:
        of_class = [clip for clip in clips if clip.label == label]
        if len(of_class) < 2:
            lost = "; ".join(error for clip, error in errors if clip.label == label)
            raise TeachingError(
                f"class {label!r}: has {len(of_class)} clip{'' if len(of_class) == 1 else 's'} that can be used"
                f"{f' ({lost})' if lost else ''}. Give two or more, none a copy of another, so that each can be "
                "recognised by what was learned from the others."
            )
        if len({clip.group for clip in of_class}) < 2:
            raise TeachingError(
                f"class {label!r}: all of its {len(of_class)} clips are of one recording, {of_class[0].group!r}. Add "
                "clips of another, so that it can be told how well the class is recognised in a new one."
            )
