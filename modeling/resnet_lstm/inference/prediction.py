"""Video files -> predictions, many at a time; a broken file costs only itself."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from ..configuration_resnet_lstm import ResNetLSTMConfig
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
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMForVideoClassificationOutput
from ..video_damage import Damage
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..video_sources import VideoSource
from .anytime import read_until_sure
from .notebook_view import answers_and_frames


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
        damage: What of the file is missing or was found broken; what is said is of the frames that are there.
        id2label: The names of the labels; without, a notebook shows their numbers.
    """

    source: VideoSource
    logits: np.ndarray
    frame_logits: np.ndarray
    frames: np.ndarray
    seconds: np.ndarray
    known_score: float | None = None
    damage: Damage = field(default_factory=Damage)
    id2label: Mapping[int, str] = field(default_factory=dict)

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

    def is_unknown(self, config: ResNetLSTMConfig) -> bool:
        """Whether the clip is to be taken for none of the actions of a model with this configuration."""
        return is_unknown(self.top_k(1)[0], self.known_score, config)

    def _repr_html_(self) -> str:
        """What a notebook shows of it: the five best answers, and the frames with their shares in the first."""
        answers = [(self.id2label.get(label, str(label)), float(self.scores[label])) for label in self.top_k(5)]
        named = isinstance(self.source, str | os.PathLike)
        title = Path(str(self.source)).name if named else "clip"
        known = self.known_score
        note = "" if known is None else f"How probable it is that one of these actions is shown at all: {known:.0%}."
        return answers_and_frames(title, answers, self.frames, self.frame_shares(), self.seconds, note)


def is_unknown(
    best_label: int, known_score: float | None, config: ResNetLSTMConfig, min_known: float | None = None
) -> bool:
    """Whether none of a model's actions is to be taken for there.

    Args:
        best_label: The id of the best answer.
        known_score: How probable it is that one of the actions is there; None where the model does not tell.
        config: The model's.
        min_known: Below it none is; by default the model's `known_threshold`.
    """
    min_known = config.known_threshold if min_known is None else min_known
    is_below = known_score is not None and min_known is not None and known_score < min_known
    return is_below or best_label == config.background_label_id


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
    batch_size: int | None = None,
    num_workers: int | None = None,
    anytime: bool = False,
) -> Iterator[ClipPrediction | FailedClip]:
    """Classify clips in their order. Clips are decoded ahead of the model, a bounded number of them at a time.

    Args:
        model: On the device where it shall run.
        processor: Makes the model's input.
        sources: Paths, URLs, bytes or binary file objects; the latter only without workers.
        batch_size: Clips that pass the model together, by default as the device wants it.
        num_workers: Processes that decode, by default one for each core; for a CPU none, where the cores decode and
            compute in turns.
        anytime: Read each clip only as far as it takes to be sure, see `read_until_sure`. Clips then pass one by one.

    Raises:
        ValueError: `anytime`, but the model does not say when it is sure.
    """
    sure_at = model.config.early_exit_score if anytime else None
    if anytime and sure_at is None:
        raise ValueError("anytime: this model has no early_exit_score; it was trained without validation clips.")
    was_training = model.training
    model.eval()
    batch_size = default_batch_size(model.device) if batch_size is None else batch_size
    num_workers = default_num_workers(model.device) if num_workers is None else num_workers
    if sure_at is not None:
        batch_size = 1
    feeder = DeviceFeeder(processor, model.device)
    requested, sources = itertools.tee(sources)
    requests = (PictureRequest(source, to_show=True) for source in requested)
    try:
        for batch in load_batches(processor, requests, batch_size=batch_size, num_workers=num_workers):
            named = list(zip(itertools.islice(sources, len(batch)), batch, strict=True))
            if sure_at is None:
                yield from _predict_batch(model, feeder, named)
            else:
                yield from (_predict_until_sure(model, feeder, source, clip, sure_at) for source, clip in named)
    finally:
        model.train(was_training)


@torch.inference_mode()
def read_pictures(
    model: ResNetLSTMForVideoClassification, processor: ResNetLSTMVideoProcessor, clip: ClipPictures
) -> torch.Tensor:
    """What the model makes of a clip's frames, `[T, D]` on its device.

    Args:
        model: On the device where it shall run, in evaluation mode.
        processor: Makes the model's input.
        clip: Its pictures.
    """
    pixel_values = DeviceFeeder(processor, model.device).pixel_values([clip.pictures])
    return HalvingBatches(model.resnet_lstm.extract_frame_features)(pixel_values)[0]


@torch.inference_mode()
def predict_features(
    model: ResNetLSTMForVideoClassification, source: VideoSource, clip: ClipPictures, frame_features: torch.Tensor
) -> ClipPrediction:
    """Classify a clip whose frames are read already.

    Args:
        model: In evaluation mode.
        source: What the clip is called.
        clip: Its pictures, with those to show.
        frame_features: `[T, D]`, what the model makes of them.
    """
    outputs = model(frame_features=frame_features[None].to(model.device))
    return _prediction(model, source, clip, outputs, 0, range(len(clip.seconds)))


@torch.inference_mode()
def _predict_batch(
    model: ResNetLSTMForVideoClassification,
    feeder: DeviceFeeder,
    batch: list[tuple[VideoSource, ClipPictures | UnreadableClip]],
) -> list[ClipPrediction | FailedClip]:
    pictures = [clip.pictures for _, clip in batch if isinstance(clip, ClipPictures)]
    outputs = None
    if pictures:
        compute = HalvingBatches(model.resnet_lstm.extract_frame_features)
        outputs = model(frame_features=compute(feeder.pixel_values(pictures)))
    answers: list[ClipPrediction | FailedClip] = []
    index = 0
    for source, clip in batch:
        if isinstance(clip, UnreadableClip):
            answers.append(FailedClip(source, clip.error))
            continue
        assert outputs is not None  # noqa: S101 - there is a clip
        answers.append(_prediction(model, source, clip, outputs, index, range(len(clip.seconds))))
        index += 1
    return answers


@torch.inference_mode()
def _predict_until_sure(
    model: ResNetLSTMForVideoClassification,
    feeder: DeviceFeeder,
    source: VideoSource,
    clip: ClipPictures | UnreadableClip,
    sure_at: float,
) -> ClipPrediction | FailedClip:
    if isinstance(clip, UnreadableClip):
        return FailedClip(source, clip.error)
    pictures = clip.pictures

    def read_frames(indices: list[int]) -> torch.Tensor:
        return model.resnet_lstm.extract_frame_features(feeder.pixel_values([pictures[indices]]))[0]

    reading = read_until_sure(model, read_frames, len(pictures), sure_at)
    return _prediction(model, source, clip, reading.outputs, 0, reading.indices)


def _prediction(
    model: ResNetLSTMForVideoClassification,
    source: VideoSource,
    clip: ClipPictures,
    outputs: ResNetLSTMForVideoClassificationOutput,
    index: int,
    read: Sequence[int],
) -> ClipPrediction:
    """What the model's outputs say of a clip, the batch's `index`-th, of which it has read some frames."""
    known_score = outputs.known_score
    assert outputs.logits is not None and outputs.frame_logits is not None  # noqa: S101, PT018 - it always gives both
    assert clip.shown is not None  # noqa: S101 - it was asked for
    return ClipPrediction(
        source=source,
        logits=outputs.logits[index].float().cpu().numpy(),
        frame_logits=outputs.frame_logits[index].float().cpu().numpy(),
        frames=clip.shown.numpy()[read],
        seconds=clip.seconds[read],
        known_score=None if known_score is None else float(known_score[index]),
        damage=clip.damage,
        id2label=model.config.id2label,
    )
