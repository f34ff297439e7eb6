from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conftest import numbered_frames
from resnet_lstm import ResNetLSTMVideoProcessor, VideoDecodingError
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.feeding import load_pictures
from resnet_lstm.inference import annotate_video, open_frames
from resnet_lstm.inference.decoding_apart import (
    DecodingLimits,
    annotate_video_apart,
    load_pictures_apart,
    open_frames_apart,
    run_apart,
)
from resnet_lstm.inference.timeline import Segment, Timeline


def die(send: Any, path: str) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def die_in_the_middle(send: Any, path: str) -> None:
    send({"seconds": 0.0}, [np.zeros((2, 2, 3), np.uint8)])
    os._exit(3)


def hang(send: Any, path: str) -> None:
    time.sleep(600)


def compute_for_ever(send: Any, path: str) -> None:
    while True:
        pass


def hold_much(send: Any, path: str) -> None:
    np.ones(10**9, np.float64)


def write_much(send: Any, path: str) -> None:
    with Path(path).open("wb") as file:
        while True:
            file.write(bytes(2**20))


def raise_surprise(send: Any, path: str) -> None:
    raise RuntimeError(f"{path}: a surprise.")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (die, "took the decoder down"),
        (die_in_the_middle, "took the decoder down"),
        (hang, "nothing came of it in 2 seconds"),
        (compute_for_ever, "takes too long to decode"),
        (hold_much, "takes too much memory"),
        (write_much, "what is made of it is too large|File too large"),
        (raise_surprise, "a surprise"),
    ],
)
def test_whatever_befalls_the_process_is_an_error_that_names_the_file(
    tmp_path: Path, function: Any, message: str
) -> None:
    seconds = 2 if function is hang else 60
    limits = DecodingLimits(memory_bytes=2**30, silent_seconds=seconds, total_seconds=1, file_bytes=2**22)
    path = str(tmp_path / "clip.mp4")
    with pytest.raises(VideoDecodingError, match=message) as error:
        list(run_apart(function, path, name=path, limits=limits))
    assert str(error.value).startswith(f"{path}: ")


def test_a_clip_is_the_same_as_decoded_here(tmp_path: Path, tiny_processor: ResNetLSTMVideoProcessor) -> None:
    path = write_video(tmp_path / "clip.avi", numbered_frames(20))
    path.write_bytes(path.read_bytes()[:-400])
    here, apart = load_pictures(path, tiny_processor, to_show=True), load_pictures_apart(path, tiny_processor)
    np.testing.assert_array_equal(apart.pictures.numpy(), here.pictures.numpy())
    np.testing.assert_array_equal(apart.seconds, here.seconds)
    assert here.shown is not None
    assert apart.shown is not None
    np.testing.assert_array_equal(apart.shown.numpy(), here.shown.numpy())
    assert apart.damage == here.damage


def test_frames_are_the_same_as_decoded_here(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.webm", numbered_frames(20))
    with open_frames(path, 10) as here, open_frames_apart(path, 10) as apart:
        assert apart.total_seconds == here.total_seconds
        for expected, frame in zip(here, apart, strict=True):
            assert frame.seconds == expected.seconds
            np.testing.assert_array_equal(frame.picture, expected.picture)
        assert apart.damage == here.damage


def test_the_annotated_video_is_the_same(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered_frames(20))
    timeline = Timeline(
        ["jump"], 4.0, np.array([0.125]), np.ones((1, 1), np.float32), np.ones(1), [Segment("jump", 0, 0.8, 0.9)], []
    )
    reports: list[float] = []
    apart = annotate_video_apart(path, timeline, tmp_path / "apart.mp4", lambda seconds, _: reports.append(seconds))
    assert apart.read_bytes() == annotate_video(path, timeline, tmp_path / "here.mp4").read_bytes()
    assert reports


def test_the_process_ends_with_its_reader(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", numbered_frames(20))
    with open_frames_apart(path, 10) as frames:
        next(iter(frames))
        started = time.monotonic()
    assert time.monotonic() - started < 30  # it would otherwise wait for ever to send the next frame


def test_a_broken_file_is_the_same_error(tmp_path: Path, tiny_processor: ResNetLSTMVideoProcessor) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(b"<html>")
    with pytest.raises(VideoDecodingError, match=r"clip\.mp4: not readable as a video \(found: an HTML page"):
        load_pictures_apart(path, tiny_processor)
    with pytest.raises(VideoDecodingError, match="an HTML page"), open_frames_apart(path, 2):
        pass
