"""A long video -> what happens in it, and when.

Frames are read at a steady rate, each passes the backbone once, and windows of `num_frames` slide over their features,
see `Moments`. From the moments' scores the segments follow by Viterbi's algorithm: the path through all moments that
balances the actions' scores against a price for each change.
"""

from __future__ import annotations

import bisect
import csv
import itertools
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from PIL import Image

from ..feeding import DeviceFeeder, default_batch_size
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..plain_text import csv_cell
from ..video_damage import Damage
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..video_sources import VideoSource
from ..whole_file import written_whole
from .frame_reader import OpenFrames, TimedFrame, open_frames, training_rate
from .moments import Moments
from .segmentation import most_likely_path, runs

# Seconds that have been read, and the video's duration where its header tells.
Progress: TypeAlias = Callable[[float, float | None], None]

NO_KNOWN_ACTION = "no known action"

# No single moment may outweigh all others.
_LEAST = 1e-4

_MAX_THUMBNAILS = 24
_THUMBNAIL_SIZE = (160, 120)


@dataclass(frozen=True)
class Segment:
    """A stretch of one action.

    Attributes:
        label: The action; None where none that is known happens.
        start_seconds: Its start.
        end_seconds: Its end.
        score: The action's mean score over the stretch, times how probable a known one is; where none is known, what
            the best action's falls short of 1.
    """

    label: str | None
    start_seconds: float
    end_seconds: float
    score: float

    @property
    def name(self) -> str:
        """The label, or words for there being none."""
        return self.label or NO_KNOWN_ACTION


@dataclass(frozen=True)
class Thumbnail:
    """A small picture of a moment.

    Attributes:
        seconds: The moment.
        picture: `[H, W, 3]` uint8, at most 160 by 120 pixels.
    """

    seconds: float
    picture: np.ndarray


@dataclass(frozen=True)
class Timeline:
    """What happens in a video, and when.

    Attributes:
        label_names: `[L]`.
        fps: Frames a second that were looked at.
        seconds: `[F]`, the moment of each.
        scores: `[F, L]` float32, the actions' scores at each moment, which sum to 1.
        known: `[F]` float32, how probable it is at each moment that it shows one of the actions at all; 1 where the
            model does not tell.
        segments: In order of time, without gaps.
        thumbnails: In order of time, evenly over the video, a bounded number.
        damage: What of the file is missing or broken; its gaps show the frame before them.
    """

    label_names: list[str]
    fps: float
    seconds: np.ndarray
    scores: np.ndarray
    known: np.ndarray
    segments: list[Segment]
    thumbnails: list[Thumbnail]
    damage: Damage = field(default_factory=Damage)

    @property
    def total_seconds(self) -> float:
        """Where the last segment ends."""
        return self.segments[-1].end_seconds

    def segment_at(self, seconds: float) -> Segment:
        """The segment at a moment; the first or last one before or after all."""
        index = bisect.bisect_right(self.segments, seconds, key=lambda segment: segment.end_seconds)
        return self.segments[min(index, len(self.segments) - 1)]

    def to_dict(self) -> dict[str, Any]:
        """The segments and the moments' scores, ready for JSON."""
        return {
            "fps": self.fps,
            "seconds": round(self.total_seconds, 3),
            "damaged_frames": self.damage.num_damaged,
            "total_frames": self.damage.num_frames,
            "segments": [
                {
                    "label": segment.label,
                    "start": round(segment.start_seconds, 3),
                    "end": round(segment.end_seconds, 3),
                    "score": round(segment.score, 6),
                }
                for segment in self.segments
            ],
            "labels": self.label_names,
            "moments": [
                {
                    "seconds": round(float(seconds), 3),
                    "known": round(float(known), 4),
                    "scores": [round(float(score), 4) for score in scores],
                }
                for seconds, known, scores in zip(self.seconds, self.known, self.scores, strict=True)
            ],
        }

    def write_json(self, path: str | Path) -> None:
        """Write all of `to_dict`."""
        with written_whole(Path(path)) as temporary:
            temporary.write_text(json.dumps(self.to_dict(), ensure_ascii=False) + "\n", encoding="utf-8")

    def write_csv(self, path: str | Path) -> None:
        """Write one row a segment: `action,start,end,score`; the action is empty where none is known."""
        with written_whole(Path(path)) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["action", "start", "end", "score"])
            for row in self.to_dict()["segments"]:
                writer.writerow([csv_cell(row["label"] or ""), row["start"], row["end"], row["score"]])


def label_timeline(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    source: VideoSource,
    *,
    fps: float | None = None,
    min_score: float = 0.2,
    min_known: float | None = None,
    switch_cost: float = 0.3,
    batch_size: int | None = None,
    progress: Progress | None = None,
    reader: Callable[[Any, float], AbstractContextManager[OpenFrames]] = open_frames,
) -> Timeline:
    """Say what happens in a video at every moment. Memory grows with its length only by `L` numbers a frame.

    Args:
        model: On the device where it shall run; it is put into evaluation mode.
        processor: Makes the model's input.
        source: A path, an http(s) URL, the file's bytes, or a binary file object.
        fps: Frames a second to look at; by default those of the training clips. At a higher rate a window takes
            every second or third frame, so that its frames are still about as far apart as those that the model was
            trained on; a lower rate shows it larger changes than it knows.
        min_score: An action below this score is none that is known.
        min_known: Nor is any where it is less probable than this that one of the actions is there at all; by default
            the `known_threshold` of the model.
        switch_cost: What a change of action costs, in nats of a clip's log-score: the higher, the longer the segments.
        batch_size: Frames that pass the backbone together; by default those of as many clips as the device wants.
        progress: Called after each batch.
        reader: Opens the source at a rate; `open_frames_apart` does so in a process of its own.

    Raises:
        VideoDecodingError: The source is missing, is no video, or no frame of it can be decoded.
        ValueError: A number is out of its range.
    """
    if min_known is None:
        min_known = model.config.known_threshold or _LEAST
    for name, value in (("min_score", min_score), ("min_known", min_known)):
        if not 0 < value < 1:
            raise ValueError(f"{name}={value}: must be between 0 and 1.")
    if switch_cost < 0:
        raise ValueError(f"switch_cost={switch_cost}: must be 0 or more.")
    model.eval()
    trained_at = training_rate(model.config)
    fps = trained_at if fps is None else fps
    num_frames, stride = model.config.num_frames, max(1, round(fps / trained_at))
    moments = Moments(model, stride)
    thumbnails = _Thumbnails()
    if batch_size is None:
        batch_size = default_batch_size(model.device) * num_frames
    feeder = DeviceFeeder(processor, model.device)
    seconds: list[float] = []
    with reader(source, fps) as frames, torch.inference_mode():
        for batch in batches_ahead(iter(frames), batch_size):
            seconds.extend(frame.seconds for frame in batch)
            thumbnails.add(batch)
            pictures = torch.stack([torch.from_numpy(processor.resize_picture(frame.picture)) for frame in batch])
            moments.add(model.resnet_lstm.extract_frame_features(feeder.pixel_values([pictures]))[0])  # [N, D]
            if progress is not None:
                progress(seconds[-1], frames.total_seconds)
        scores, known = moments.finish()
    label_names = [model.config.id2label[label] for label in range(model.config.num_labels)]
    actions = _of_actions(scores, model.config.background_label_id)
    states = _with_none(actions, known, min_score, min_known)
    path = most_likely_path(states, switch_cost * num_frames * stride)
    segments = _segments(path, actions, known, label_names, fps)
    return Timeline(label_names, fps, np.array(seconds), scores, known, segments, thumbnails.kept, frames.damage)


def batches_ahead(frames: Iterator[TimedFrame], batch_size: int) -> Iterator[list[TimedFrame]]:
    """Batches of frames; while one is looked at, the next is decoded, and no more."""
    with ThreadPoolExecutor(1) as decoder:

        def read() -> list[TimedFrame]:
            return list(itertools.islice(frames, batch_size))

        coming = decoder.submit(read)
        while batch := coming.result():
            coming = decoder.submit(read)
            yield batch


class _Thumbnails:
    """Small pictures, evenly over all frames so far: when there are too many, every other one goes."""

    def __init__(self) -> None:
        self.kept: list[Thumbnail] = []
        self._every = 1
        self._num_seen = 0

    def add(self, frames: list[TimedFrame]) -> None:
        for frame in frames:
            if self._num_seen % self._every == 0:
                image = Image.fromarray(frame.picture)
                image.thumbnail(_THUMBNAIL_SIZE)
                self.kept.append(Thumbnail(frame.seconds, np.asarray(image)))
                if len(self.kept) > _MAX_THUMBNAILS:
                    self.kept = self.kept[::2]
                    self._every *= 2
            self._num_seen += 1


def _of_actions(scores: np.ndarray, background: int | None) -> np.ndarray:
    """Scores `[F, L]` in which that of the background, which is no action, is 0."""
    if background is None:
        return scores
    return np.where(np.arange(scores.shape[1]) == background, 0, scores)


def _with_none(scores: np.ndarray, known: np.ndarray, min_score: float, min_known: float) -> np.ndarray:
    """`[F, L + 1]`: log-odds of each action against there being none that is known, and of that one, the last.

    The last is the best where `known` is below `min_known`, and where all `scores` are below `min_score`.
    """
    known_odds = _logit(known)
    actions = np.log(np.maximum(scores, _LEAST)) + known_odds[:, None]
    none_known = np.maximum(np.log(min_known) - np.log1p(-min_known), np.log(min_score) + known_odds)
    return np.concatenate([actions, none_known[:, None]], axis=1)


def _logit(probability: np.ndarray) -> np.ndarray:
    clipped = np.clip(probability, _LEAST, 1 - _LEAST)
    return np.log(clipped) - np.log1p(-clipped)


def _segments(
    path: np.ndarray, scores: np.ndarray, known: np.ndarray, label_names: list[str], fps: float
) -> list[Segment]:
    scores = scores * known[:, None]
    segments = []
    for part in runs(path):
        label = int(path[part.start])
        is_known = label < len(label_names)
        score = scores[part, label].mean() if is_known else 1 - scores[part].max(axis=1).mean()
        segments.append(
            Segment(label_names[label] if is_known else None, part.start / fps, part.stop / fps, float(score))
        )
    return segments
