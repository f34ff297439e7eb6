"""Clips -> shards of WebDataset: tars that any reader of them, and `--dataset`, can stream."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from .clip_shards import ANY_VIDEO
from .video_folder import (
    SPLITS,
    Clip,
    Entry,
    VideoFolder,
    check_entries,
    require_free_target,
    staged_folder,
    write_info,
)

# By these names `datasets` knows a video in a tar.
_KNOWN_SUFFIXES = (".avi", ".mkv", ".mov", ".mp4", ".webm")


def write_clip_shards(
    target: str | Path,
    entries: Iterable[Entry],
    labels: Sequence[str],
    info: Mapping[str, Any],
    num_shards: int,
    *,
    overwrite: bool = False,
) -> VideoFolder:
    """Write `<split>-NNNNN-of-NNNNN.tar` and dataset.json; the same arguments give the same bytes.

    The clips of a split are shuffled first, by the seed of `info`: whoever streams them meets all classes in each
    shard. `target` appears only when all of it is there.

    Args:
        target: The folder to make.
        entries: The clips.
        labels: The classes, in the order of their ids.
        info: What dataset.json shall say about the origin. Counts per split and class are added.
        num_shards: Of all splits together, which get them by their numbers of clips, one at the least.
        overwrite: Replace `target` if it was made by this program.

    Returns:
        What is in the shards, by its metadata; the clips themselves lie in no folder.

    Raises:
        DatasetError: `target` is in the way, two entries want the same place, or a label is not in `labels`.
    """
    target = require_free_target(target, overwrite=overwrite)
    ordered = sorted(entries, key=lambda entry: (SPLITS.index(entry.split), entry.clip.file_name))
    check_entries(ordered, labels)
    suffixes = {entry.source.suffix.lower() for entry in ordered}
    field = suffixes.pop()[1:] if len(suffixes) == 1 and suffixes <= set(_KNOWN_SUFFIXES) else ANY_VIDEO
    generator = np.random.default_rng(info.get("seed") or 0)
    clips: dict[str, list[Clip]] = {}
    with staged_folder(target) as staging, tqdm(total=len(ordered), unit="clip", desc="Writing shards") as progress:
        for split in SPLITS:
            of_split = [entry for entry in ordered if entry.split == split]
            shuffled = [of_split[index] for index in generator.permutation(len(of_split))]
            clips[split] = [entry.clip for entry in shuffled]
            count = min(len(shuffled), max(1, round(num_shards * len(shuffled) / len(ordered))))
            numbers = np.array_split(np.arange(len(shuffled)), count) if shuffled else []
            for index, of_shard in enumerate(numbers):
                with tarfile.open(staging / f"{split}-{index:05d}-of-{count:05d}.tar", "w") as tar:
                    for number in of_shard:
                        _add_clip(tar, f"{number:08d}", field, shuffled[number])
                        progress.update()
        content = write_info(staging, info, labels, ordered)
    return VideoFolder(target, content, clips)


def _add_clip(tar: tarfile.TarFile, key: str, field: str, entry: Entry) -> None:
    # Its file name may have dots, by which readers would cut it: it stands in the metadata.
    metadata = json.dumps(asdict(entry.clip), ensure_ascii=False).encode()
    with entry.source.open("rb") as video:
        member = tarfile.TarInfo(f"{key}.{field}")
        member.size = entry.source.stat().st_size
        tar.addfile(member, video)
    member = tarfile.TarInfo(f"{key}.json")
    member.size = len(metadata)
    tar.addfile(member, io.BytesIO(metadata))
