from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import numbered_frames
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor, VideoDecodingError
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.inference import Segment, TimedFrame, Timeline, label_timeline
from resnet_lstm.inference.timeline import batches_ahead
from resnet_lstm.known_score import KnownScore

LABELS = ["jump", "run", "swim"]


def brightness_features(frames: torch.Tensor) -> torch.Tensor:
    """A backbone that tells dark, grey and bright frames apart: `[N, C, height, width]` -> `[N, 40]`."""
    third = ((frames.mean(dim=(1, 2, 3)) + 2.2) / 4.8 * 3).long().clamp(0, 2)
    return torch.nn.functional.one_hot(third, 40).float() * 10


@pytest.fixture
def brightness_model(tiny_model: ResNetLSTMForVideoClassification) -> ResNetLSTMForVideoClassification:
    """Dark frames are `jump`, grey ones `run` and bright ones `swim`; trained at 5 frames a second."""
    tiny_model.config.frames_per_second = 5.0
    tiny_model.compile_for_inference(brightness_features)
    weight = torch.zeros(3, tiny_model.config.hidden_size)
    weight[[0, 1, 2], [0, 1, 2]] = 1.0
    tiny_model.set_classifier(weight, torch.zeros(3))
    assert tiny_model.lstm_classifier is not None
    tiny_model.lstm_classifier.weight.data.zero_()
    return tiny_model


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """Writes a video at 25 fps of stretches of one brightness: `video((0, 3), (255, 2))` is dark, then bright."""

    def write(*stretches: tuple[int, float], name: str = "video.mp4") -> Path:
        frames = (
            np.full((48, 64, 3), value, np.uint8) for value, seconds in stretches for _ in range(round(25 * seconds))
        )
        return write_video(tmp_path / name, frames)

    return write


def test_segments_are_found_where_they_are(
    brightness_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    video: Callable[..., Path],
) -> None:
    timeline = label_timeline(brightness_model, tiny_processor, video((0, 4), (255, 3), (128, 5)))
    assert [segment.label for segment in timeline.segments] == ["jump", "swim", "run"]
    edges = [(segment.start_seconds, segment.end_seconds) for segment in timeline.segments]
    np.testing.assert_allclose(edges, [(0, 4), (4, 7), (7, 12)], atol=0.21)
    assert timeline.fps == 5
    assert timeline.scores.shape == (60, 3)
    np.testing.assert_allclose(timeline.seconds, (np.arange(60) + 0.5) / 5)
    np.testing.assert_allclose(timeline.scores.sum(axis=1), 1, atol=1e-5)
    assert timeline.segment_at(5.0).label == "swim"
    assert timeline.segment_at(99.0).label == "run"


def test_a_flicker_is_no_segment_unless_changes_are_free(
    brightness_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    video: Callable[..., Path],
) -> None:
    path = video((0, 3), (255, 0.2), (0, 3))
    assert [s.label for s in label_timeline(brightness_model, tiny_processor, path).segments] == ["jump"]
    free = label_timeline(brightness_model, tiny_processor, path, switch_cost=0, min_score=0.01)
    assert [s.label for s in free.segments] == ["jump", "swim", "jump"]


def test_every_frame_passes_the_backbone_once(
    brightness_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    video: Callable[..., Path],
) -> None:
    batches = []

    def counted(frames: torch.Tensor) -> torch.Tensor:
        batches.append(len(frames))
        return brightness_features(frames)

    brightness_model.compile_for_inference(counted)
    never_still = video(*((40 + 4 * number, 0.2) for number in range(45)))
    label_timeline(brightness_model, tiny_processor, never_still, batch_size=4)
    assert batches == [4] * 11 + [1]


def test_at_a_higher_rate_windows_keep_the_trained_distance(
    brightness_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    video: Callable[..., Path],
) -> None:
    path = video((0, 4), (255, 4))
    lengths = []
    brightness_model.resnet_lstm.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(kwargs["frame_features"].shape[1]), with_kwargs=True
    )
    timeline = label_timeline(brightness_model, tiny_processor, path, fps=15)
    assert [segment.label for segment in timeline.segments] == ["jump", "swim"]
    assert timeline.segments[0].end_seconds == pytest.approx(4, abs=0.1)
    # A window of six frames 0.2 s apart is 1 s of the video, at any rate.
    assert set(lengths) == {6}
    assert len(timeline.scores) == 120


def test_what_scores_low_or_is_not_known_is_no_known_action(
    brightness_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    video: Callable[..., Path],
) -> None:
    path = video((0, 4), (255, 4))
    nothing = label_timeline(brightness_model, tiny_processor, path, min_score=0.9999)
    assert [(s.label, s.name) for s in nothing.segments] == [(None, "no known action")]
    assert nothing.known.tolist() == [1.0] * 40  # this model does not tell

    known_score = KnownScore(brightness_model.config.hidden_size, 3)
    known_score.sign_means[:, LABELS.index("jump")] = 10.0  # no clip of it is so sure
    known_score.sign_means[:, LABELS.index("swim")] = -10.0
    brightness_model.set_known_score(known_score, 0.5)
    timeline = label_timeline(brightness_model, tiny_processor, path)
    assert [segment.label for segment in timeline.segments] == [None, "swim"]
    assert timeline.segments[1].start_seconds == pytest.approx(4, abs=0.6)
    assert all(0 <= segment.score <= 1 for segment in timeline.segments)
    everything = label_timeline(brightness_model, tiny_processor, path, min_known=1e-6)
    assert [segment.label for segment in everything.segments] == ["jump", "swim"]


def test_the_background_is_no_known_action(
    brightness_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    video: Callable[..., Path],
) -> None:
    brightness_model.config.background_label_id = LABELS.index("jump")
    timeline = label_timeline(brightness_model, tiny_processor, video((0, 4), (255, 4)))
    assert [segment.label for segment in timeline.segments] == [None, "swim"]
    assert timeline.segments[0].score > 0.9


def test_a_single_frame_is_a_timeline(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path
) -> None:
    clip = write_video(tmp_path / "one.mp4", numbered_frames(1))
    timeline = label_timeline(tiny_model, tiny_processor, clip)
    assert len(timeline.segments) == len(timeline.scores) == 1


def test_progress_tells_seconds_and_the_duration(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    video: Callable[..., Path],
) -> None:
    calls: list[tuple[float, float | None]] = []
    label_timeline(
        tiny_model, tiny_processor, video((0, 4)), fps=4, batch_size=4, progress=lambda *call: calls.append(call)
    )
    assert [seconds for seconds, _ in calls] == pytest.approx([0.875, 1.875, 2.875, 3.875])
    assert {total for _, total in calls} == {4.0}


def test_thumbnails_are_few_and_small_however_long_the_video(
    brightness_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    video: Callable[..., Path],
) -> None:
    timeline = label_timeline(brightness_model, tiny_processor, video((0, 8), (255, 8)), fps=10)
    assert 12 <= len(timeline.thumbnails) <= 24
    gaps = np.diff([thumbnail.seconds for thumbnail in timeline.thumbnails])
    np.testing.assert_allclose(gaps, gaps[0])
    assert all(max(thumbnail.picture.shape[:2]) <= 160 for thumbnail in timeline.thumbnails)
    assert timeline.thumbnails[0].picture.mean() < 10 < 245 < timeline.thumbnails[-1].picture.mean()


def test_frames_are_decoded_only_a_batch_ahead() -> None:
    num_decoded = 0

    def decoded() -> Iterator[TimedFrame]:
        nonlocal num_decoded
        for number in range(101):
            num_decoded += 1
            yield TimedFrame(number, np.zeros((2, 2, 3), np.uint8))

    num_seen = 0
    for batch in batches_ahead(decoded(), 4):
        num_seen += len(batch)
        assert num_decoded <= num_seen + 4
    assert num_seen == 101


def test_files_hold_the_segments(tmp_path: Path) -> None:
    timeline = Timeline(
        LABELS,
        2.0,
        np.array([0.25, 0.75]),
        np.array([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]], np.float32),
        np.array([0.9, 0.1]),
        [Segment("jump", 0.0, 0.5, 0.5), Segment(None, 0.5, 1.0, 0.4)],
        [],
    )
    timeline.write_csv(tmp_path / "timeline.csv")
    rows = list(csv.DictReader((tmp_path / "timeline.csv").read_text().splitlines()))
    assert rows == [
        {"action": "jump", "start": "0.0", "end": "0.5", "score": "0.5"},
        {"action": "", "start": "0.5", "end": "1.0", "score": "0.4"},
    ]
    timeline.write_json(tmp_path / "timeline.json")
    content = json.loads((tmp_path / "timeline.json").read_text())
    assert content["segments"][1] == {"label": None, "start": 0.5, "end": 1.0, "score": 0.4}
    assert content["moments"][1] == {"seconds": 0.75, "known": 0.1, "scores": [0.2, 0.2, 0.6]}
    assert content["seconds"] == 1.0


def test_errors_name_the_value_and_the_rule(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path
) -> None:
    with pytest.raises(VideoDecodingError, match="no such file"):
        label_timeline(tiny_model, tiny_processor, "none.mp4")
    with pytest.raises(ValueError, match=r"min_score=1\.5"):
        label_timeline(tiny_model, tiny_processor, numbered_clip, min_score=1.5)
    with pytest.raises(ValueError, match="switch_cost=-1"):
        label_timeline(tiny_model, tiny_processor, numbered_clip, switch_cost=-1)
