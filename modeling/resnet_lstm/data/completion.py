"""Metadata + one's own copy of the clips -> the dataset that the metadata are of."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

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


def complete_dataset(
    metadata: VideoFolder, clips_from: str | Path, target: str | Path, *, overwrite: bool = False
) -> VideoFolder:
    """Make a dataset of which only the metadata were published; its files become those of the original, to the byte.

    Args:
        metadata: The dataset without its clips.
        clips_from: A folder that holds the clips at any depth. A clip is found by its file name, and is the one meant
            if its SHA-256 is that of the metadata.
        target: Where the dataset goes.
        overwrite: Replace a target that was made before.

    Raises:
        DatasetError: A clip is not there, or only another one of its name; or the target is in the way.
    """
    target = require_free_target(target, overwrite=overwrite)
    clips_from = Path(clips_from)
    if not clips_from.is_dir():
        raise DatasetError(f"{clips_from}: no such folder. It must hold the clips, at any depth.")
    wanted = [(split, clip) for split in SPLITS for clip in metadata.clips(split)]
    places: dict[str, list[Path]] = defaultdict(list)
    names = {Path(clip.file_name).name for _, clip in wanted}
    for path in sorted(clips_from.rglob("*")):
        if path.name in names and path.is_file():
            places[path.name].append(path)

    entries: list[Entry] = []
    missing: list[str] = []
    for split, clip in tqdm(wanted, "Looking for clips", unit="clip"):
        found = _find(clip, places[Path(clip.file_name).name])
        if found is None:
            missing.append(f"{split}/{clip.file_name}")
        else:
            entries.append(Entry(split, found, clip))
    if missing:
        raise DatasetError(
            f"{clips_from}: {len(missing)} of {len(wanted)} clips are not there, or have other bytes than the "
            f"metadata say, for example {', '.join(missing[:3])}."
        )
    info = {name: value for name, value in metadata.info.items() if name not in ("labels", "counts")}
    return write_video_folder(target, entries, metadata.labels, info, overwrite=overwrite)


def _find(clip: Clip, candidates: Sequence[Path]) -> Path | None:
    if clip.sha256 is None:
        same_place = (path for path in candidates if path.as_posix().endswith(f"/{clip.file_name}"))
        return next(same_place, None)
    return next((path for path in candidates if file_sha256(path) == clip.sha256), None)
