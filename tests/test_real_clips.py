"""Frames of real clips against those that decoding the whole file from its start gives.

Every twentieth of the shared clips by default, which takes seconds; all of them by `REAL_CLIPS_STEP=1`.
"""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest

from resnet_lstm.video_decoding import decode_video, sample_frame_indices

NUM_FRAMES = 16


def frames_of_a_sequential_decode(clip: Path) -> np.ndarray:
    """The frames that are shown in the middle of each of 16 equal parts, looked up among all frames of the file."""
    with av.open(str(clip)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        ticks = sorted(packet.dts if packet.pts is None else packet.pts for packet in packets)
        container.seek(0)
        decoded = list(container.decode(video=0))
    # With packed B-frames the pictures are in order, and their times up to a few places off.
    shown_from = np.array(sorted(frame.dts if frame.pts is None else frame.pts for frame in decoded))
    wanted = np.array(ticks)[sample_frame_indices(len(ticks), NUM_FRAMES)]
    # XviD leaves out pictures that equal the one before, which then stays on the screen.
    indices = np.maximum(np.searchsorted(shown_from, wanted, side="right") - 1, 0)
    return np.stack([decoded[index].to_ndarray(format="rgb24") for index in indices])


def clips_that_differ(clips: list[Path], num_threads: int) -> list[str]:
    assert clips
    return [
        str(clip)
        for clip in clips
        if not np.array_equal(
            decode_video(clip, NUM_FRAMES, num_threads=num_threads).frames, frames_of_a_sequential_decode(clip)
        )
    ]


@pytest.mark.parametrize("num_threads", [1, 0])
def test_clips_as_ucf101_ships_them(ucf101_root: Path, num_threads: int) -> None:
    originals = ucf101_root.parent / "originals"
    if not originals.is_dir():
        pytest.skip("no clips as UCF-101 ships them beside UCF101_ROOT")
    assert clips_that_differ(sorted(originals.rglob("*.avi")), num_threads) == []


@pytest.mark.timeout(3600)
def test_clips_of_the_dataset(ucf101_root: Path) -> None:
    step = int(os.environ.get("REAL_CLIPS_STEP", "20"))
    clips = [clip for clip in sorted((ucf101_root / "UCF-101").rglob("*")) if clip.is_file()]
    assert clips_that_differ(clips[::step], num_threads=0) == []
