from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from resnet_lstm.evaluation import (
    plot_confusion_matrix,
    plot_frame_strip,
    plot_per_class_f1,
    plot_training_curves,
)


def class_names(num_labels: int) -> list[str]:
    return [f"SomewhatLongAction{label}" for label in range(num_labels)]


def history(num_epochs: int) -> list[dict[str, Any]]:
    return [
        {
            "epoch": epoch,
            "train_loss": 3 / epoch,
            "validation_loss": 3.2 / epoch,
            "validation_top1": 1 - 0.9 / epoch,
            "learning_rate": 1e-3,
        }
        for epoch in range(1, num_epochs + 1)
    ]


def draw_confusion_matrix(path: Path) -> Path:
    return plot_confusion_matrix(path, np.diag([3, 0, 5]), class_names(3))


def draw_training_curves(path: Path) -> Path:
    return plot_training_curves(path, history(3))


def draw_per_class_f1(path: Path) -> Path:
    absent = {"label": "absent", "clips": 0, "f1": None}
    return plot_per_class_f1(path, [{"label": "biking", "clips": 4, "f1": 0.5}, absent])


def draw_frame_strip(path: Path) -> Path:
    frames = np.zeros((3, 24, 32, 3), np.uint8)
    return plot_frame_strip(path, frames, np.array([0.2, -0.1, 0.0]), np.arange(3), [("biking", 0.9)], "clip.mp4")


DRAWINGS = [draw_confusion_matrix, draw_training_curves, draw_per_class_f1, draw_frame_strip]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Everything written in the pictures that the test saves."""
    seen: list[str] = []
    save = Figure.savefig

    def recording_save(figure: Figure, *arguments: Any, **options: Any) -> None:
        save(figure, *arguments, **options)
        seen.extend(text.get_text() for text in figure.findobj(Text))

    monkeypatch.setattr(Figure, "savefig", recording_save)
    return seen


@pytest.mark.parametrize("draw", DRAWINGS)
def test_picture_replaces_the_old_file_and_leaves_nothing_beside_it(
    draw: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    assert draw(path) == path
    height, width, _ = matplotlib.image.imread(path).shape
    assert height > 100
    assert width > 100
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


@pytest.mark.parametrize("draw", DRAWINGS)
def test_failed_drawing_keeps_the_old_file(
    draw: Callable[[Path], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full_disk(figure: Figure, path: Path, **options: Any) -> None:
        path.write_bytes(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(Figure, "savefig", full_disk)
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    with pytest.raises(OSError, match="No space"):
        draw(path)
    assert path.read_bytes() == b"old"
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


def test_counts_are_written_up_to_thirty_classes(tmp_path: Path, texts: list[str]) -> None:
    plot_confusion_matrix(tmp_path / "few.png", np.diag([777] * 30), class_names(30))
    assert texts.count("777") == 30
    texts.clear()
    plot_confusion_matrix(tmp_path / "many.png", np.diag([777] * 31), class_names(31))
    assert "777" not in texts
    assert set(class_names(31)) <= set(texts)


def test_training_curves_mark_the_best_epoch_or_the_one_that_was_kept(tmp_path: Path, texts: list[str]) -> None:
    records = history(5)
    records[2]["validation_top1"] = 0.999
    plot_training_curves(tmp_path / "curves.png", records)
    assert {"best epoch (3)", "best: 99.9 %"} <= set(texts)
    plot_training_curves(tmp_path / "curves.png", records, best_epoch=4)
    assert "best epoch (4)" in texts


def test_classes_without_clips_are_not_drawn_as_failures(tmp_path: Path, texts: list[str]) -> None:
    draw_per_class_f1(tmp_path / "f1.png")
    assert "biking" in texts
    assert "absent" not in texts
    assert "macro F1: 0.500" in texts


@pytest.mark.parametrize("num_frames", [1, 8, 16, 19])
def test_frame_strip_tells_every_frame_its_time_and_share(num_frames: int, tmp_path: Path, texts: list[str]) -> None:
    frames = np.zeros((num_frames, 24, 32, 3), np.uint8)
    shares = np.linspace(-0.5, 0.25, num_frames)
    seconds = np.arange(num_frames) / 2
    plot_frame_strip(tmp_path / "strip.png", frames, shares, seconds, [("biking", 0.75)], "clip.mp4: biking")
    assert {f"{second:.2f} s" for second in seconds} <= set(texts)
    assert {f"{share:+.2f}" for share in shares} <= set(texts)
    assert {"clip.mp4: biking", "biking", "75.0 %"} <= set(texts)


def test_drawing_what_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    with pytest.raises(ValueError, match="no epoch"):
        plot_training_curves(path, [])
    with pytest.raises(ValueError, match="best_epoch=9"):
        plot_training_curves(path, history(3), best_epoch=9)
    with pytest.raises(ValueError, match="2 frames, 1 shares"):
        plot_frame_strip(path, np.zeros((2, 4, 4, 3), np.uint8), np.zeros(1), np.zeros(2), [("a", 1.0)], "")
    with pytest.raises(ValueError, match="must agree"):
        plot_confusion_matrix(path, np.zeros((2, 2), int), class_names(3))
    with pytest.raises(ValueError, match="no class has a clip"):
        plot_per_class_f1(path, [{"label": "a", "clips": 0, "f1": None}])
    assert not path.exists()
