"""Video files -> predictions, many at a time; a broken file costs only itself."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_decoding import SampledFrames, VideoDecodingError, VideoSource, decode_video
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor


@dataclass(frozen=True)
class ClipPrediction:
    """What a model says of one clip.

    Attributes:
        source: The clip, as it was passed.
        logits: `[L]` float32.
        frame_logits: `[T, L]` float32; `logits` is their mean.
        frames: `[T, H, W, 3]` uint8, the frames it looked at.
        seconds: `[T]`, when each of them is shown, from the start of the clip.
    """

    source: VideoSource
    logits: np.ndarray
    frame_logits: np.ndarray
    frames: np.ndarray
    seconds: np.ndarray

    @property
    def scores(self) -> np.ndarray:
        """`[L]`, the softmax of the logits."""
        exponentials = np.exp(self.logits - self.logits.max())
        return exponentials / exponentials.sum()

    def top_k(self, k: int) -> list[int]:
        """The ids of the k best labels, best first; all of them where there are fewer."""
        return [int(label) for label in np.argsort(-self.logits, kind="stable")[:k]]

    def frame_shares(self, label: int | None = None) -> np.ndarray:
        """Each frame's share in the decision for a label (by default the best one): `[T]`, summing to 1.

        A softmax does not change when a constant is added to all logits, so what speaks for a label is its logit less
        the mean of all logits. That margin of the clip is the mean of its frames' margins, so a frame's share is its
        own margin over the sum of all. A negative share speaks against the label.
        """
        label = self.top_k(1)[0] if label is None else label
        margins = self.frame_logits[:, label] - self.frame_logits.mean(axis=1)  # [T]
        total = margins.sum()
        if abs(total) < 1e-12:
            return np.full(len(margins), 1 / len(margins))
        return margins / total


@dataclass(frozen=True)
class FailedClip:
    """A clip that could not be read.

    Attributes:
        source: The clip, as it was passed.
        error: Why, in one line that names it.
    """

    source: VideoSource
    error: str


def predict_clips(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    sources: Iterable[VideoSource],
    *,
    batch_size: int = 1,
    num_threads: int | None = None,
) -> Iterator[ClipPrediction | FailedClip]:
    """Classify clips in their order. Clips are decoded ahead of the model, a bounded number of them at a time.

    Args:
        model: On the device where it shall run.
        processor: Makes the model's input.
        sources: Paths, URLs, bytes or binary file objects.
        batch_size: Clips that pass the model together: 1 suits a CPU, 16 or more a GPU.
        num_threads: Clips that are decoded at the same time; by default one for each two cores, up to 8.
    """
    was_training = model.training
    model.eval()
    num_threads = num_threads or min(8, max(1, (os.cpu_count() or 2) // 2))
    try:
        with ThreadPoolExecutor(num_threads) as pool:
            loaded = _map_ahead(pool, sources, processor, ahead=num_threads + batch_size)
            while batch := list(itertools.islice(loaded, batch_size)):
                yield from _predict_batch(model, batch)
    finally:
        model.train(was_training)


@dataclass(frozen=True)
class _LoadedClip:
    source: VideoSource
    sampled: SampledFrames
    pixel_values: torch.Tensor  # [T, C, H, W]


def _map_ahead(
    pool: ThreadPoolExecutor, sources: Iterable[VideoSource], processor: ResNetLSTMVideoProcessor, ahead: int
) -> Iterator[_LoadedClip | FailedClip]:
    waiting: deque[Future[_LoadedClip | FailedClip]] = deque()
    for source in sources:
        waiting.append(pool.submit(_load, source, processor))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _load(source: VideoSource, processor: ResNetLSTMVideoProcessor) -> _LoadedClip | FailedClip:
    try:
        sampled = decode_video(source, processor.num_frames)
    except VideoDecodingError as error:
        return FailedClip(source, str(error))
    pixel_values = processor(sampled.frames, do_sample_frames=False, return_tensors="pt")["pixel_values"][0]
    return _LoadedClip(source, sampled, pixel_values)


@torch.inference_mode()
def _predict_batch(
    model: ResNetLSTMForVideoClassification, batch: list[_LoadedClip | FailedClip]
) -> Iterator[ClipPrediction | FailedClip]:
    loaded = [clip for clip in batch if isinstance(clip, _LoadedClip)]
    outputs = None
    if loaded:
        pixel_values = torch.stack([clip.pixel_values for clip in loaded])  # [B, T, C, H, W]
        outputs = model(pixel_values=pixel_values.to(model.device))
    index = 0
    for clip in batch:
        if isinstance(clip, FailedClip):
            yield clip
            continue
        assert outputs is not None  # noqa: S101 - there is a loaded clip
        yield ClipPrediction(
            source=clip.source,
            logits=outputs.logits[index].float().cpu().numpy(),
            frame_logits=outputs.frame_logits[index].float().cpu().numpy(),
            frames=clip.sampled.frames,
            seconds=clip.sampled.seconds,
        )
        index += 1
