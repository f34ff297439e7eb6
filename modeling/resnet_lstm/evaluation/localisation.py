"""How well a model says what happens in a long video, and when."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..inference import Timeline, label_timeline
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..whole_file import written_whole
from .average_precision import ScoredSegment, average_precision_by_class
from .intervals import Interval
from .joined_videos import JoinedVideo
from .timeline_plots import plot_localisation

IOUS = (0.3, 0.5, 0.7)
_NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class LocalisationReport:
    """The figures of a model on joined videos, each a fraction between 0 and 1 unless it says otherwise.

    Attributes:
        videos: The videos and the truth about them.
        timelines: What the model said of each.
        frame_accuracy: The part of all moments whose label is right, "no known action" being one of the labels. The
            interval resamples whole videos.
        known_frame_accuracy: The same over the moments of known actions.
        unknown_frame_accuracy: The same over the moments of none; None where there are none.
        average_precision: By IoU, then by class.
        clip_accuracy: Top-1 of the model on the same clips of known actions, one by one, for comparison.
    """

    videos: list[JoinedVideo]
    timelines: list[Timeline]
    frame_accuracy: Interval
    known_frame_accuracy: float
    unknown_frame_accuracy: float | None
    average_precision: dict[float, dict[str, float]]
    clip_accuracy: float

    def mean_average_precision(self, min_iou: float = 0.5) -> float:
        """The mean over the classes at one of `IOUS`."""
        return float(np.mean(list(self.average_precision[min_iou].values())))

    def to_dict(self) -> dict[str, Any]:
        """The figures, ready for JSON."""
        return {
            "videos": len(self.videos),
            "seconds": round(sum(video.segments[-1].end_seconds for video in self.videos), 2),
            "true_segments": sum(len(video.segments) for video in self.videos),
            "fps": self.timelines[0].fps,
            "frame_accuracy": self.frame_accuracy.to_dict(),
            "known_frame_accuracy": self.known_frame_accuracy,
            "unknown_frame_accuracy": self.unknown_frame_accuracy,
            "clip_accuracy": self.clip_accuracy,
            "mean_average_precision": {f"{iou}": self.mean_average_precision(iou) for iou in IOUS},
            "average_precision": {f"{iou}": by_class for iou, by_class in self.average_precision.items()},
        }

    def summary(self) -> str:
        """The figures for a reader."""
        low, high = 100 * self.frame_accuracy.low, 100 * self.frame_accuracy.high
        lines = [
            f"{len(self.videos)} joined videos, {self.timelines[0].fps:.2f} frames a second",
            f"frame accuracy           {100 * self.frame_accuracy.value:5.1f} %  [{low:.1f}, {high:.1f}]",
            f"  of known actions       {100 * self.known_frame_accuracy:5.1f} %",
        ]
        if self.unknown_frame_accuracy is not None:
            lines.append(f"  of no known action     {100 * self.unknown_frame_accuracy:5.1f} %")
        lines.append(f"accuracy on single clips {100 * self.clip_accuracy:5.1f} %")
        lines.extend(f"segment mAP at IoU {iou}   {100 * self.mean_average_precision(iou):5.1f} %" for iou in IOUS)
        return "\n".join(lines)

    def write(self, directory: Path) -> None:
        """Write localisation.json, localisation.csv (all segments, true and predicted) and localisation.png."""
        directory.mkdir(parents=True, exist_ok=True)
        with written_whole(directory / "localisation.json") as temporary:
            temporary.write_text(json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        with (
            written_whole(directory / "localisation.csv") as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["video", "kind", "action", "start", "end", "score"])
            for video, timeline in zip(self.videos, self.timelines, strict=True):
                name = video.path.name
                for true in video.segments:
                    writer.writerow([name, "true", true.label or "", true.start_seconds, true.end_seconds, ""])
                for segment in timeline.to_dict()["segments"]:
                    row = [segment["label"] or "", segment["start"], segment["end"], segment["score"]]
                    writer.writerow([name, "predicted", *row])
        title = (
            f"frame accuracy {100 * self.frame_accuracy.value:.1f} %, "
            f"segment mAP@0.5 {100 * self.mean_average_precision():.1f} %"
        )
        rows = [
            (video.path.stem, [(s.label, s.start_seconds, s.end_seconds) for s in segments])
            for video, timeline in zip(self.videos, self.timelines, strict=True)
            for segments in (video.segments, timeline.segments)
        ]
        plot_localisation(directory / "localisation.png", rows, self.average_precision[0.5], title=title)


def evaluate_timelines(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    videos: Sequence[JoinedVideo],
    *,
    clip_accuracy: float,
    fps: float | None = None,
    **options: float,
) -> LocalisationReport:
    """Label joined videos, and score what comes out.

    Args:
        model: The model.
        processor: Its processor.
        videos: From `join_clips`.
        clip_accuracy: Top-1 of the model on the clips of known actions, to stand beside it.
        fps: As in `label_timeline`.
        **options: `min_score`, `min_known` and `switch_cost` of `label_timeline`.
    """
    timelines = [
        label_timeline(model, processor, video.path, fps=fps, **options)  # type: ignore[arg-type]
        for video in tqdm(videos, desc="labelling", unit="video")
    ]
    return score_timelines(videos, timelines, clip_accuracy=clip_accuracy)


def score_timelines(
    videos: Sequence[JoinedVideo], timelines: Sequence[Timeline], *, clip_accuracy: float
) -> LocalisationReport:
    """Score the timelines of joined videos, one of each.

    Raises:
        ValueError: There is none.
    """
    if not videos:
        raise ValueError("there is no joined video to score.")
    right_by_video, known_by_video = [], []
    for video, timeline in zip(videos, timelines, strict=True):
        true = [video.label_at(seconds) for seconds in timeline.seconds]
        said = [timeline.segment_at(seconds).label for seconds in timeline.seconds]
        right_by_video.append(np.array([a == b for a, b in zip(true, said, strict=True)]))
        known_by_video.append(np.array([label is not None for label in true]))
    right, known = np.concatenate(right_by_video), np.concatenate(known_by_video)
    true_segments = [
        ScoredSegment(number, segment.label, segment.start_seconds, segment.end_seconds)
        for number, video in enumerate(videos)
        for segment in video.segments
        if segment.label is not None
    ]
    found = [
        ScoredSegment(number, segment.label, segment.start_seconds, segment.end_seconds, segment.score)
        for number, timeline in enumerate(timelines)
        for segment in timeline.segments
        if segment.label is not None
    ]
    return LocalisationReport(
        videos=list(videos),
        timelines=list(timelines),
        frame_accuracy=_accuracy_over_videos(right_by_video),
        known_frame_accuracy=float(right[known].mean()),
        unknown_frame_accuracy=None if known.all() else float(right[~known].mean()),
        average_precision={iou: average_precision_by_class(found, true_segments, min_iou=iou) for iou in IOUS},
        clip_accuracy=clip_accuracy,
    )


def _accuracy_over_videos(right_by_video: list[np.ndarray]) -> Interval:
    """The accuracy over all moments, and its percentile bootstrap interval (95 %) over whole videos."""
    sums = np.array([[right.sum(), len(right)] for right in right_by_video], float)  # [V, 2]
    num_videos = len(sums)
    value = sums[:, 0].sum() / sums[:, 1].sum()
    if num_videos == 1:
        return Interval(float(value), 0.0, 1.0, groups=1)
    draws = np.random.default_rng(0).integers(num_videos, size=(_NUM_RESAMPLES, num_videos))
    drawn = sums[draws].sum(axis=1)  # [R, 2]
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return Interval(float(value), float(low), float(high), groups=num_videos)
