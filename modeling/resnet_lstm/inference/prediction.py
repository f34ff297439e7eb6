"""Video files -> predictions, many at a time; a broken file costs only itself."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image

from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMForVideoClassificationOutput
from ..video_decoding import VideoDecodingError, VideoSource, sample_video
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .anytime import read_until_sure

_LARGEST_SHOWN_PIXELS = 640


@dataclass(frozen=True)
class ClipPrediction:
    """What a model says of one clip.

    Attributes:
        source: The clip, as it was passed.
        logits: `[L]` float32.
        frame_logits: `[T, L]` float32; `logits` is their mean.
        frames: `[T, H, W, 3]` uint8, the frames it looked at, none of them larger than 640 pixels.
        seconds: `[T]`, when each of them is shown, from the start of the clip.
        known_score: How probable it is, from 0 to 1, that the clip shows one of the model's actions at all; None where
            the model does not tell. Below its `config.known_threshold` take the clip for none of them.
    """

    source: VideoSource
    logits: np.ndarray
    frame_logits: np.ndarray
    frames: np.ndarray
    seconds: np.ndarray
    known_score: float | None = None

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

    def is_unknown(self, known_threshold: float | None) -> bool:
        """Whether the clip is to be taken for none of the model's actions, given its `config.known_threshold`."""
        return is_unknown(self.known_score, known_threshold)


def is_unknown(known_score: float | None, known_threshold: float | None) -> bool:
    """Whether so probable a known action is to be taken for none; never where the model does not tell."""
    return known_score is not None and known_threshold is not None and known_score < known_threshold


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
    anytime: bool = False,
) -> Iterator[ClipPrediction | FailedClip]:
    """Classify clips in their order. Clips are decoded ahead of the model, a bounded number of them at a time.

    Args:
        model: On the device where it shall run.
        processor: Makes the model's input.
        sources: Paths, URLs, bytes or binary file objects.
        batch_size: Clips that pass the model together: 1 suits a CPU, 16 or more a GPU.
        num_threads: Clips that are decoded at the same time; by default one for each two cores, up to 8.
        anytime: Read each clip only as far as it takes to be sure, see `read_until_sure`. Clips then pass one by one.

    Raises:
        ValueError: `anytime`, but the model does not say when it is sure.
    """
    sure_at = model.config.early_exit_score if anytime else None
    if anytime and sure_at is None:
        raise ValueError("anytime: this model has no early_exit_score; it was trained without validation clips.")
    was_training = model.training
    model.eval()
    num_threads = num_threads or min(8, max(1, (os.cpu_count() or 2) // 2))
    try:
        with ThreadPoolExecutor(num_threads) as pool:
            loaded = _map_ahead(pool, sources, processor, ahead=num_threads + batch_size)
            if sure_at is not None:
                yield from (_predict_until_sure(model, processor, clip, sure_at) for clip in loaded)
            while batch := list(itertools.islice(loaded, batch_size)):
                yield from _predict_batch(model, processor, batch)
    finally:
        model.train(was_training)


@dataclass(frozen=True)
class _LoadedClip:
    source: VideoSource
    frames: np.ndarray  # [T, H, W, 3]
    seconds: np.ndarray  # [T]
    pictures: np.ndarray  # [T, height, width, 3] uint8, in the size that the model reads


def _map_ahead(
    pool: ThreadPoolExecutor, sources: Iterable[VideoSource], processor: ResNetLSTMVideoProcessor, ahead: int
) -> Iterator[_LoadedClip | FailedClip]:
    waiting: deque[Future[_LoadedClip | FailedClip]] = deque()
    for number, source in enumerate(sources):
        # While the first clip is decoded the model has nothing to do, so it may take all cores.
        waiting.append(pool.submit(_load, source, processor, num_threads=1 if number else 0))
        if len(waiting) > ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _load(source: VideoSource, processor: ResNetLSTMVideoProcessor, num_threads: int) -> _LoadedClip | FailedClip:
    moments, shown, resized = [], [], []
    try:
        for seconds, picture in sample_video(source, processor.num_frames, num_threads=num_threads):
            moments.append(seconds)
            shown.append(_to_show(picture))
            resized.append(processor.resize_picture(picture))
    except VideoDecodingError as error:
        return FailedClip(source, str(error))
    return _LoadedClip(source, np.stack(shown), np.array(moments), np.stack(resized))


def _pixel_values(
    model: ResNetLSTMForVideoClassification, processor: ResNetLSTMVideoProcessor, pictures: list[np.ndarray]
) -> torch.Tensor:
    """The model's input `[B, T, C, height, width]`.

    It is made in the model's thread: PyTorch would give a thread that only decodes as many threads of its own as there
    are cores, and these would be in the model's way.
    """
    inputs = processor(pictures, do_sample_frames=False, return_tensors="pt")
    return inputs["pixel_values"].to(model.device)


def _to_show(picture: np.ndarray) -> np.ndarray:
    """A picture `[H, W, 3]`, shrunk to what a person needs to see."""
    shrink = max(picture.shape) / _LARGEST_SHOWN_PIXELS
    if shrink <= 1:
        return picture
    height, width = (max(1, round(side / shrink)) for side in picture.shape[:2])
    return np.array(Image.fromarray(picture).resize((width, height), reducing_gap=2.0))


@torch.inference_mode()
def _predict_batch(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    batch: list[_LoadedClip | FailedClip],
) -> Iterator[ClipPrediction | FailedClip]:
    loaded = [clip for clip in batch if isinstance(clip, _LoadedClip)]
    outputs = None
    if loaded:
        outputs = model(pixel_values=_pixel_values(model, processor, [clip.pictures for clip in loaded]))
    index = 0
    for clip in batch:
        if isinstance(clip, FailedClip):
            yield clip
            continue
        assert outputs is not None  # noqa: S101 - there is a loaded clip
        yield _prediction(clip, outputs, index, range(len(clip.seconds)))
        index += 1


@torch.inference_mode()
def _predict_until_sure(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    clip: _LoadedClip | FailedClip,
    sure_at: float,
) -> ClipPrediction | FailedClip:
    if isinstance(clip, FailedClip):
        return clip
    pictures = clip.pictures

    def read_frames(indices: list[int]) -> torch.Tensor:
        pixel_values = _pixel_values(model, processor, [pictures[indices]])
        return model.resnet_lstm.extract_frame_features(pixel_values)[0]

    reading = read_until_sure(model, read_frames, len(pictures), sure_at)
    return _prediction(clip, reading.outputs, 0, reading.indices)


def _prediction(
    clip: _LoadedClip, outputs: ResNetLSTMForVideoClassificationOutput, index: int, read: Sequence[int]
) -> ClipPrediction:
    """What the model's outputs say of a clip, the batch's `index`-th, of which it has read some frames."""
    known_score = outputs.known_score
    assert outputs.logits is not None and outputs.frame_logits is not None  # noqa: S101, PT018 - it always gives both
    return ClipPrediction(
        source=clip.source,
        logits=outputs.logits[index].float().cpu().numpy(),
        frame_logits=outputs.frame_logits[index].float().cpu().numpy(),
        frames=clip.frames[read],
        seconds=clip.seconds[read],
        known_score=None if known_score is None else float(known_score[index]),
    )
