"""Clips -> frame features: decoding and the backbone side by side, what is done kept at once."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from tqdm.auto import tqdm

from ..accelerator import own_share
from ..data.video_folder import VideoFolder, file_sha256
from ..feeding import (
    ClipPictures,
    DeviceFeeder,
    HalvingBatches,
    PictureRequest,
    UnreadableClip,
    default_batch_size,
    default_num_workers,
    load_batches,
)
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .cache import FeatureCache
from .feature_shards import FeatureShards
from .map_cache import MapCache
from .views import View

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipFile:
    """A clip by its place and by its content.

    Attributes:
        path: Where the file is.
        sha256: Of its bytes, in hexadecimal.
    """

    path: Path
    sha256: str


def clip_files(folder: VideoFolder, split: str) -> list[ClipFile]:
    """The clips of a split in the order of its metadata, each hashed anew: its file may have changed since.

    Raises:
        DatasetError: A file that the metadata names is not there.
    """
    if isinstance(folder, FeatureShards):
        return [ClipFile(folder.path(split, clip), str(clip.sha256)) for clip in folder.clips(split)]
    paths = [folder.path(split, clip) for clip in folder.clips(split)]
    with ThreadPoolExecutor() as pool:
        return [ClipFile(path, sha256) for path, sha256 in zip(paths, pool.map(file_sha256, paths), strict=True)]


@dataclass
class Extraction:
    """What `extract_features` did.

    Attributes:
        extracted: How many features (clips times views) were computed.
        cached: How many were in the cache already.
        failed: Clips that could not be decoded, each with the reason.
        damaged: Clips that were read in part, each with what is missing or broken.
    """

    extracted: int = 0
    cached: int = 0
    failed: dict[Path, str] = field(default_factory=dict)
    damaged: dict[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    clip: ClipFile
    view: View


def extract_features(
    model: ResNetLSTMModel,
    processor: ResNetLSTMVideoProcessor,
    cache: FeatureCache | MapCache,
    clips: Iterable[ClipFile],
    views: Sequence[View],
    *,
    batch_size: int | None = None,
    num_workers: int | None = None,
    distributed: bool = True,
) -> Extraction:
    """Put the features of clips into a cache; those that are there already are not computed again.

    Features are written as they are computed, so a run that is killed loses no more than the clips it was working on.
    Under `accelerate launch` or `torchrun` each process takes its share of the clips. Another run may fill the same
    cache meanwhile: what it has made is not computed here.

    Args:
        model: Its backbone makes the features, on the device where it is, in the precision of the cache.
        processor: Makes the backbone's input.
        cache: Where the features, or the maps, go; made for the same backbone and processor.
        clips: The clips. Those with the same content are computed once.
        views: Which views of each.
        batch_size: Clips that pass the backbone together, by default as the device wants it.
        num_workers: Processes that decode ahead, by default one for each core; for a CPU none, since they would only
            take turns with the backbone.
        distributed: Share the clips with the other processes of the run, all of which must make this call.

    Returns:
        What was done, by all processes together. A clip that cannot be decoded is listed there; the rest are done.

    Raises:
        ValueError: The cache was made for another processor.
    """
    cache.check_processor(processor)
    state = PartialState() if distributed else None
    wanted = {(clip.sha256, view.name): _Job(clip, view) for clip in clips for view in views}
    missing = [job for job in wanted.values() if not cache.keeps(job.clip.sha256, job.view)]
    result = Extraction()
    jobs = missing
    if state is not None:
        # No process may look for what is missing after another has begun to fill it in.
        state.wait_for_everyone()
        jobs = missing[own_share()]
    jobs = _in_an_order_of_its_own(jobs)

    device = model.device
    num_workers = default_num_workers(device) if num_workers is None else num_workers
    batch_size = default_batch_size(device) if batch_size is None else batch_size
    was_training = model.training
    begun: deque[_Job] = deque()
    with tqdm(total=len(jobs), unit="clip", desc="features", disable=not _is_main(state)) as progress:
        requests = _requests(jobs, cache, begun, result, progress)
        batches = load_batches(processor, requests, batch_size=batch_size, num_workers=num_workers)
        _compute(model, processor, cache, begun, batches, result, progress)
    model.train(was_training)
    if state is not None:
        results: list[Extraction] = gather_object([result])
        result.extracted = sum(share.extracted for share in results)
        result.failed = {path: cause for share in results for path, cause in share.failed.items()}
        result.damaged = {path: damage for share in results for path, damage in share.damaged.items()}
        result.cached = sum(share.cached for share in results)
    result.cached += len(wanted) - len(missing)
    paths = list(dict.fromkeys(job.clip.path for job in missing))
    result.failed = {path: result.failed[path] for path in paths if path in result.failed}
    result.damaged = {path: result.damaged[path] for path in paths if path in result.damaged}
    if result.damaged:
        path, damage = min(result.damaged.items())
        logger.warning(
            "%d clips are damaged and were read in part, for example %s: %s", len(result.damaged), path, damage
        )
    return result


def _in_an_order_of_its_own(jobs: Sequence[_Job]) -> list[_Job]:
    """Shuffled clip by clip: runs that fill the same cache at the same time seldom are at the same clip."""
    generator = np.random.default_rng()
    place = {job.clip.sha256: generator.random() for job in jobs}
    return sorted(jobs, key=lambda job: place[job.clip.sha256])


def _requests(
    jobs: Sequence[_Job],
    cache: FeatureCache | MapCache,
    begun: deque[_Job],
    result: Extraction,
    progress: tqdm[Any],
) -> Iterator[PictureRequest]:
    """For what nobody else has made meanwhile; those jobs are put into `begun`."""
    for job in jobs:
        if cache.has(job.clip.sha256, job.view):
            result.cached += 1
            progress.update()
            continue
        begun.append(job)
        yield PictureRequest(job.clip.path, job.view.generator(job.clip.sha256))


def _compute(
    model: ResNetLSTMModel,
    processor: ResNetLSTMVideoProcessor,
    cache: FeatureCache | MapCache,
    begun: deque[_Job],
    batches: Iterable[list[ClipPictures | UnreadableClip]],
    result: Extraction,
    progress: tqdm[Any],
) -> None:
    """Read the pictures of jobs that were begun, which come in batches in this order, and write down what it gives."""
    feeder, compute = DeviceFeeder(processor, model.device), HalvingBatches(cache.reader(model))
    with _Writer(cache) as writer:
        for batch in batches:
            decoded, pictures = [], []
            for loaded in batch:
                job = begun.popleft()
                if isinstance(loaded, UnreadableClip):
                    logger.warning("left out: %s", loaded.error)
                    result.failed[job.clip.path] = loaded.error
                else:
                    if loaded.damage:
                        result.damaged[job.clip.path] = str(loaded.damage)
                    decoded.append(job)
                    pictures.append(loaded.pictures)
            if decoded:
                with torch.inference_mode():
                    pixel_values = feeder.pixel_values(pictures, mirrored=[job.view.flip for job in decoded])
                    writer.write(decoded, compute(pixel_values))
                result.extracted += len(decoded)
            progress.update(len(batch))


def _is_main(state: PartialState | None) -> bool:
    return state is None or state.is_main_process


class _Writer:
    """Writes features to a cache in a thread, while the device computes the next ones."""

    _MOST_WAITING = 2  # batches

    def __init__(self, cache: FeatureCache | MapCache) -> None:
        self._cache = cache
        self._thread = ThreadPoolExecutor(1)
        self._waiting: deque[Future[None]] = deque()

    def __enter__(self) -> _Writer:
        return self

    def write(self, jobs: Sequence[_Job], read: tuple[torch.Tensor, ...]) -> None:
        """Have what was read for jobs, `[B, ...]` each, written; wait for an earlier batch where many wait."""
        self._waiting.append(self._thread.submit(self._write, jobs, read))
        while len(self._waiting) > self._MOST_WAITING:
            self._waiting.popleft().result()

    def _write(self, jobs: Sequence[_Job], read: tuple[torch.Tensor, ...]) -> None:
        # Here, and not in the main thread, the device is waited for.
        for job, *of_clip in zip(jobs, *(tensor.cpu() for tensor in read), strict=True):
            self._cache.save(job.clip.sha256, job.view, *of_clip)

    def __exit__(self, *exception: object) -> None:
        self._thread.shutdown(wait=True)
        if exception[0] is None:
            for waiting in self._waiting:
                waiting.result()
