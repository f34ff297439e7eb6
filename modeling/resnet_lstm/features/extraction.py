"""Clips -> frame features: decoding and the backbone side by side, what is done kept at once."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from accelerate import PartialState
from accelerate.utils import gather_object
from torch.utils.data import DataLoader, Dataset
from tqdm.auto import tqdm

from ..data.video_folder import VideoFolder, file_sha256
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_decoding import VideoDecodingError, sample_video
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .cache import FeatureCache
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
    """

    extracted: int = 0
    cached: int = 0
    failed: dict[Path, str] = field(default_factory=dict)


@dataclass(frozen=True)
class _Job:
    clip: ClipFile
    view: View


class _Pictures(Dataset[tuple[_Job, np.ndarray | str]]):
    """The frames of each job's view, `[T, height, width, 3]` uint8 in the backbone's size, or why there are none."""

    def __init__(self, jobs: Sequence[_Job], processor: ResNetLSTMVideoProcessor) -> None:
        self.jobs = jobs
        self.processor = processor

    def __len__(self) -> int:
        return len(self.jobs)

    def __getitem__(self, index: int) -> tuple[_Job, np.ndarray | str]:
        job = self.jobs[index]
        try:
            sampled = sample_video(
                job.clip.path, self.processor.num_frames, job.view.generator(job.clip.sha256), num_threads=1
            )
            pictures = np.stack([self.processor.resize_picture(picture) for _, picture in sampled])
        except VideoDecodingError as error:
            return job, str(error)
        return job, np.ascontiguousarray(pictures[:, :, ::-1]) if job.view.flip else pictures


def extract_features(
    model: ResNetLSTMModel,
    processor: ResNetLSTMVideoProcessor,
    cache: FeatureCache,
    clips: Iterable[ClipFile],
    views: Sequence[View],
    *,
    batch_size: int = 1,
    num_workers: int | None = None,
    distributed: bool = True,
) -> Extraction:
    """Put the features of clips into a cache; those that are there already are not computed again.

    Each clip's features are on disk before the next is begun, so a run that is killed loses no more than it was
    working on. Under `accelerate launch` or `torchrun` each process takes its share of the clips.

    Args:
        model: Its backbone makes the features, on the device where it is.
        processor: Makes the backbone's input.
        cache: Where the features go; made for the same backbone and processor.
        clips: The clips. Those with the same content are computed once.
        views: Which views of each.
        batch_size: Clips that pass the backbone together: 1 suits a CPU, 16 or more a GPU.
        num_workers: Processes that decode ahead, by default one for each two cores, up to 8; on a CPU none, since
            they would only take turns with the backbone.
        distributed: Share the clips with the other processes of the run, all of which must make this call.

    Returns:
        What was done, by all processes together. A clip that cannot be decoded is listed there; the rest are done.
    """
    state = PartialState() if distributed else None
    wanted = {(clip.sha256, view.name): _Job(clip, view) for clip in clips for view in views}
    missing = [job for job in wanted.values() if not cache.has(job.clip.sha256, job.view)]
    result = Extraction(cached=len(wanted) - len(missing))
    jobs = missing
    if state is not None:
        # No process may look for what is missing after another has begun to fill it in.
        state.wait_for_everyone()
        jobs = missing[state.process_index :: state.num_processes]

    if num_workers is None:
        num_workers = 0 if model.device.type == "cpu" else min(8, (os.cpu_count() or 2) // 2)
    training = model.training
    model.eval()
    with tqdm(
        total=len(jobs), unit="clip", desc="features", disable=state is not None and not state.is_main_process
    ) as progress:
        for batch in _batches(_Pictures(jobs, processor), batch_size, num_workers):
            decoded = [(job, pictures) for job, pictures in batch if isinstance(pictures, np.ndarray)]
            for job, error in batch:
                if isinstance(error, str):
                    logger.warning("left out: %s", error)
                    result.failed[job.clip.path] = error
            if decoded:
                inputs = processor([pictures for _, pictures in decoded], do_sample_frames=False, return_tensors="pt")
                frame_features = _forward(model, inputs["pixel_values"], cache.precision)  # [B, T, D]
                for (job, _), features in zip(decoded, frame_features, strict=True):
                    cache.save(job.clip.sha256, job.view, features)
                result.extracted += len(decoded)
            progress.update(len(batch))
    model.train(training)
    if state is not None:
        results: list[Extraction] = gather_object([result])
        result.extracted = sum(share.extracted for share in results)
        result.failed = {path: cause for share in results for path, cause in share.failed.items()}
    return result


@torch.inference_mode()
def _forward(model: ResNetLSTMModel, pixel_values: torch.Tensor, precision: str) -> torch.Tensor:
    dtype = {"no": None, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    with torch.autocast(model.device.type, dtype=dtype, enabled=dtype is not None):
        return model.extract_frame_features(pixel_values.to(model.device))


def _batches(pictures: _Pictures, batch_size: int, num_workers: int) -> Iterator[list[tuple[_Job, np.ndarray | str]]]:
    """Batches of clips, decoded by other processes meanwhile; or, without any, a few clips at a time on all cores.

    On a CPU a decoder that runs beside the backbone takes one of its cores, and the others wait for it layer by layer.
    """
    if num_workers and len(pictures):
        yield from DataLoader(pictures, batch_size, num_workers=num_workers, collate_fn=list)
        return
    num_threads = torch.get_num_threads()
    with ThreadPoolExecutor(num_threads) as pool:
        at_once = batch_size * max(1, num_threads // batch_size)
        for start in range(0, len(pictures), at_once):
            decoded = list(pool.map(pictures.__getitem__, range(start, min(start + at_once, len(pictures)))))
            yield from (decoded[first : first + batch_size] for first in range(0, len(decoded), batch_size))
