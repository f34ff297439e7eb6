from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from conftest import frame_numbers, numbered_frames
from resnet_lstm import VideoDecodingError, decode_video, probe_video
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.inference import Segment, Timeline, annotate_video


def timeline_of(*segments: Segment) -> Timeline:
    return Timeline(["jump"], 4.0, np.array([0.125]), np.ones((1, 1), np.float32), np.ones(1), list(segments), [])


def write_with_sound(path: Path, codec: str, num_frames: int = 50) -> Path:
    """Grey frames at 25 fps, and a tone."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=25)
        video.height, video.width, video.pix_fmt = 120, 160, "yuv420p"
        sound = container.add_stream(codec, rate=48_000)
        for number in range(num_frames):
            frame = av.VideoFrame.from_ndarray(np.full((120, 160, 3), 100, np.uint8), format="rgb24")
            container.mux(video.encode(frame))
            start = number * 1920
            tone = (np.sin(np.arange(start, start + 1920) * 0.05) * 9000).astype(np.int16)
            samples = av.AudioFrame.from_ndarray(np.repeat(tone, 2)[None], format="s16", layout="stereo")
            samples.sample_rate, samples.pts, samples.time_base = 48_000, start, Fraction(1, 48_000)
            container.mux(sound.encode(samples))
        container.mux(video.encode())
        container.mux(sound.encode())
    return path


def sound_packets(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]


def test_the_sound_is_copied_and_the_duration_kept(tmp_path: Path) -> None:
    clip = write_with_sound(tmp_path / "clip.mp4", "aac")
    output = annotate_video(clip, timeline_of(Segment("jump", 0, 2, 0.9)), tmp_path / "annotated.mp4")
    assert sound_packets(output) == sound_packets(clip)
    before, after = probe_video(clip), probe_video(output)
    assert (after.num_frames, after.width, after.height) == (before.num_frames, before.width, before.height)
    assert after.seconds == pytest.approx(before.seconds, abs=0.05)
    with av.open(str(output)) as container:
        for stream in container.streams:
            assert float(stream.duration * stream.time_base) == pytest.approx(2, abs=0.1)


def test_sound_that_the_container_cannot_hold_becomes_aac(tmp_path: Path) -> None:
    clip = write_with_sound(tmp_path / "clip.mkv", "pcm_s16le")
    output = annotate_video(clip, timeline_of(Segment("jump", 0, 2, 0.9)), tmp_path / "annotated.mp4")
    with av.open(str(output)) as container:
        sound = container.streams.audio[0]
        assert sound.codec_context.name == "aac"
        assert float(sound.duration * sound.time_base) == pytest.approx(2, abs=0.1)


def test_the_label_changes_with_the_segment_and_the_rest_of_the_picture_stays(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", [np.full((240, 320, 3), 128, np.uint8)] * 50)
    timeline = timeline_of(Segment("jump", 0, 1, 0.9), Segment(None, 1, 2, 0.8))
    output = annotate_video(clip, timeline, tmp_path / "annotated.mp4")
    first, last = decode_video(output, 2).frames.astype(int)
    label = np.s_[210:, :60]
    assert abs(first[:200] - 128).max() < 12
    assert abs(first[label] - 128).max() > 60
    assert abs(first[label] - last[label]).max() > 60
    # Blue where an action is known, grey where none is.
    corner = np.s_[225:228, 12:15]
    assert first[corner][..., 2].mean() > first[corner][..., 0].mean() + 60
    assert abs(last[corner][..., 2].mean() - last[corner][..., 0].mean()) < 30


def test_a_phone_video_is_written_upright(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", numbered_frames(10, height=96, width=128), rotation=90)
    info = probe_video(annotate_video(clip, timeline_of(Segment(None, 0, 1, 1.0)), tmp_path / "annotated.mp4"))
    assert (info.width, info.height, info.rotation) == (96, 128, 0)


def test_frames_keep_their_times_at_a_variable_rate(tmp_path: Path) -> None:
    times = [0, 40, 80, 1000, 1040, 2000]
    clip = write_video(tmp_path / "clip.mkv", numbered_frames(6, 240, 320), presentation_times=times)
    output = annotate_video(clip, timeline_of(Segment(None, 0, 2, 1.0)), tmp_path / "annotated.mkv")
    with av.open(str(output)) as container:
        frames = list(container.decode(video=0))
    assert [round(1000 * frame.time) for frame in frames] == times
    assert frame_numbers(np.stack([frame.to_ndarray(format="rgb24")[:200] for frame in frames])) == list(range(6))


def test_a_picture_too_small_for_the_label_is_written_all_the_same(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.gif", [np.zeros((17, 23, 3), np.uint8)] * 4)
    output = annotate_video(clip, timeline_of(Segment("jump", 0, 1, 0.5)), tmp_path / "annotated.mp4")
    info = probe_video(output)
    assert (info.width, info.height) == (22, 16)


def test_an_error_leaves_no_file_and_names_the_rule(tmp_path: Path, numbered_clip: Path) -> None:
    timeline = timeline_of(Segment(None, 0, 1, 1.0))
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    with pytest.raises(VideoDecodingError, match=r"broken\.mp4: not readable"):
        annotate_video(broken, timeline, tmp_path / "annotated.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.mp4", "numbered.mp4"]
    with pytest.raises(ValueError, match=r"annotated\.avi: .* must be one of \.mp4, \.mov, \.mkv"):
        annotate_video(numbered_clip, timeline, tmp_path / "annotated.avi")
    with pytest.raises(ValueError, match="is the video itself"):
        annotate_video(numbered_clip, timeline, numbered_clip)
