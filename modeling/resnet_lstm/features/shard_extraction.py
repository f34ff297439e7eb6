"""Clips in shards -> features in shards, one for one: as many processes as there are take them, each whole or not."""

from __future__ import annotations

import hashlib
import logging
import re
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm.auto import tqdm

from ..data.clip_shards import ClipShard, ClipShards
from ..data.video_folder import Clip, DatasetError
from ..device_precision import backbone_dtype, precision_name
from ..feeding import (
    DeviceFeeder,
    HalvingBatches,
    PictureRequest,
    UnreadableClip,
    default_batch_size,
    default_num_workers,
    load_batches,
)
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_decoding import probe_video
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..video_sources import VideoDecodingError
from ..whole_file import leased, write_texts, written_whole
from .cache import feature_reader
from .feature_files import MANIFEST_FILE, FeatureFileWriter, footer_of, manifest, manifest_text
from .kept_clips import differing_settings, key_of
from .views import View

logger = logging.getLogger(__name__)

# Where the metadata tell no durations, the files of so many clips of a shard are asked.
_MOST_CLIPS_PROBED = 20
SECONDS_BETWEEN_LOOKS = 1.0


@dataclass
class ShardExtraction:
    """What came of an extraction.

    Attributes:
        extracted: Shards that this process computed.
        failed: Clips that could not be decoded, each with the reason; of all shards.
        damaged: Clips that were read in part, each with what is missing or broken; of all shards.
    """

    extracted: int = 0
    failed: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    clip: Clip
    view: View


class ShardExtractor:
    """Makes of each shard of clips a file of features.

    A file is written under another name and renamed when it is whole. It says what made it: the backbone, the
    processor, the precision, and which state of its shard. So whoever comes again, or comes to help, computes what is
    not there. A shard is leased while it is computed; when its process ends, however it does, the lease is free.

    Args:
        model: Its backbone makes the features, on the device where it is.
        processor: Makes the backbone's input.
        clips: The shards.
        output: The folder of the files.
        views: Of the clips of each split, which views; splits that are not named are left out.
        precision: What the backbone computes in, see `device_precision`.
        batch_size: Clips that pass the backbone together, by default as the device wants it.
        num_workers: Processes that decode ahead, by default as the device wants it.

    Attributes:
        key: All that decides what is made of a clip.
        shards: Those of the splits.
    """

    def __init__(
        self,
        model: ResNetLSTMModel,
        processor: ResNetLSTMVideoProcessor,
        clips: ClipShards,
        output: Path,
        views: Mapping[str, Sequence[View]],
        *,
        precision: str = "auto",
        batch_size: int | None = None,
        num_workers: int | None = None,
    ) -> None:
        self.processor, self.clips, self.output, self.views = processor, clips, output, views
        self.precision = precision_name(backbone_dtype(precision, model.device))
        self.key = key_of(model, processor, self.precision)
        self.shards = [shard for shard in clips.shards if shard.split in views]
        if not self.shards:
            raise DatasetError(f"{clips.name}: none of its shards is of {', '.join(views)}.")
        self.batch_size = default_batch_size(model.device) if batch_size is None else batch_size
        self.num_workers = default_num_workers(model.device) if num_workers is None else num_workers
        self._feeder = DeviceFeeder(processor, model.device)
        self._compute = HalvingBatches(feature_reader(model, self.precision))
        output.mkdir(parents=True, exist_ok=True)

    def path(self, shard: ClipShard) -> Path:
        """Where the features of a shard are, or would be."""
        return self.output / f"{shard.name}.parquet"

    def footer(self, shard: ClipShard) -> dict[str, Any] | None:
        """What the file of a shard says of itself; None where there is none, or it is of another state of the shard.

        Raises:
            ValueError: It was made by another backbone or processor.
        """
        path = self.path(shard)
        try:
            with pq.ParquetFile(path) as file:
                footer = footer_of(file, str(path))
        except FileNotFoundError:
            return None
        except pa.ArrowInvalid as error:
            logger.warning("%s: damaged (%s). It is computed anew.", path, error)
            return None
        found = differing_settings(footer["key"], self.key)
        if found:
            raise ValueError(
                f"{path}: holds what another backbone or processor makes ({found}). Choose another output, or go on "
                "with the same settings."
            )
        wanted = self._footer(shard)
        if {name: footer.get(name) for name in wanted} != wanted:
            logger.warning("%s: its shard or its views are others now. It is computed anew.", path)
            return None
        return footer

    def _footer(self, shard: ClipShard) -> dict[str, Any]:
        return {
            "key": self.key,
            "source": shard.url.rpartition("/")[2],
            "source_state": _state_of(shard.url),
            "split": shard.split,
            "views": [view.name for view in self.views[shard.split]],
        }

    def extract(self, shard: ClipShard) -> bool:
        """Compute the features of a shard, unless they are there or another process is at it.

        Returns:
            Whether they are there now.

        Raises:
            DatasetError: The shard cannot be read.
            ValueError: What is there was made by another backbone or processor.
        """
        with leased(self.path(shard)) as is_mine:
            if not is_mine:
                return False
            if self.footer(shard) is None:
                self._compute_shard(shard)
            return True

    def finish(self) -> ShardExtraction:
        """Write the manifest, of files all of which are there.

        Raises:
            DatasetError: One is not.
        """
        footers = {}
        for shard in self.shards:
            footer = self.footer(shard)
            if footer is None:
                raise DatasetError(f"{self.path(shard)}: not there yet. Extract again: what is there is kept.")
            footers[self.path(shard).name] = footer
        content = manifest(footers, self.clips.info)
        write_texts(self.output, {MANIFEST_FILE: manifest_text(content)})
        return ShardExtraction(failed=content["failed"], damaged=content["damaged"])

    def _compute_shard(self, shard: ClipShard) -> None:
        failed: dict[str, str] = {}
        damaged: dict[str, str] = {}
        with written_whole(self.path(shard)) as temporary, _writer(temporary, self._footer(shard)) as writer:
            jobs: deque[_Job] = deque()
            batches = load_batches(
                self.processor,
                self._requests(shard, jobs),
                batch_size=self.batch_size,
                num_workers=self.num_workers,
            )
            waiting: tuple[list[_Job], torch.Tensor] | None = None
            with tqdm(unit="clip", desc=shard.name, leave=False) as progress:
                for batch in batches:
                    decoded, pictures = [], []
                    for loaded in batch:
                        job = jobs.popleft()
                        if isinstance(loaded, UnreadableClip):
                            failed[job.clip.file_name] = _named(loaded.error, shard, job.clip)
                            logger.warning("left out: %s", failed[job.clip.file_name])
                            continue
                        if loaded.damage:
                            damaged[job.clip.file_name] = str(loaded.damage)
                        decoded.append(job)
                        pictures.append(loaded.pictures)
                    computed = self._computed(decoded, pictures) if decoded else None
                    # Those before, for which the device need not be waited for any more.
                    _write(writer, waiting)
                    waiting = None if computed is None else (decoded, computed)
                    progress.update(len(batch))
            _write(writer, waiting)
            writer.close(failed=failed, damaged=damaged)

    def _computed(self, jobs: Sequence[_Job], pictures: Sequence[torch.Tensor]) -> torch.Tensor:
        with torch.inference_mode():
            pixel_values = self._feeder.pixel_values(pictures, mirrored=[job.view.flip for job in jobs])
            return self._compute(pixel_values)[0]

    def _requests(self, shard: ClipShard, jobs: deque[_Job]) -> Iterator[PictureRequest]:
        probed = 0
        for streamed in self.clips.clips(shard):
            clip = replace(streamed.clip, sha256=hashlib.sha256(streamed.content).hexdigest())
            if clip.seconds is None and probed < _MOST_CLIPS_PROBED:
                probed += 1
                with suppress(VideoDecodingError):  # it is named where it is decoded
                    clip = replace(clip, seconds=probe_video(streamed.content).seconds)
            for view in self.views[shard.split]:
                jobs.append(_Job(clip, view))
                yield PictureRequest(streamed.content, view.generator(str(clip.sha256)))


def extract_shards(extractor: ShardExtractor, *, process_index: int = 0, num_processes: int = 1) -> ShardExtraction:
    """Extract all shards, together with whatever other processes do the same.

    Each begins with its own share, then takes what nobody is at, and waits for the last ones: if one of the others is
    killed, its shard is computed here.

    Args:
        extractor: Of this process.
        process_index: Of this process.
        num_processes: That were started together.
    """
    shares = [extractor.shards[(process_index + i) % num_processes :: num_processes] for i in range(num_processes)]
    missing = [shard for share in shares for shard in share]
    extracted = 0
    with tqdm(total=len(missing), unit="shard", desc="features", disable=process_index > 0) as progress:
        while missing:
            there = []
            for shard in missing:
                if extractor.footer(shard) is not None:
                    there.append(shard)
                elif extractor.extract(shard):
                    extracted += 1
                    there.append(shard)
                    progress.update()
            missing = [shard for shard in missing if shard not in there]
            progress.n = progress.total - len(missing)
            progress.refresh()
            if missing and not there:
                time.sleep(SECONDS_BETWEEN_LOOKS)
    return replace(extractor.finish(), extracted=extracted)


@contextmanager
def _writer(path: Path, footer: Mapping[str, Any]) -> Iterator[FeatureFileWriter]:
    writer = FeatureFileWriter(path, footer)
    try:
        yield writer
    except BaseException:
        writer.abandon()
        raise


def _write(writer: FeatureFileWriter, computed: tuple[Sequence[_Job], torch.Tensor] | None) -> None:
    if computed is not None:
        jobs, features = computed
        for job, frame_features in zip(jobs, features.cpu(), strict=True):
            writer.write(job.clip, job.view.name, frame_features)


def _named(error: str, shard: ClipShard, clip: Clip) -> str:
    """An error with the clip's name in place of what its bytes are called."""
    return re.sub(r"^<\d+ bytes>", f"{shard.name}, {clip.file_name}", error)


def _state_of(url: str) -> str:
    """What tells one state of a file from another: its size, and its tag or the time of its last change."""
    file_system, path = fsspec.core.url_to_fs(url)
    told = file_system.info(path)
    names = ("ETag", "etag", "blob_id", "mtime", "LastModified", "last_modified", "updated", "created")
    return f"{told.get('size')} {next((told[name] for name in names if told.get(name)), '')}"
