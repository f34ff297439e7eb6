from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bad_videos
from conftest import numbered_frames
from limits import MAX_CLIP_SECONDS, MAX_UPLOAD_BYTES, VideoRefusedError, check_video, read_frame
from resnet_lstm.data.video_encoding import write_video


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".webm", ".mkv", ".gif"])
def test_every_kind_of_video_is_taken(tmp_path: Path, suffix: str) -> None:
    check_video(write_video(tmp_path / f"clip{suffix}", numbered_frames(20)), MAX_CLIP_SECONDS)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (bad_videos.write_sound_only, r"clip\.mp4: no video stream \(found: audio\)"),
        (bad_videos.write_broken, r"clip\.mp4: not readable as a video"),
        (bad_videos.write_unknown_codec, r"clip\.mp4: not readable as a video \(Decoder not found\)"),
        (bad_videos.write_silent_codec, r"clip\.mp4: no frame of it can be decoded \(h264\)"),
        (lambda path: bad_videos.write_too_long(path, 61), r"clip\.mp4: 1:\d\d long\. At most 1:00 are taken"),
        (lambda path: path, "no longer here"),
    ],
    ids=["no video stream", "broken", "unknown codec", "silent codec", "too long", "gone"],
)
def test_each_bad_video_is_refused_in_words_without_a_path(tmp_path: Path, write: object, message: str) -> None:
    path = write(tmp_path / "clip.mp4")  # type: ignore[operator]
    with pytest.raises(VideoRefusedError, match=message) as refusal:
        check_video(path, MAX_CLIP_SECONDS)
    assert str(tmp_path) not in str(refusal.value)


def test_a_file_that_is_too_large_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "large.mp4"
    with path.open("wb") as file:
        file.truncate(MAX_UPLOAD_BYTES + 1)
    with pytest.raises(VideoRefusedError, match=r"large\.mp4: 100 MB\. At most 100 MB"):
        check_video(path, MAX_CLIP_SECONDS)


def test_a_picture_that_is_too_large_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    video = write_video(tmp_path / "wide.avi", [np.zeros((2400, 4100, 3), np.uint8)])
    with pytest.raises(VideoRefusedError, match=r"wide\.avi: 4100 x 2400 pixels"):
        check_video(video, MAX_CLIP_SECONDS)
    Image.new("1", (4100, 2400)).save(tmp_path / "wide.png")
    with pytest.raises(VideoRefusedError, match=r"wide\.png: 4100 x 2400 pixels"):
        read_frame(tmp_path / "wide.png")


def test_a_frame_that_is_no_picture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "frame.png").write_bytes(b"no picture")
    with pytest.raises(VideoRefusedError, match=r"^frame\.png: not readable as a picture"):
        read_frame(tmp_path / "frame.png")
