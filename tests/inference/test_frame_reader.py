from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from conftest import frame_numbers, numbered_frames
from resnet_lstm import ResNetLSTMConfig, VideoDecodingError, decode_video, probe_video
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.inference import open_frames, training_rate


def read(source: Path | bytes, fps: float) -> tuple[list[int], list[float]]:
    """The numbers of the frames, and their moments."""
    with open_frames(source, fps) as frames:
        timed = list(frames)
    return frame_numbers(np.stack([frame.picture for frame in timed])), [frame.seconds for frame in timed]


def test_frames_are_those_on_the_screen_in_the_middle_of_each_interval(numbered_clip: Path) -> None:
    # 20 frames at 25 fps: 0.8 s, so 4 intervals of 0.2 s with their middles at 0.1, 0.3, 0.5 and 0.7 s.
    numbers, seconds = read(numbered_clip, 5)
    assert numbers == [2, 7, 12, 17]
    assert seconds == pytest.approx([0.1, 0.3, 0.5, 0.7])


@pytest.mark.parametrize("name", ["clip.mp4", "clip.webm", "clip.mkv", "clip.avi", "clip.mov"])
@pytest.mark.parametrize("num_frames", [1, 4, 7])
def test_a_clip_read_at_its_own_rate_gives_the_frames_of_decode_video(
    tmp_path: Path, name: str, num_frames: int
) -> None:
    clip = write_video(tmp_path / name, numbered_frames(21), fps=29.97)
    with open_frames(clip, num_frames / probe_video(clip).seconds) as frames:
        pictures = [frame.picture for frame in frames]
    np.testing.assert_array_equal(np.stack(pictures), decode_video(clip, num_frames).frames)


def test_a_variable_rate_is_read_by_the_clock(tmp_path: Path) -> None:
    times = [0, 40, 80, 1000, 1040, 2000, 2040, 2080]
    clip = write_video(tmp_path / "clip.mkv", numbered_frames(8), presentation_times=times)
    # The middles of half seconds: 0.25, 0.75, 1.25, 1.75
    assert read(clip, 2)[0] == [2, 2, 4, 4]


def test_a_phone_video_comes_upright(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", numbered_frames(10, height=48, width=64), rotation=90)
    with open_frames(clip, 5) as frames:
        shapes = {frame.picture.shape for frame in frames}
        assert shapes == {(64, 48, 3)}
    with open_frames(clip, 2.5) as frames:
        np.testing.assert_array_equal(next(iter(frames)).picture, decode_video(clip, 1).frames[0])


def test_a_rate_above_the_videos_repeats_frames(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", numbered_frames(3), fps=5)
    assert read(clip, 10)[0] == [0, 0, 1, 1, 2, 2]


def test_a_video_shorter_than_an_interval_gives_its_middle_or_last_frame(numbered_clip: Path) -> None:
    numbers, seconds = read(numbered_clip, 0.5)
    assert len(numbers) == 1
    assert seconds == pytest.approx([0.4])


def test_bytes_are_read_too(numbered_clip: Path) -> None:
    assert read(numbered_clip.read_bytes(), 5)[0] == [2, 7, 12, 17]


def test_a_damaged_stretch_costs_its_own_frames(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.avi", numbered_frames(30), codec_options={"g": "5"})
    damaged = bytearray(clip.read_bytes())
    middle = len(damaged) // 2
    damaged[middle : middle + 200] = b"\x00" * 200
    clip.write_bytes(damaged)
    numbers, _ = read(clip, 25)
    assert len(numbers) >= 25
    assert numbers[:5] == [0, 1, 2, 3, 4]
    assert numbers[-1] == 29


def test_only_as_many_frames_are_decoded_as_are_asked_for(numbered_clip: Path) -> None:
    with open_frames(numbered_clip, 25) as frames:
        assert next(iter(frames)).seconds == pytest.approx(0.02)
        assert frames.total_seconds == pytest.approx(0.8)


def test_errors_name_the_file_and_the_rule(tmp_path: Path, numbered_clip: Path) -> None:
    with pytest.raises(VideoDecodingError, match=r"none\.mp4: no such file"), open_frames(tmp_path / "none.mp4", 2):
        pass
    for fps in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match=r"fps=.* must be above 0"), open_frames(numbered_clip, fps):
            pass


def test_the_rate_is_the_models_or_that_of_a_typical_clip() -> None:
    assert training_rate(ResNetLSTMConfig(frames_per_second=3.5)) == 3.5
    assert training_rate(ResNetLSTMConfig(num_frames=16)) == pytest.approx(16 / 7.21)
    with pytest.raises(Exception, match="frames_per_second=0"):
        ResNetLSTMConfig(frames_per_second=0.0)
