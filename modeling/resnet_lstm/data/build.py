"""Clips on disk -> a VideoFolder: probe every clip, split, drop duplicates that cross splits, write."""

from __future__ import annotations

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm

from ..video_damage import Damage
from ..video_decoding import probe_video
from ..video_sources import VideoDecodingError
from . import ucf101
from .class_folders import Source, list_background, list_class_folders, warn_of_what_is_left_out
from .shard_writing import write_clip_shards
from .splits import SPLIT_SCHEMES, classes_without, grouped_split, official_split, random_split
from .video_folder import (
    SPLITS,
    Clip,
    DatasetError,
    Entry,
    VideoFolder,
    file_sha256,
    require_free_target,
    write_video_folder,
)

logger = logging.getLogger(__name__)

Split = Callable[[list[Clip]], dict[Clip, str]]


@dataclass(frozen=True)
class PreparedDataset:
    """Everything that a VideoFolder is written from: see `write_video_folder`."""

    entries: list[Entry]
    labels: list[str]
    info: dict[str, Any]


def build_ucf101(
    root: str | Path,
    target: str | Path,
    *,
    classes: str | Sequence[str] = "default",
    max_videos_per_class: int = 200,
    split: str = "grouped",
    seed: int = 42,
    lists: str | Path | None = None,
    overwrite: bool = False,
    num_shards: int | None = None,
    num_workers: int | None = None,
) -> VideoFolder:
    """Make a VideoFolder of UCF-101, or of the part of it that is on disk.

    Args:
        root: The folder that holds `UCF-101/`, or the folder of the class folders itself.
        target: Where the VideoFolder goes.
        classes: "default" (the first 25 in alphabetical order), "available", or names.
        max_videos_per_class: Of a class with more clips, the first this many in the order of their file names are
            taken. (No class of UCF-101 has more than 167, so 200 takes all.)
        split: One of `SPLIT_SCHEMES`.
        seed: Of the shuffles. Same source, arguments and seed: the same bytes.
        lists: The folder of the official lists; by default `ucfTrainTestlist` beside the clips.
        overwrite: Replace a target that this function made before.
        num_shards: Write so many shards in place of a VideoFolder (`write_clip_shards`).
        num_workers: Threads that read the clips; by default up to 8, at most one a core.

    Raises:
        DatasetError: The source lacks what is asked for, no clip can be read, or the target is in the way.
    """
    target = require_free_target(target, overwrite=overwrite)
    prepared = prepare_ucf101(
        root,
        classes=classes,
        max_videos_per_class=max_videos_per_class,
        split=split,
        seed=seed,
        lists=lists,
        num_workers=num_workers,
    )
    return _write(target, prepared, overwrite, num_shards)


def build_from_folders(
    source: str | Path,
    target: str | Path,
    *,
    background: str | Path | None = None,
    group_regex: str | None = None,
    split: str = "grouped",
    seed: int = 42,
    overwrite: bool = False,
    num_shards: int | None = None,
    num_workers: int | None = None,
) -> VideoFolder:
    """Make a VideoFolder of one's own `source/<class>/*` clips. Files in deeper folders are not looked for.

    Args:
        source: The folder of the class folders. A class named "background" is of clips that show none of the actions.
        target: Where the VideoFolder goes.
        background: A folder of further clips of that class, in folders or not, at any depth.
        group_regex: What in a file name tells the recording a clip was cut from: the first capture group, or the whole
            match if there is none. For example `^(.*)_part` keeps `kitchen_part1.mp4` and `kitchen_part2.mp4` in one
            split. Without it each clip is a group of its own, and the split scheme is called "grouped by file".
        split: "grouped" or "random".
        seed: Of the shuffles. Same source, arguments and seed: the same bytes.
        overwrite: Replace a target that this function made before.
        num_shards: Write so many shards in place of a VideoFolder (`write_clip_shards`).
        num_workers: Threads that read the clips; by default up to 8, at most one a core.

    Raises:
        DatasetError: There are no clips, none can be read, one has no group, or the target is in the way.
    """
    target = require_free_target(target, overwrite=overwrite)
    source = Path(source).resolve()
    if target.is_relative_to(source) or source.is_relative_to(target):
        raise DatasetError(f"{target}: target and source {source} must not hold one another. Choose another target.")
    split_clips = _split_of_scheme(split, seed)
    sources, empty_classes, skipped = list_class_folders(source, group_regex)
    if background is not None:
        of_background, not_clips = list_background(Path(background).resolve(), source, sources, group_regex)
        sources, skipped = sources + of_background, skipped + not_clips
    info: dict[str, Any] = {
        "name": source.name,
        "source": "class folders",
        "groups": f"file name, {group_regex}" if group_regex else None,
        "split_scheme": "grouped by file" if split == "grouped" and not group_regex else split,
        "leaky": split == "random",
        "seed": seed,
        "empty_classes": empty_classes,
        "skipped_files": skipped,
    }
    prepared = _prepare(sources, split_clips, info, num_workers)
    return _write(target, prepared, overwrite, num_shards)


def _write(target: Path, prepared: PreparedDataset, overwrite: bool, num_shards: int | None) -> VideoFolder:
    entries, labels, info = prepared.entries, prepared.labels, prepared.info
    if num_shards:
        return write_clip_shards(target, entries, labels, info, num_shards, overwrite=overwrite)
    return write_video_folder(target, entries, labels, info, overwrite=overwrite)


def prepare_ucf101(
    root: str | Path,
    *,
    classes: str | Sequence[str] = "default",
    max_videos_per_class: int = 200,
    split: str = "grouped",
    seed: int = 42,
    lists: str | Path | None = None,
    num_workers: int | None = None,
) -> PreparedDataset:
    """All of `build_ucf101` but the writing; the arguments are the same."""
    if max_videos_per_class < 1:
        raise DatasetError(f"max_videos_per_class={max_videos_per_class}: must be at least 1.")
    clips_folder = ucf101.find_clips_folder(root)
    split_clips = _split_of_scheme(split, seed, clips_folder, lists)
    labels, missing = ucf101.select_classes(ucf101.list_classes(clips_folder), classes)
    sources = [
        (clip.path, Clip(f"{clip.label}/{clip.path.name}", clip.label, clip.group, clip.clip))
        for label in labels
        for clip in ucf101.list_clips(clips_folder, label, max_videos_per_class)
    ]
    empty, skipped = ucf101.what_is_no_clip(clips_folder, labels)
    warn_of_what_is_left_out(empty, skipped)
    info: dict[str, Any] = {
        "name": f"UCF-101, {len(labels)} classes",
        "source": ucf101.HOMEPAGE,
        "groups": "file name, v_<Class>_gNN_cNN",
        "split_scheme": split,
        "leaky": split == "random",
        "seed": seed,
        "max_videos_per_class": max_videos_per_class,
        "missing_classes": missing,
        "empty_classes": empty,
        "skipped_files": skipped,
    }
    return _prepare(sources, split_clips, info, num_workers)


def _split_of_scheme(
    scheme: str, seed: int, clips_folder: Path | None = None, lists: str | Path | None = None
) -> Split:
    if scheme not in SPLIT_SCHEMES:
        raise DatasetError(f"split={scheme!r}: must be one of {', '.join(SPLIT_SCHEMES)}.")
    if scheme == "grouped":
        return lambda clips: grouped_split(clips, seed)
    if scheme == "random":
        return lambda clips: random_split(clips, seed)
    if clips_folder is None:
        raise DatasetError(f"split={scheme!r}: the official lists are of UCF-101. Use grouped or random.")
    number = int(scheme.removeprefix("official-"))
    official = ucf101.read_official_split(ucf101.find_lists_folder(clips_folder, lists), number)
    return lambda clips: official_split(clips, official, seed)


def _prepare(
    sources: Sequence[Source], split_clips: Split, info: dict[str, Any], num_workers: int | None
) -> PreparedDataset:
    readable, unreadable, damaged = _probe_all(sources, num_workers)
    path_of = {clip: path for path, clip in readable}
    splits = split_clips(list(path_of))
    entries, dropped, conflicting = _drop_duplicates(
        [Entry(splits[c], path, c) for c, path in path_of.items() if c in splits]
    )
    labels = list(dict.fromkeys(clip.label for clip in path_of))
    lacking = classes_without([(entry.clip.label, entry.split) for entry in entries], labels)
    for split, names in lacking.items():
        if names:
            named = ", ".join(names)
            logger.warning("classes without a %s clip: %s. Add clips of them, of further recordings.", split, named)
    return PreparedDataset(
        entries,
        labels,
        {
            **info,
            **{f"classes_without_{split}": names for split, names in lacking.items()},
            "left_out": len(path_of) - len(splits),
            "dropped_duplicates": dropped,
            "conflicting_duplicates": conflicting,
            "unreadable": unreadable,
            "damaged": damaged,
        },
    )


def _probe_all(
    sources: Sequence[Source], num_workers: int | None
) -> tuple[list[Source], list[dict[str, str]], list[dict[str, Any]]]:
    """Fill in what only the files themselves tell.

    Returns:
        The clips that can be read, those that cannot with the cause, and those of the former that are damaged.
    """
    readable: list[Source] = []
    unreadable: list[dict[str, str]] = []
    damaged: list[dict[str, Any]] = []
    with ThreadPoolExecutor(num_workers or min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(_probe, sources)
        for (path, clip), result in zip(
            sources, tqdm(results, "Reading clips", len(sources), unit="clip"), strict=True
        ):
            if isinstance(result, Exception):
                # The cause names the file by its path, which is of no use on another machine.
                unreadable.append({"file": clip.file_name, "cause": str(result).replace(str(path), clip.file_name)})
                continue
            probed, damage = result
            readable.append((path, probed))
            if damage:
                damaged.append(
                    {
                        "file": clip.file_name,
                        "damaged_frames": damage.num_damaged,
                        "total_frames": damage.num_frames,
                    }
                )
    for line in unreadable_by_class(unreadable, sources):
        logger.warning("%s", line)
    if damaged:
        logger.warning("%d clips are damaged in part, for example %s", len(damaged), damaged[0]["file"])
    if not readable:
        raise DatasetError(f"None of the {len(sources)} clips can be read. The first: {unreadable[0]['cause']}")
    return readable, unreadable, damaged


def unreadable_by_class(unreadable: Sequence[Mapping[str, str]], sources: Sequence[Source]) -> list[str]:
    """A line a class: how many of its clips cannot be read, and why."""
    sizes = Counter(clip.label for _, clip in sources)
    label_of = {clip.file_name: clip.label for _, clip in sources}
    causes: dict[str, Counter[str]] = defaultdict(Counter)
    for item in unreadable:
        cause = item["cause"].removeprefix(f"{item['file']}: ")
        causes[label_of[item["file"]]][cause] += 1
    return [
        f"{label}: {counts.total()} of {sizes[label]} clips cannot be read: "
        + "; ".join(f"{count} {cause.rstrip('.')}" for cause, count in counts.most_common())
        for label, counts in causes.items()
    ]


def _probe(source: Source) -> tuple[Clip, Damage] | VideoDecodingError | OSError:
    path, clip = source
    try:
        video = probe_video(path)
        sha256 = file_sha256(path)
    except (VideoDecodingError, OSError) as error:
        return error
    probed = replace(
        clip,
        num_frames=video.num_frames,
        fps=round(video.fps, 6),
        seconds=round(video.seconds, 6),
        width=video.width,
        height=video.height,
        sha256=sha256,
    )
    return probed, video.damage


def _drop_duplicates(
    entries: Iterable[Entry],
) -> tuple[list[Entry], list[dict[str, str]], list[dict[str, list[str]]]]:
    """Keep byte-identical clips in one split only: in test before validation before train.

    Returns:
        The entries kept, the ones dropped each with the clip that it equals, and the sets of equal clips whose labels
        differ. Equal clips within one split stay, since they tell the model nothing about another split.
    """
    twins_of: dict[str | None, list[Entry]] = defaultdict(list)
    for entry in entries:
        twins_of[entry.clip.sha256].append(entry)
    kept: list[Entry] = []
    dropped, conflicting = [], []
    for twins in twins_of.values():
        foremost = max(twins, key=lambda entry: SPLITS.index(entry.split))
        for entry in twins:
            if entry.split == foremost.split:
                kept.append(entry)
            else:
                dropped.append({"dropped": _place(entry), "kept": _place(foremost)})
        if len({entry.clip.label for entry in twins}) > 1:
            conflicting.append({"files": [_place(entry) for entry in twins]})
    if dropped:
        logger.warning("dropped clips that equal one of a later split byte for byte: %d", len(dropped))
    if conflicting:
        logger.warning("clips that are there under several labels: %d", len(conflicting))
    return kept, dropped, conflicting


def _place(entry: Entry) -> str:
    return f"{entry.split}/{entry.clip.file_name}"
