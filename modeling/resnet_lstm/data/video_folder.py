"""A dataset on disk as `load_dataset("videofolder")` reads it: clips and metadata.csv in train, validation, test."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, NamedTuple

from ..whole_file import held

SPLITS = ("train", "validation", "test")
METADATA_FILE = "metadata.csv"
INFO_FILE = "dataset.json"

# Written into dataset.json; a folder that carries it was made here and may be overwritten on request.
FORMAT = "resnet-lstm-video-folder"
FORMAT_VERSION = 1


class DatasetError(ValueError):
    """A dataset, or what it shall be made from, is not as it must be."""


@dataclass(frozen=True)
class Clip:
    """One row of a split's metadata.csv. All but `file_name` and `label` are None where the folder does not say.

    Attributes:
        file_name: The clip's path relative to its split's folder, with forward slashes.
        label: Its class.
        group: The source it was cut from, unique over all classes. Clips of one group look alike.
        clip: Its number within the group.
        num_frames: Pictures in the file.
        fps: Frames per second, on average.
        seconds: Duration.
        width: Width in pixels, as displayed.
        height: Height in pixels, as displayed.
        sha256: Of the file's bytes, in hexadecimal.
    """

    file_name: str
    label: str
    group: str | None = None
    clip: int | None = None
    num_frames: int | None = None
    fps: float | None = None
    seconds: float | None = None
    width: int | None = None
    height: int | None = None
    sha256: str | None = None


class Entry(NamedTuple):
    """A clip to be placed into a split: the file at `source` becomes `<split>/<clip.file_name>`."""

    split: str
    source: Path
    clip: Clip


_COLUMNS = tuple(field.name for field in fields(Clip))
_COLUMN_TYPES = {"clip": int, "num_frames": int, "width": int, "height": int, "fps": float, "seconds": float}


class VideoFolder:
    """A dataset of labelled clips in splits, made by this package or by anyone else.

    Attributes:
        root: The folder.
        info: What dataset.json says; empty where there is none.
        labels: The classes, in the order of their ids.
        hub_id: The repository on the Hub that the folder was downloaded from, or None.
    """

    def __init__(self, root: Path, info: dict[str, Any], clips: Mapping[str, list[Clip]]) -> None:
        self.root = root
        self.info = info
        self.hub_id: str | None = None
        self._clips = dict(clips)
        self.labels: list[str] = info.get("labels") or sorted({c.label for split in clips.values() for c in split})

    @classmethod
    def open(cls, root: str | Path) -> VideoFolder:
        """Read the metadata of a folder. The clips themselves are looked for only when `path` is called.

        Raises:
            DatasetError: `root` is no such folder, or its metadata is malformed.
        """
        root = Path(root)
        clips = {
            split: _read_metadata(root / split / METADATA_FILE)
            for split in SPLITS
            if (root / split / METADATA_FILE).is_file()
        }
        if not clips:
            raise DatasetError(
                f"{root}: not a VideoFolder. It must hold at least one of "
                f"{', '.join(f'{split}/{METADATA_FILE}' for split in SPLITS)}; resnet-lstm build makes one."
            )
        folder = cls(root, _read_info(root / INFO_FILE), clips)
        known = set(folder.labels)
        for split, members in clips.items():
            for clip in members:
                if clip.label not in known:
                    raise DatasetError(
                        f"{root / split / METADATA_FILE}: {clip.file_name} has the label {clip.label!r}, which is not "
                        f"among the labels of {INFO_FILE}. Add it there, or remove the clip."
                    )
        return folder

    @property
    def split_scheme(self) -> str:
        """How the clips were split, for example "grouped", "official-1" or "random (leaky)"; else "unknown"."""
        scheme = self.info.get("split_scheme")
        if not scheme:
            return "unknown"
        return f"{scheme} (leaky)" if self.info.get("leaky") else scheme

    def clips(self, split: str) -> list[Clip]:
        """The clips of a split in the order of its metadata; none where the folder lacks that split.

        Raises:
            DatasetError: `split` is not one of `SPLITS`.
        """
        if split not in SPLITS:
            raise DatasetError(f"split={split!r}: must be one of {', '.join(SPLITS)}.")
        return list(self._clips.get(split, ()))

    def path(self, split: str, clip: Clip) -> Path:
        """Where a clip's file is.

        Raises:
            DatasetError: The metadata names the file, but it is not there.
        """
        path = self.root / split / clip.file_name
        if not path.is_file():
            raise DatasetError(f"{path}: named in {split}/{METADATA_FILE}, but not there. Build the dataset again.")
        return path

    def group_of(self, clip: Clip) -> str:
        """The clip's group, or its file name where no group is known."""
        return clip.group or clip.file_name

    def __repr__(self) -> str:
        counts = ", ".join(f"{split}={len(self.clips(split))}" for split in SPLITS)
        return f"VideoFolder({str(self.root)!r}, {counts}, labels={len(self.labels)}, split={self.split_scheme!r})"


def write_video_folder(
    target: str | Path,
    entries: Iterable[Entry],
    labels: Sequence[str],
    info: Mapping[str, Any],
    *,
    overwrite: bool = False,
) -> VideoFolder:
    """Write clips, metadata.csv and dataset.json; the same arguments give the same bytes.

    Clips are hard links to their sources where the file system allows it, and copies elsewhere: do not edit them in
    place. `target` appears only when all of it is there.

    Args:
        target: The folder to make.
        entries: The clips. A split without clips gets no folder, since `datasets` reads no empty metadata.csv.
        labels: The classes, in the order of their ids.
        info: What dataset.json shall say about the origin. Counts per split and class are added.
        overwrite: Replace `target` if it is a VideoFolder made by this function.

    Raises:
        DatasetError: `target` is in the way, two entries want the same place, or a label is not in `labels`.
    """
    target = require_free_target(target, overwrite=overwrite)
    ordered = sorted(entries, key=lambda entry: (SPLITS.index(entry.split), entry.clip.file_name))
    check_entries(ordered, labels)
    with staged_folder(target) as staging:
        for entry in ordered:
            _link_or_copy(entry.source, staging / entry.split / entry.clip.file_name)
        for split in SPLITS:
            clips = [entry.clip for entry in ordered if entry.split == split]
            if clips:
                _write_metadata(staging / split / METADATA_FILE, clips)
        write_info(staging, info, labels, ordered)
    return VideoFolder.open(target)


def write_info(
    folder: Path, info: Mapping[str, Any], labels: Sequence[str], entries: Sequence[Entry]
) -> dict[str, Any]:
    """Write what a dataset tells of itself into its folder; returns it."""
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        **info,
        "labels": list(labels),
        "counts": count_entries(entries),
    }
    (folder / INFO_FILE).write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return content


def require_free_target(target: str | Path, *, overwrite: bool) -> Path:
    """The absolute path of a target that may be written to.

    Raises:
        DatasetError: `target` holds something, and it is not a VideoFolder made here or `overwrite` is false.
    """
    target = Path(target).resolve()
    if not target.exists() or (target.is_dir() and not any(target.iterdir())):
        return target
    made_here = target.is_dir() and _read_info(target / INFO_FILE).get("format") == FORMAT
    if not made_here:
        raise DatasetError(f"{target}: exists and was not made by this program. Choose another target.")
    if not overwrite:
        raise DatasetError(f"{target}: holds a dataset already. Ask to overwrite it, or choose another target.")
    return target


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """A new, empty `<target>.incomplete` that takes the place of `target` when the block ends without an error.

    Raises:
        InUseError: Another process is making `target`.
    """
    staging = target.with_name(target.name + ".incomplete")
    replaced = target.with_name(target.name + ".replaced")
    staging.mkdir(parents=True, exist_ok=True)
    with held(staging):
        for left_by_a_killed_process in staging.iterdir():
            _remove(left_by_a_killed_process)
        try:
            yield staging
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)
            raise
        if target.exists():
            shutil.rmtree(replaced, ignore_errors=True)
            target.rename(replaced)
        staging.rename(target)
        shutil.rmtree(replaced, ignore_errors=True)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_info(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DatasetError(f"{path}: not valid JSON ({error}). Repair or remove it.") from error
    if not isinstance(info, dict):
        raise DatasetError(f"{path}: must hold a JSON object, found a {type(info).__name__}. Repair or remove it.")
    return info


def _read_metadata(path: Path) -> list[Clip]:
    # utf-8-sig: spreadsheets write a byte order mark that would become part of the first column's name.
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [column for column in ("file_name", "label") if column not in (reader.fieldnames or ())]
        if missing:
            raise DatasetError(f"{path}: has no column {' or '.join(missing)}. Add it; file_name,label are required.")
        return [_parse_row(row, f"{path}, line {reader.line_num}") for row in reader]


def _parse_row(row: Mapping[str, str], place: str) -> Clip:
    values: dict[str, Any] = {}
    for column in _COLUMNS:
        text = row.get(column)
        try:
            values[column] = _COLUMN_TYPES.get(column, str)(text) if text else None
        except ValueError as error:
            raise DatasetError(f"{place}: {column}={text!r} is not a number. Correct it or leave it empty.") from error
    if not values["file_name"] or not values["label"]:
        raise DatasetError(f"{place}: file_name and label must both be given.")
    _check_file_name(values["file_name"], place)
    return Clip(**values)


def _check_file_name(file_name: str, place: str) -> None:
    path = PurePosixPath(file_name)
    if path.is_absolute() or PureWindowsPath(file_name).drive or ".." in path.parts:
        raise DatasetError(f"{place}: file_name={file_name!r} must be a relative path inside the split's folder.")


def _write_metadata(path: Path, clips: Iterable[Clip]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(clip) for clip in clips)


def check_entries(entries: Sequence[Entry], labels: Sequence[str]) -> None:
    places: set[tuple[str, str]] = set()
    for split, source, clip in entries:
        _check_file_name(clip.file_name, str(source))
        if clip.label not in labels:
            raise DatasetError(f"{source}: its label {clip.label!r} is not among the labels {', '.join(labels)}.")
        if (split, clip.file_name) in places:
            raise DatasetError(f"{source}: {split}/{clip.file_name} is taken by another clip. Rename one of the two.")
        places.add((split, clip.file_name))


def _link_or_copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # Resolved first: a hard link to a symbolic link would be a symbolic link that may point nowhere.
    source = source.resolve()
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def count_entries(entries: Iterable[Entry]) -> dict[str, dict[str, dict[str, float]]]:
    """split -> label -> clips, known groups and seconds."""
    members: dict[tuple[str, str], list[Clip]] = defaultdict(list)
    for entry in entries:
        members[entry.split, entry.clip.label].append(entry.clip)
    counts: dict[str, dict[str, dict[str, float]]] = {split: {} for split in SPLITS}
    for split, label in sorted(members):
        clips = members[split, label]
        counts[split][label] = {
            "clips": len(clips),
            "groups": len({clip.group for clip in clips if clip.group}),
            "seconds": round(sum(clip.seconds or 0 for clip in clips), 2),
        }
    return counts
