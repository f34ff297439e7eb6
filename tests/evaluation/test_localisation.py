from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.evaluation.joined_videos import JoinedVideo, TrueSegment
from resnet_lstm.evaluation.localisation import evaluate_timelines, score_timelines
from resnet_lstm.inference import Segment, Timeline


def said(*segments: tuple[str | None, float, float, float]) -> Timeline:
    """A timeline of four frames a second with these segments."""
    num_frames = round(segments[-1][2] * 4)
    return Timeline(
        ["jump", "run"],
        4.0,
        (np.arange(num_frames) + 0.5) / 4,
        np.full((num_frames, 2), 0.5, np.float32),
        np.ones(num_frames, np.float32),
        [Segment(*segment) for segment in segments],
        [],
    )


def true(*segments: tuple[str | None, float, float], name: str = "000.mp4") -> JoinedVideo:
    return JoinedVideo(Path(name), tuple(TrueSegment(*segment) for segment in segments))


def test_figures_of_a_hand_made_case(tmp_path: Path) -> None:
    videos = [true(("jump", 0, 4), (None, 4, 8)), true(("run", 0, 4), ("jump", 4, 8), name="001.mp4")]
    timelines = [
        said(("jump", 0, 5, 0.9), (None, 5, 8, 0.6)),
        said(("run", 0, 1, 0.5), ("jump", 1, 8, 0.8)),
    ]
    report = score_timelines(videos, timelines, clip_accuracy=0.75)
    # Right: 4 + 3 of the first 8 seconds, 1 + 4 of the second 8.
    assert report.frame_accuracy.value == pytest.approx(12 / 16)
    assert report.known_frame_accuracy == pytest.approx(9 / 12)
    assert report.unknown_frame_accuracy == pytest.approx(3 / 4)
    # At IoU 0.5 `jump` is found at 4/5 and at 4/7; `run` is not, at 1/4.
    assert report.average_precision[0.5] == {"jump": 1.0, "run": 0.0}
    assert report.mean_average_precision() == 0.5
    assert report.average_precision[0.7] == {"jump": 0.5, "run": 0.0}
    assert report.frame_accuracy.low <= 0.75 <= report.frame_accuracy.high

    report.write(tmp_path)
    content = json.loads((tmp_path / "localisation.json").read_text())
    assert content["frame_accuracy"]["value"] == pytest.approx(0.75)
    assert content["mean_average_precision"]["0.5"] == 0.5
    rows = list(csv.DictReader((tmp_path / "localisation.csv").read_text().splitlines()))
    assert [row["kind"] for row in rows] == ["true", "true", "predicted", "predicted"] * 2
    assert Image.open(tmp_path / "localisation.png").size[0] > 500
    assert "segment mAP at IoU 0.5    50.0 %" in report.summary()


def test_without_unknown_moments_their_figure_is_none() -> None:
    report = score_timelines([true(("jump", 0, 2))], [said(("jump", 0, 2, 0.9))], clip_accuracy=1.0)
    assert report.unknown_frame_accuracy is None
    assert report.frame_accuracy.value == 1
    assert "no known action" not in report.summary()


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ValueError, match="no joined video"):
        score_timelines([], [], clip_accuracy=1.0)


def test_a_model_is_scored_on_videos(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path
) -> None:
    path = write_video(tmp_path / "000.mp4", [np.zeros((48, 64, 3), np.uint8)] * 50)
    video = JoinedVideo(path, (TrueSegment("jump", 0, 1), TrueSegment(None, 1, 2)))
    report = evaluate_timelines(tiny_model, tiny_processor, [video], clip_accuracy=0.5, fps=10, min_score=0.999)
    assert report.frame_accuracy.value == pytest.approx(0.5)
    assert report.unknown_frame_accuracy == 1
