"""Clips in shards, read one after another from wherever they lie: WebDataset tars or Parquet, streamed by `datasets`.

A dataset that is larger than the disk is kept in files of some hundred clips each, here or in an object store, and
passes by once. Of a tar no more than a clip is held at a time, of Parquet no more than a row group.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import pyarrow.dataset

from .folder_clips import VIDEO_SUFFIXES
from .video_folder import INFO_FILE, METADATA_FILE, SPLITS, Clip, DatasetError

if TYPE_CHECKING:
    import datasets

# What a video is called in a tar whose clips are in several containers.
ANY_VIDEO = "video"
_SUFFIXES = {".tar": "webdataset", ".parquet": "parquet"}
_REPO_ID = re.compile(r"[\w.-]+/[\w.-]+")
_MAGIC = re.compile(r"[*?\[{]")
# As `datasets` tells them by the names of files.
_SPLIT_WORDS = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_TAR_END_BYTES = 1024
# As much of a row group as is needed, where the default is to hold several whole ones.
_PARQUET_READING = {
    "batch_size": 1,
    "fragment_scan_options": pyarrow.dataset.ParquetFragmentScanOptions(
        use_buffered_stream=True, buffer_size=2**20, pre_buffer=False
    ),
}
_CLIP_FIELDS = {field.name for field in fields(Clip)} - {"label"}
_NUMBERS = {"clip": int, "num_frames": int, "width": int, "height": int, "fps": float, "seconds": float}


def names_shards(name: str | Path) -> bool:
    """Whether a dataset's name is that of shards: a glob, a URL, a .tar or .parquet file, or a folder of these."""
    text = str(name)
    if "://" in text or posixpath.splitext(text)[1] in _SUFFIXES:
        return True
    folder = Path(text)
    if folder.is_dir():
        return not _is_video_folder(folder) and any(next(folder.glob(f"*{suffix}"), None) for suffix in _SUFFIXES)
    return bool(_MAGIC.search(text))


def is_repo_id(name: str | Path) -> bool:
    """Whether a name has the form of a repository's on the Hub, `owner/name`."""
    return bool(_REPO_ID.fullmatch(str(name)))


def _is_video_folder(folder: Path) -> bool:
    return any((folder / split / METADATA_FILE).is_file() for split in SPLITS)


def shard_urls(name: str | Path) -> list[str]:
    """The files of a dataset in shards, in the order of their names.

    Args:
        name: A glob, a file, or a folder, here or at a URL that fsspec knows (`hf://`, `s3://`, `gs://`, `memory://`);
            or `owner/name`, a dataset on the Hub, where no such folder is here.

    Raises:
        DatasetError: There is none, they are of two kinds, or what fetches such a URL is not installed.
    """
    text = str(name)
    if is_repo_id(text) and not Path(text).exists():
        text = f"hf://datasets/{text}/**"
    try:
        file_system, pattern = fsspec.core.url_to_fs(text)
        if not _MAGIC.search(pattern) and file_system.isdir(pattern):
            found = [path for path in file_system.ls(pattern, detail=False) if _kind(path)]
        else:
            found = [path for path in file_system.glob(pattern) if _kind(path)]
    except (ImportError, ValueError) as error:  # a protocol that is not known, or whose package is missing
        raise DatasetError(f"{text}: {error}. Install the fsspec package of such addresses.") from error
    except OSError as error:
        raise DatasetError(f"{text}: cannot be reached ({error}).") from error
    if not found:
        raise DatasetError(f"{text}: no {' or '.join(_SUFFIXES)} file is there.")
    kinds = {_kind(path) for path in found}
    if len(kinds) > 1:
        raise DatasetError(f"{text}: tars and Parquet files at once. Name the ones or the others.")
    return [file_system.unstrip_protocol(path) for path in sorted(found)]


def _kind(path: str) -> str | None:
    return _SUFFIXES.get(posixpath.splitext(path)[1])


def read_info(urls: Sequence[str]) -> dict[str, Any]:
    """What the dataset.json beside shards says; empty where there is none.

    Raises:
        DatasetError: It is malformed.
    """
    url = f"{urls[0].rpartition('/')[0]}/{INFO_FILE}"
    try:
        with fsspec.open(url, encoding="utf-8", mode="r") as file:
            info = json.load(file)
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise DatasetError(f"{url}: not valid JSON ({error}). Repair or remove it.") from error
    if not isinstance(info, dict):
        raise DatasetError(f"{url}: must hold a JSON object, found a {type(info).__name__}. Repair or remove it.")
    return info


@dataclass(frozen=True)
class ClipShard:
    """A file of clips.

    Attributes:
        url: Where it is.
        name: Unique among the shards of its dataset; begins with the split.
        split: One of `SPLITS`, told by the file's name or its folder's; `train` where neither tells.
        index: Its number among the shards of its split.
    """

    url: str
    name: str
    split: str
    index: int


@dataclass(frozen=True)
class StreamedClip:
    """A clip that has come out of a shard.

    Attributes:
        clip: What is told of it. Where no file name is told, it goes by its place in the shard.
        content: The bytes of the video file.
    """

    clip: Clip
    content: bytes


class ClipShards:
    """A dataset of labelled clips in shards.

    In a tar of WebDataset a clip is `KEY.mp4` (or of another video format) and `KEY.json` with the columns of a
    VideoFolder's metadata, of which `label` is needed; in place of it `KEY.cls` or `KEY.txt` may tell the label. In
    Parquet it is a row with a column `video` and the same columns, as `push_to_hub` writes it.

    Attributes:
        name: As it was asked for.
        info: What dataset.json beside the shards says; empty where there is none.
        shards: All of them.
    """

    def __init__(self, name: str, urls: Sequence[str], info: dict[str, Any]) -> None:
        self.name, self.info = name, info
        self._kind = _kind(urls[0])
        names = _shard_names(urls)
        self.shards: list[ClipShard] = []
        for split in SPLITS:
            of_split = [url for url in urls if _split_of(url) == split]
            for index, url in enumerate(of_split):
                own = names[url] if names[url].startswith(split) else f"{split}-{names[url]}"
                self.shards.append(ClipShard(url, own, split, index))
        several = [shard_name for shard_name, count in Counter(s.name for s in self.shards).items() if count > 1]
        if several:
            raise DatasetError(f"{name}: several shards would be called {several[0]}. Rename one of them.")

    @classmethod
    def open(cls, name: str | Path) -> ClipShards:
        """Find the shards; none is read yet.

        Raises:
            DatasetError: There are none.
        """
        urls = shard_urls(name)
        return cls(str(name), urls, read_info(urls))

    @cached_property
    def _streams(self) -> Mapping[str, datasets.IterableDataset]:
        import datasets  # it takes a second, and who has no shards does without

        urls = {split: [s.url for s in self.shards if s.split == split] for split in SPLITS}
        loading = _PARQUET_READING if self._kind == "parquet" else {}
        try:
            streams = datasets.load_dataset(
                self._kind,
                data_files={split: of_split for split, of_split in urls.items() if of_split},
                streaming=True,
                **loading,
            )
        except (ValueError, OSError, datasets.exceptions.DatasetGenerationError) as error:
            raise DatasetError(f"{self.name}: not readable as {self._kind} ({error}).") from error
        return {split: _undecoded(stream) for split, stream in streams.items()}

    def clips(self, shard: ClipShard) -> Iterator[StreamedClip]:
        """The clips of a shard in their order, each read when it is asked for.

        Raises:
            DatasetError: The shard cannot be read, a clip has no label, or no column holds a video.
        """
        if self._kind == "webdataset":
            _check_end(shard.url)
        stream = self._streams[shard.split]
        number_of_shards = sum(other.split == shard.split for other in self.shards)
        rows = stream.shard(num_shards=number_of_shards, index=shard.index)
        number, reading = 0, iter(rows)
        while True:
            try:
                row = next(reading)
            except StopIteration:
                return
            except Exception as error:  # of tarfile, pyarrow, fsspec or what fetches: they have no class in common
                raise DatasetError(
                    f"{shard.url}: cannot be read after {number} clips ({type(error).__name__}: {error})."
                ) from error
            yield self._clip(row, stream.features or {}, shard, number)
            number += 1

    def _clip(
        self, row: Mapping[str, Any], features: Mapping[str, Any], shard: ClipShard, number: int
    ) -> StreamedClip:
        place = f"{shard.url}, clip {number + 1}"
        told = {**row, **row["json"]} if isinstance(row.get("json"), Mapping) else dict(row)
        video, content = _video(row, place)
        label = next((told[name] for name in ("label", "cls", "txt") if told.get(name) is not None), None)
        if label is None:
            raise DatasetError(f"{place}: has no label. Give it a column label, a KEY.json with one, or a KEY.cls.")
        values = {name: told[name] for name in _CLIP_FIELDS if told.get(name) is not None}
        values.setdefault("file_name", _file_name(row, video, shard, number))
        try:
            values = {name: _NUMBERS.get(name, str)(value) for name, value in values.items()}
        except (TypeError, ValueError) as error:
            raise DatasetError(f"{place}: {error}.") from error
        # What is told of the bytes is not taken on trust: who needs their hash computes it.
        values.pop("sha256", None)
        return StreamedClip(Clip(label=self._label_name(label, features), **values), content)

    def _label_name(self, label: Any, features: Mapping[str, Any]) -> str:
        if isinstance(label, int):
            int2str = getattr(features.get("label"), "int2str", None)
            if int2str is not None:
                return str(int2str(label))
            names = self.info.get("labels")
            return str(names[label]) if names else str(label)
        return str(label).strip()


def _check_end(url: str) -> None:
    """See that a tar ends as one does: what reads tars takes one that is cut between two files for a whole one."""
    file_system, path = fsspec.core.url_to_fs(url)
    try:
        end = file_system.cat_file(path, start=-_TAR_END_BYTES)
    except OSError as error:
        raise DatasetError(f"{url}: cannot be read ({error}).") from error
    if len(end) < _TAR_END_BYTES or any(end):
        raise DatasetError(f"{url}: is cut short: it lacks the zeros that a tar ends with. Copy it again.")


def _undecoded(stream: datasets.IterableDataset) -> datasets.IterableDataset:
    """With the files of videos as they are; `datasets` takes .mpg for pictures."""
    import datasets

    for name, feature in (stream.features or {}).items():
        if isinstance(feature, datasets.Video | datasets.Image):
            stream = stream.cast_column(name, type(feature)(decode=False))
    return stream


def _video(row: Mapping[str, Any], place: str) -> tuple[str, bytes]:
    """The column that holds the video, and its bytes."""
    for name, value in row.items():
        if name == ANY_VIDEO or f".{name.rpartition('.')[2].lower()}" in VIDEO_SUFFIXES:
            content = value.get("bytes") if isinstance(value, Mapping) else value
            if isinstance(content, bytes):
                return name, content
            raise DatasetError(
                f"{place}: its {name} holds no bytes but {value!r:.80}. Write the videos into the shards."
            )
    columns = ", ".join(name for name in row if not name.startswith("__"))
    raise DatasetError(f"{place}: holds no video, but {columns}. A column video, or a KEY.mp4, is needed.")


def _file_name(row: Mapping[str, Any], video: str, shard: ClipShard, number: int) -> str:
    path = row[video].get("path") if isinstance(row[video], Mapping) else None
    if path or "__key__" in row:
        return str(path or f"{row['__key__']}.{video}")
    return f"{shard.name}/{number:06d}"


def _shard_names(urls: Sequence[str]) -> dict[str, str]:
    """Each by its path below the folder that holds all of them, without the suffix."""
    folder = posixpath.commonpath([posixpath.dirname(url) for url in urls])
    return {url: posixpath.splitext(posixpath.relpath(url, folder))[0].replace("/", "-") for url in urls}


def _split_of(url: str) -> str:
    folder, name = posixpath.split(url)
    for text in (name.lower(), posixpath.basename(folder).lower()):
        for split, words in _SPLIT_WORDS.items():
            if re.search(rf"(?<![a-z0-9])({'|'.join(words)})(?![a-z0-9])", text):
                return split
    return "train"
