from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from resnet_lstm.evaluation import plot_timeline
from resnet_lstm.evaluation.timeline_plots import plot_localisation
from resnet_lstm.inference import Segment, Thumbnail, Timeline


def test_a_timeline_is_drawn_with_its_thumbnails(tmp_path: Path) -> None:
    segments = [Segment("jump", 0, 40, 0.9), Segment(None, 40, 60, 0.7), Segment("run", 60, 100, 0.8)]
    red = np.full((90, 160, 3), (255, 0, 0), np.uint8)
    timeline = Timeline(
        ["jump", "run"],
        1.0,
        np.arange(100) + 0.5,
        np.full((100, 2), 0.5, np.float32),
        np.ones(100),
        segments,
        [Thumbnail(10.0 * number, red) for number in range(10)],
    )
    picture = np.asarray(Image.open(plot_timeline(tmp_path / "timeline.png", timeline, title="video.mp4")))[..., :3]
    is_red = (picture == (255, 0, 0)).all(axis=-1)
    assert is_red.mean() > 0.1
    assert is_red.nonzero()[0].max() < picture.shape[0] / 2


def test_a_timeline_of_nothing_known_is_drawn(tmp_path: Path) -> None:
    scores = np.full((1, 2), 0.5, np.float32)
    timeline = Timeline(["a", "b"], 2.0, np.array([0.25]), scores, np.ones(1), [Segment(None, 0, 0.5, 0.5)], [])
    assert plot_timeline(tmp_path / "timeline.png", timeline).is_file()


def test_many_videos_and_classes_are_drawn(tmp_path: Path) -> None:
    labels = [f"class {number}" for number in range(40)]
    rows = [(f"{number:03}", [(labels[number], 0.0, 5.0), (None, 5.0, 9.0)]) for number in range(40) for _ in range(2)]
    path = plot_localisation(tmp_path / "localisation.png", rows, dict.fromkeys(labels, 0.5))
    width, height = Image.open(path).size
    assert max(width, height) < 4000
