"""A dataset whose clips have become features, in shards: read row group by row group, however many there are."""

from __future__ import annotations

import json
import posixpath
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from ..data.clip_shards import shard_urls
from ..data.video_folder import SPLITS, Clip, DatasetError, VideoFolder
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .feature_files import CLIP_COLUMNS, FEATURES_COLUMN, FORMAT, MANIFEST_FILE, footer_of, to_array
from .kept_clips import DamagedFeaturesError, differing_settings, key_of
from .views import UNIFORM, View

# What is held of the features at a time.
DEFAULT_BUFFER_BYTES = 4 * 2**30
_FILES_OPENED_AT_A_TIME = 16


@dataclass(frozen=True)
class _Shard:
    """A file, by what it says of itself and of its clips; the features are not read."""

    url: str
    footer: Mapping[str, Any]
    clips: list[tuple[Clip, str]]
    group_rows: tuple[int, ...]


@dataclass(frozen=True)
class FeatureChunk:
    """Some clips of a split.

    Attributes:
        frame_features: `[B, T, D]` float32.
        labels: `[B]` int64, label ids.
        groups: `[B]`, the source each clip was cut from.
    """

    frame_features: torch.Tensor
    labels: torch.Tensor
    groups: list[str]


class FeatureShards(VideoFolder):
    """Features that `resnet-lstm extract` has made of a dataset in shards, in place of the dataset.

    It has the labels, splits and groups of the dataset, but no clips that could be decoded: what is trained and
    evaluated on it reads the features. No more of them is held than fits the buffer, and reading goes on from row
    group to row group; the metadata of all clips are held, some hundred bytes of each.

    Attributes:
        key: What made the features.
        buffer_bytes: What is held of them at a time.
    """

    def __init__(self, root: Path, manifest: Mapping[str, Any], shards: Sequence[_Shard], buffer_bytes: int) -> None:
        clips: dict[str, list[Clip]] = {}
        for shard in shards:
            # The views of a clip stand one after the other.
            first_view = shard.footer["views"][0]
            clips.setdefault(shard.footer["split"], []).extend(
                clip for clip, view in shard.clips if view == first_view
            )
        super().__init__(root, dict(manifest["info"]), {split: clips.get(split, []) for split in SPLITS})
        self.key: Mapping[str, Any] = manifest["key"]
        self.buffer_bytes = buffer_bytes
        self._shards = shards
        self._groups = [(shard, number) for shard in shards for number in range(len(shard.group_rows))]
        self._starts = np.cumsum([0, *(rows for shard in shards for rows in shard.group_rows)])
        rows = (clip_and_view for shard in shards for clip_and_view in shard.clips)
        self._row_of = {(clip.sha256, view): row for row, (clip, view) in enumerate(rows)}
        self._buffer: OrderedDict[int, torch.Tensor] = OrderedDict()
        self._buffered_bytes = 0

    @classmethod
    def open(cls, root: str | Path, buffer_bytes: int = DEFAULT_BUFFER_BYTES) -> FeatureShards:
        """Read what shards say of themselves and of their clips.

        Args:
            root: The folder that they were extracted to, or a glob of some of them, here or at a URL.
            buffer_bytes: What is held of the features at a time.

        Raises:
            DatasetError: They are not all there, hold something else, or were made by several backbones or processors.
        """
        urls = shard_urls(root)
        manifest = _read_manifest(urls)
        with ThreadPoolExecutor(_FILES_OPENED_AT_A_TIME) as pool:
            shards = list(pool.map(_read_shard, urls))
        for shard in shards:
            found = differing_settings(shard.footer["key"], manifest["key"])
            if found:
                raise DatasetError(
                    f"{shard.url}: was made by another backbone or processor than {MANIFEST_FILE} tells ({found}). "
                    "Keep what was made by each in a folder of its own."
                )
        _check_whole(root, urls, manifest)
        shards.sort(key=lambda shard: (SPLITS.index(shard.footer["split"]), shard.url))
        return cls(Path(root), manifest, shards, buffer_bytes)

    def path(self, split: str, clip: Clip) -> Path:
        """What a clip goes by; no file is there."""
        return self.root / split / clip.file_name

    def check_made_by(self, model: ResNetLSTMModel, processor: ResNetLSTMVideoProcessor, precision: str) -> None:
        """See that a model's backbone and a processor would make the same features.

        Raises:
            ValueError: They would not, in this precision.
        """
        found = differing_settings(self.key, key_of(model, processor, precision))
        if found:
            raise ValueError(
                f"{self.root}: holds what another backbone, processor or precision makes ({found}). Use those, or "
                "extract again."
            )

    def check_holds(self, views: Sequence[View]) -> None:
        """See that some views of all clips that are trained with are there.

        Raises:
            DatasetError: One is not.
        """
        for shard in self._shards:
            lacking = [view.name for view in views if view.name not in shard.footer["views"]]
            if lacking and shard.footer["split"] != "test":
                raise DatasetError(
                    f"{shard.url}: holds no view {lacking[0]}, but {', '.join(shard.footer['views'])}. Ask for fewer "
                    "views, or extract with as many."
                )

    def has(self, clip_sha256: str, view: View) -> bool:
        """Whether the features of a clip are there."""
        return (clip_sha256, view.name) in self._row_of

    def load(self, clip_sha256: str, view: View) -> torch.Tensor:
        """The features of a clip, `[T, D]` float32. The tensor is shared: do not change it.

        Raises:
            FileNotFoundError: They are not there.
            DamagedFeaturesError: Their file is damaged.
        """
        group, start = self._place(clip_sha256, view)
        return self._group(group)[start]

    def row_group(self, clip_sha256: str, view: View) -> int:
        """Which row group holds the features of a clip, by its number among all."""
        return self._place(clip_sha256, view)[0]

    def row_group_bytes(self, number: int) -> int:
        """How large the features of a row group are."""
        shard, index = self._groups[number]
        return shard.group_rows[index] * int(np.prod(shard.footer["shape"])) * 4

    def _place(self, clip_sha256: str, view: View) -> tuple[int, int]:
        row = self._row_of.get((clip_sha256, view.name))
        if row is None:
            raise FileNotFoundError(
                f"{self.root}: holds no features of {clip_sha256} in the view {view.name}. Extract with more views."
            )
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        return group, row - int(self._starts[group])

    def _group(self, number: int) -> torch.Tensor:
        """The features `[N, T, D]` of a row group."""
        features = self._buffer.get(number)
        if features is not None:
            self._buffer.move_to_end(number)
            return features
        while self._buffer and self._buffered_bytes + self.row_group_bytes(number) > self.buffer_bytes:
            self._buffered_bytes -= self._buffer.popitem(last=False)[1].nbytes
        shard, index = self._groups[number]
        features = _read_group(shard, index)
        self._buffer[number] = features
        self._buffered_bytes += features.nbytes
        return features

    def chunks(
        self, split: str, view: View = UNIFORM, *, process_index: int = 0, num_processes: int = 1
    ) -> Iterator[FeatureChunk]:
        """The clips of a split in their order, a row group at a time; each is read once and none is kept.

        Args:
            split: The split.
            view: Of each clip.
            process_index: Of this process.
            num_processes: Among which the row groups are dealt out: each clip comes to one of them.
        """
        label_ids = {label: index for index, label in enumerate(self.labels)}
        members = [
            (shard, index, start)
            for shard in self._shards
            if shard.footer["split"] == split
            for index, start in enumerate(np.cumsum([0, *shard.group_rows[:-1]]))
        ]
        for shard, index, start in members[process_index::num_processes]:
            rows = shard.clips[start : start + shard.group_rows[index]]
            chosen = [row for row, (_, of_row) in enumerate(rows) if of_row == view.name]
            if chosen:
                clips = [rows[row][0] for row in chosen]
                yield FeatureChunk(
                    _read_group(shard, index)[chosen],
                    torch.tensor([label_ids[clip.label] for clip in clips]),
                    [self.group_of(clip) for clip in clips],
                )


def is_feature_shards(name: str | Path) -> bool:
    """Whether the shards of a name hold features, rather than clips.

    Raises:
        DatasetError: There are none.
    """
    url = shard_urls(name)[0]
    if not url.endswith(".parquet"):
        return False
    with fsspec.open(url) as file, _parquet(file, url) as parquet:
        try:
            footer_of(parquet, url)
        except DatasetError:
            return False
    return True


def _parquet(file: Any, url: str) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file, page_checksum_verification=True)
    except pa.ArrowInvalid as error:
        raise DamagedFeaturesError(f"{url}: damaged ({error}). Extract again.") from error


def _read_shard(url: str) -> _Shard:
    with fsspec.open(url) as file, _parquet(file, url) as parquet:
        footer = footer_of(parquet, url)
        rows = parquet.read(columns=list(CLIP_COLUMNS)).to_pylist()
        groups = tuple(parquet.metadata.row_group(index).num_rows for index in range(parquet.num_row_groups))
    views = [str(row.pop("view")) for row in rows]
    return _Shard(url, footer, [(Clip(**row), view) for row, view in zip(rows, views, strict=True)], groups)


def _read_group(shard: _Shard, index: int) -> torch.Tensor:
    try:
        with fsspec.open(shard.url) as file, _parquet(file, shard.url) as parquet:
            column = parquet.read_row_group(index, columns=[FEATURES_COLUMN]).column(0)
        return to_array(column, shard.footer["shape"])
    except (pa.ArrowInvalid, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise DamagedFeaturesError(f"{shard.url}: damaged ({error}). Extract again.") from error


def _read_manifest(urls: Sequence[str]) -> dict[str, Any]:
    url = f"{urls[0].rpartition('/')[0]}/{MANIFEST_FILE}"
    try:
        with fsspec.open(url, mode="r", encoding="utf-8") as file:
            manifest = json.load(file)
    except FileNotFoundError:
        raise DatasetError(
            f"{url}: not there: the extraction has not ended. Run it again: what is there is kept."
        ) from None
    except ValueError as error:
        raise DatasetError(f"{url}: not valid JSON ({error}). Extract again: what is there is kept.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise DatasetError(f"{url}: is not what `resnet-lstm extract` writes.")
    return manifest


def _check_whole(root: str | Path, urls: Sequence[str], manifest: Mapping[str, Any]) -> None:
    named = {shard["file"] for shard in manifest["shards"]}
    found = {posixpath.basename(url) for url in urls}
    if found - named:
        raise DatasetError(f"{root}: {MANIFEST_FILE} does not name {', '.join(sorted(found - named))}. Extract again.")
    if named - found and not str(root).endswith(".parquet"):
        raise DatasetError(f"{root}: {', '.join(sorted(named - found))} is missing. Extract again.")
