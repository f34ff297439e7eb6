from __future__ import annotations

import csv
from pathlib import Path

import pytest

from conftest import numbered_frames
from resnet_lstm.data import Clip, VideoFolder
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.training.frame_rate import clip_frame_rate


def test_the_median_clip_tells_the_rate() -> None:
    clips = [Clip(f"{number}.mp4", "jump", seconds=seconds) for number, seconds in enumerate((2.0, 8.0, 5.0))]
    assert clip_frame_rate(VideoFolder(Path("none"), {}, {"train": clips}), 16) == pytest.approx(3.2)


def test_without_metadata_the_files_are_asked(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    for number, num_frames in enumerate((10, 15, 25)):
        write_video(tmp_path / "train" / f"{number}.mp4", numbered_frames(num_frames), fps=10)
    (tmp_path / "train" / "broken.mp4").write_bytes(b"no video")
    with (tmp_path / "train" / "metadata.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("file_name", "label"), *((f"{n}.mp4", "jump") for n in (0, 1, 2, "broken"))])
    assert clip_frame_rate(VideoFolder.open(tmp_path), 6) == pytest.approx(4.0)


def test_nothing_readable_gives_no_rate(tmp_path: Path) -> None:
    assert clip_frame_rate(VideoFolder(tmp_path, {}, {"train": []}), 16) is None
