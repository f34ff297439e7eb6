"""Uploads that are no videos, each in a way of its own."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np

from conftest import numbered_frames
from resnet_lstm.data.video_encoding import write_video


def write_sound_only(path: Path) -> Path:
    """A file with a sound track and nothing else."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def write_broken(path: Path) -> Path:
    """The first half of a video, without the index that stands in the second."""
    whole = write_video(path, numbered_frames(20)).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    return path


def write_unknown_codec(path: Path) -> Path:
    """A video in a codec that nobody decodes."""
    whole = write_video(path, numbered_frames(20)).read_bytes()
    path.write_bytes(whole.replace(b"avc1", b"zzz1"))
    return path


def write_silent_codec(path: Path) -> Path:
    """A video whose every frame is damaged: the codec is known, and gives no picture."""
    whole = bytearray(write_video(path, numbered_frames(20)).read_bytes())
    start, end = whole.find(b"mdat") + 4, whole.find(b"moov") - 4
    whole[start:end] = bytes(end - start)
    path.write_bytes(whole)
    return path


def write_too_long(path: Path, seconds: float) -> Path:
    """A video that lasts longer than this, of two frames."""
    return write_video(path, numbered_frames(2), presentation_times=[0, round(1000 * seconds)])
