"""The clips in class folders: their labels, the recordings they were cut from, and what in the folders is no clip."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

from .class_names import BACKGROUND, check_class_folders, check_class_names, is_background
from .folder_clips import VIDEO_SUFFIXES, by_suffix, is_clip
from .video_folder import Clip, DatasetError

logger = logging.getLogger(__name__)

# A file and what is known of it before it is opened.
Source = tuple[Path, Clip]


def list_class_folders(source: Path, group_regex: str | None) -> tuple[list[Source], list[str], list[str]]:
    """The clips of `source/<class>/*`, the classes without any, and all that is neither, relative to `source`."""
    if not source.is_dir():
        raise DatasetError(f"{source}: no such folder. It must hold one folder of clips for each class.")
    pattern = compile_group_regex(group_regex)
    sources: list[Source] = []
    folders = sorted(path for path in source.iterdir() if path.is_dir() and not path.name.startswith("."))
    check_class_folders(folders)
    empty, skipped = [], [path.name for path in source.iterdir() if path not in folders]
    for folder in folders:
        files = sorted(folder.iterdir())
        clips = [path for path in files if is_clip(path)]
        skipped += [_named(path, source) for path in files if path not in clips]
        if not clips:
            empty.append(folder.name)
        for path in clips:
            group = match_group(pattern, path) if pattern else None
            sources.append((path, Clip(f"{folder.name}/{path.name}", folder.name, group)))
    warn_of_what_is_left_out(empty, skipped)
    if not sources:
        raise DatasetError(
            f"{source}: found no clips. Expected <class>/<clip>{'|'.join(sorted(VIDEO_SUFFIXES))} in it."
        )
    check_class_names(dict.fromkeys(clip.label for _, clip in sources), source)
    return sources, empty, sorted(skipped)


def list_background(
    folder: Path, source: Path, of_source: Sequence[Source], group_regex: str | None
) -> tuple[list[Source], list[str]]:
    """The clips anywhere below a folder, as the class of those that show none of the actions; and all that is none."""
    if folder.is_relative_to(source) or source.is_relative_to(folder):
        raise DatasetError(f"{folder}: background and class folders {source} must not hold one another.")
    label = next((clip.label for _, clip in of_source if is_background(clip.label)), BACKGROUND)
    pattern = compile_group_regex(group_regex)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    clips = [path for path in files if is_clip(path)]
    if not clips:
        raise DatasetError(f"{folder}: found no clips of the background. Expected some in it, at any depth.")
    sources = []
    for path in clips:
        # Two in different folders may be called the same.
        name = "-".join([folder.name, *path.relative_to(folder).parts])
        sources.append((path, Clip(f"{label}/{name}", label, match_group(pattern, path) if pattern else None)))
    others = sorted(set(files) - set(clips))
    skipped = [f"{folder.name}/{path.relative_to(folder).as_posix()}" for path in others]
    warn_of_what_is_left_out([], skipped)
    return sources, skipped


def _named(path: Path, source: Path) -> str:
    """A file's or folder's place; of a folder also that nobody looks into it."""
    name = path.relative_to(source).as_posix()
    return f"{name}/ (a folder in a class folder)" if path.is_dir() else name


def warn_of_what_is_left_out(empty_classes: Sequence[str], skipped: Sequence[str]) -> None:
    if empty_classes:
        logger.warning("folders without clips, which are no classes: %s", ", ".join(empty_classes))
    if skipped:
        logger.warning("passed over, no clips by their names: %s", by_suffix(skipped))


def compile_group_regex(group_regex: str | None) -> re.Pattern[str] | None:
    try:
        return re.compile(group_regex) if group_regex else None
    except re.error as error:
        raise DatasetError(f"group_regex={group_regex!r}: not a regular expression ({error}).") from error


def match_group(pattern: re.Pattern[str], path: Path) -> str:
    match = pattern.search(path.name)
    group = match and match[1 if pattern.groups else 0]
    if not group:
        # Guessing a group here could put clips of one recording on both sides of a split.
        raise DatasetError(f"{path}: group_regex={pattern.pattern!r} finds no group in this file name. Widen it.")
    return group
