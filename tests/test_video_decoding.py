from __future__ import annotations

import http.server
import io
import threading
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from conftest import frame_numbers, numbered_frames
from resnet_lstm import VideoDecodingError, decode_video, probe_video, video_seeking, video_streams
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.video_decoding import sample_frame_indices, sample_video, segment_positions

CONTAINERS = ("avi", "gif", "mkv", "mov", "mp4", "webm")


def middle_frames(total: int, num_frames: int) -> list[int]:
    return [(2 * segment + 1) * total // (2 * num_frames) for segment in range(num_frames)]


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_gives_the_same_frames(tmp_path: Path, suffix: str) -> None:
    clip = write_video(tmp_path / f"clip.{suffix}", numbered_frames(20))
    assert frame_numbers(decode_video(clip, 8).frames) == middle_frames(20, 8)


@pytest.mark.parametrize("fps", [12, 24, 25, 30, 60, 30000 / 1001])
@pytest.mark.parametrize("suffix", ["mp4", "webm"])
def test_the_frame_rate_does_not_change_the_choice(tmp_path: Path, suffix: str, fps: float) -> None:
    clip = write_video(tmp_path / f"clip.{suffix}", numbered_frames(27), fps=fps)
    assert frame_numbers(decode_video(clip, 16).frames) == middle_frames(27, 16)


@pytest.mark.parametrize("length", [1, 2, 3, 15, 16, 17, 30])
@pytest.mark.parametrize("suffix", ["avi", "mp4", "webm"])
def test_every_length_gives_as_many_frames_as_wanted_in_order(tmp_path: Path, suffix: str, length: int) -> None:
    clip = write_video(tmp_path / f"clip.{suffix}", numbered_frames(length))
    numbers = frame_numbers(decode_video(clip, 16).frames)
    assert numbers == middle_frames(length, 16)
    assert numbers == sorted(numbers)


def test_a_short_clip_repeats_its_frames_in_order(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.mp4", numbered_frames(2))
    assert frame_numbers(decode_video(clip, 4).frames) == [0, 0, 1, 1]


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm"])
def test_variable_frame_rate_takes_the_frame_on_the_screen(tmp_path: Path, suffix: str) -> None:
    # Frame 2 stays on the screen from 150 to 900 ms of a clip of 1050 ms.
    times = [0, 100, 150, 900, 1000, 1010]
    clip = write_video(tmp_path / f"clip.{suffix}", numbered_frames(6), presentation_times=times)
    sampled = decode_video(clip, 7)
    moments = 1000 * sampled.seconds
    np.testing.assert_allclose(moments, [75, 225, 375, 525, 675, 825, 975], atol=1)
    expected = [max(i for i, time in enumerate(times) if time <= moment) for moment in moments]
    assert frame_numbers(sampled.frames) == expected


def test_random_sampling_takes_one_frame_of_each_segment_and_repeats_with_its_seed(numbered_clip: Path) -> None:
    choices = set()
    for seed in range(30):
        numbers = frame_numbers(decode_video(numbered_clip, 5, np.random.default_rng(seed)).frames)
        assert [number // 4 for number in numbers] == [0, 1, 2, 3, 4]
        assert numbers == frame_numbers(decode_video(numbered_clip, 5, np.random.default_rng(seed)).frames)
        choices.update(numbers)
    assert choices == set(range(20))


def test_frames_in_memory_are_sampled_as_the_decoder_does(numbered_clip: Path) -> None:
    assert list(sample_frame_indices(20, 16)) == frame_numbers(decode_video(numbered_clip, 16).frames)


def test_a_long_file_is_not_decoded_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = (np.full((48, 64, 3), 10 + 4 * (i // 50), np.uint8) for i in range(2500))
    clip = write_video(tmp_path / "long.mp4", frames, codec_options={"g": "25", "preset": "ultrafast"})
    num_decoded = 0
    decode_from = video_seeking._decode_from

    def counted(*args: Any) -> Iterator[Any]:
        nonlocal num_decoded
        for frame in decode_from(*args):
            num_decoded += 1
            yield frame

    monkeypatch.setattr(video_seeking, "_decode_from", counted)
    sampled = decode_video(clip, 4)
    shown = [round((float(frame.mean()) - 10) / 4) for frame in sampled.frames]
    assert shown == [312 // 50, 937 // 50, 1562 // 50, 2187 // 50]
    assert num_decoded <= 4 * 26


@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_is_honoured(tmp_path: Path, rotation: int) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = (220, 30, 30)  # red at the top left
    picture[24:, 32:] = (30, 30, 220)  # blue at the bottom right
    clip = write_video(tmp_path / "turned.mp4", [picture] * 3, rotation=rotation)
    shown = decode_video(clip, 1).frames[0]
    expected = np.rot90(picture, rotation // 90)
    assert shown.shape == expected.shape
    assert np.abs(shown.astype(int) - expected).mean() < 12
    info = probe_video(clip)
    assert (info.height, info.width, info.rotation) == (*expected.shape[:2], rotation)


def test_paths_bytes_and_file_objects_give_the_same(numbered_clip: Path) -> None:
    expected = decode_video(str(numbered_clip), 4).frames
    content = numbered_clip.read_bytes()
    for source in (numbered_clip, content, io.BytesIO(content), Unseekable(content)):
        np.testing.assert_array_equal(decode_video(source, 4).frames, expected)


class Unseekable(io.BytesIO):
    """Bytes as they come from a socket."""

    def seekable(self) -> bool:
        return False

    def seek(self, *args: int) -> int:
        raise io.UnsupportedOperation("seek")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_url_is_read(numbered_clip: Path, server: str) -> None:
    frames = decode_video(f"{server}/{numbered_clip.name}", 4).frames
    np.testing.assert_array_equal(frames, decode_video(numbered_clip, 4).frames)


def test_a_url_that_fails_does_not_tell_its_secrets(server: str) -> None:
    with pytest.raises(VideoDecodingError, match=r"none\.mp4: the server answered 404") as error:
        decode_video(f"{server}/none.mp4?token=secret")
    assert "secret" not in str(error.value)
    with pytest.raises(VideoDecodingError, match=r"none\.mp4: not downloaded") as error:
        decode_video("http://user:password@127.0.0.1:9/none.mp4")
    assert "password" not in str(error.value)


@pytest.mark.parametrize(
    "url", ["http://user:secret@127.0.0.1/x.mp4", "http://[bad/x.mp4?secret", "http://:x/?secret"]
)
def test_a_malformed_url_is_the_same_one_error(url: str) -> None:
    with pytest.raises(VideoDecodingError, match="not downloaded") as error:
        decode_video(url)
    assert "secret" not in str(error.value)


def test_a_url_may_hold_blanks_and_any_letter(tmp_path: Path, server: str) -> None:
    write_video(tmp_path / "ein schöner Tag.mp4", numbered_frames(4))
    assert len(decode_video(f"{server}/ein schöner Tag.mp4", 4).frames) == 4


def test_a_stream_that_changes_its_size_keeps_the_first(tmp_path: Path) -> None:
    content = b""
    for number, (height, width) in enumerate([(48, 64), (64, 96)]):
        part = tmp_path / f"{number}.ts"
        with av.open(str(part), "w", format="mpegts") as container:
            stream = container.add_stream("mpeg2video", rate=25)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            for index, picture in enumerate(numbered_frames(10, height, width)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
                frame.pts, frame.time_base = number * 10 + index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        content += part.read_bytes()
    assert decode_video(content, 8).frames.shape == (8, 48, 64, 3)


def audio_only(path: Path) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_bad_files_are_one_error_that_names_file_and_cause(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("not a video")
    (tmp_path / "empty.mp4").touch()
    audio_only(tmp_path / "song.mp4")
    playlist = tmp_path / "list.mp4"
    playlist.write_text("ffconcat version 1.0\nfile 'numbered.mp4'\n")
    for name, cause in {
        "none.mp4": "no such file",
        "text.mp4": "not readable as a video",
        "empty.mp4": "not readable as a video .found: an empty file",
        "song.mp4": "no video stream \\(found: audio\\)",
        "list.mp4": "not readable as a video .found: a playlist",
        ".": "is a folder",
    }.items():
        path = tmp_path / name
        for function in (decode_video, probe_video):
            with pytest.raises(VideoDecodingError, match=cause) as error:
                function(path)
            assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
            "a Git LFS pointer: run `git lfs pull`",
        ),
        (b"\n<!DOCTYPE html><title>Log in</title>", "an HTML page"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "a JPEG picture"),
    ],
)
def test_what_is_no_video_is_named_for_what_it_is(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(VideoDecodingError, match=found):
        decode_video(path)


@pytest.mark.parametrize("suffix", ["mp4", "raw"])
@pytest.mark.parametrize(
    ("codec", "container", "options"),
    [
        ("libx264", "h264", {"bf": "2", "g": "10"}),
        ("mjpeg", "mjpeg", {}),
        ("libvpx-vp9", "ivf", {}),
        ("mpeg4", "nut", {}),
        ("wrapped_avframe", "yuv4mpegpipe", {}),
    ],
)
def test_raw_streams_and_rare_containers_give_the_same_frames_under_any_name(
    tmp_path: Path, codec: str, container: str, options: dict[str, str], suffix: str
) -> None:
    path = tmp_path / f"clip.{suffix}"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25, options=options)
        stream.height, stream.width = 48, 64
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index, picture in enumerate(numbered_frames(30)):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode())
    assert frame_numbers(decode_video(path, 8).frames) == middle_frames(30, 8)


def test_a_file_name_is_never_taken_for_a_protocol(numbered_clip: Path) -> None:
    with pytest.raises(VideoDecodingError, match="no such file"):
        decode_video(f"concat:{numbered_clip}")


@pytest.mark.parametrize("suffix", ["avi", "mkv", "webm"])
def test_a_cut_off_file_gives_the_frames_it_has(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (48, 64, 3), dtype=np.uint8) for _ in range(40)]
    clip = write_video(tmp_path / f"whole.{suffix}", noise)
    content = clip.read_bytes()
    sampled = decode_video(content[: len(content) // 2], 8)
    assert sampled.frames.shape == (8, 48, 64, 3)
    assert sampled.seconds[-1] < 40 / 25 / 2 + 0.2


def test_a_damaged_stretch_costs_only_its_own_frames(tmp_path: Path) -> None:
    clip = write_video(tmp_path / "clip.avi", numbered_frames(30), codec="mpeg4", codec_options={"g": "5"})
    content = bytearray(clip.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    numbers = frame_numbers(decode_video(bytes(content), 30).frames)
    assert len(numbers) == 30
    assert numbers[:5] == [0, 1, 2, 3, 4]
    assert numbers[-3:] == [27, 28, 29]


def with_unreferenced_frames(path: Path) -> Path:
    """30 frames that tell their number; two of three are B-frames that no other frame is made from."""
    options = {"bf": "2", "b-pyramid": "none", "b_strategy": "0", "g": "30", "sc_threshold": "0"}
    return write_video(path, numbered_frames(30), codec_options=options)


@pytest.mark.parametrize("num_threads", [0, 1, 3])
@pytest.mark.parametrize("num_frames", [3, 4, 7, 16])
def test_leaving_frames_out_changes_no_picture(tmp_path: Path, num_frames: int, num_threads: int) -> None:
    path = with_unreferenced_frames(tmp_path / "clip.mp4")
    with av.open(str(path)) as container:
        everything = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    frames = decode_video(path, num_frames, num_threads=num_threads).frames
    np.testing.assert_array_equal(frames, everything[sample_frame_indices(30, num_frames)])


def test_frames_that_nothing_needs_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    decode_packets = video_seeking.decode_packets

    def counted(*args: Any) -> Iterator[tuple[int, av.VideoFrame]]:
        for frame in decode_packets(*args):
            decoded.append(frame)
            yield frame

    monkeypatch.setattr(video_seeking, "decode_packets", counted)
    assert frame_numbers(decode_video(with_unreferenced_frames(tmp_path / "clip.mp4"), 2).frames) == [7, 22]
    # A third of those up to number 22, a wanted one that nothing is made from, and what its decoder has begun with.
    assert len(decoded) <= 14


def test_where_a_wanted_frame_is_broken_the_one_before_it_is_shown(tmp_path: Path) -> None:
    path = with_unreferenced_frames(tmp_path / "clip.mp4")
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size, packet.pts) for packet in container.demux(video=0) if packet.size]
    by_time = sorted(packets, key=lambda packet: packet[2])
    content = bytearray(path.read_bytes())
    position, size, _ = by_time[5]
    content[position + 4 : position + size] = b"\x0a" + bytes(size - 5)  # no slice: an end of sequence
    path.write_bytes(content)
    # Number 4 was left out at first, as one that nothing is made from.
    assert frame_numbers(decode_video(path, 3).frames) == [4, 15, 25]


@pytest.fixture
def large_clip(tmp_path: Path) -> Path:
    """30 frames that tell their number, with a key frame at every second one, large enough for several readers."""
    return write_video(tmp_path / "large.mp4", numbered_frames(30, 360, 640), codec_options={"g": "2", "bf": "0"})


@pytest.fixture
def num_opened(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with each file that is opened."""
    opened = []
    open_container = video_streams._open_container

    def counted(file: Any) -> av.container.InputContainer:
        opened.append(1)
        return open_container(file)

    monkeypatch.setattr(video_streams, "_open_container", counted)
    return opened


@pytest.mark.parametrize("num_frames", [1, 2, 5, 11])
def test_several_readers_give_the_frames_of_one(large_clip: Path, num_frames: int, num_opened: list[int]) -> None:
    one = decode_video(large_clip, num_frames, num_threads=1)
    assert len(num_opened) == 1
    several = decode_video(large_clip, num_frames, num_threads=3)
    assert len(num_opened) == 2 + (0 if num_frames == 1 else min(num_frames, 3))
    np.testing.assert_array_equal(several.frames, one.frames)
    np.testing.assert_array_equal(several.seconds, one.seconds)


def test_readers_never_decode_one_stretch_twice(large_clip: Path, num_opened: list[int]) -> None:
    decode_video(large_clip, 16, num_threads=3)  # two of these frames lie between the same key frames
    decode_video(large_clip.read_bytes(), 5, num_threads=3)  # bytes would be copied
    assert len(num_opened) == 2


def test_several_readers_show_the_frame_before_a_broken_one_too(large_clip: Path) -> None:
    with av.open(str(large_clip)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(large_clip.read_bytes())
    for position, size in packets[14:18]:  # number 16 is wanted, and so are 10 and 22
        content[position + 4 : position + size] = b"\x0a" + bytes(size - 5)
    large_clip.write_bytes(content)
    one = decode_video(large_clip, 5, num_threads=1)
    assert frame_numbers(one.frames)[1:4] != [9, 15, 21]
    np.testing.assert_array_equal(decode_video(large_clip, 5, num_threads=2).frames, one.frames)


def test_readers_end_with_their_consumer(large_clip: Path) -> None:
    before = threading.active_count()
    frames = sample_video(large_clip, 5, num_threads=3)
    next(frames)
    frames.close()  # type: ignore[attr-defined]
    # Fewer, where one of an earlier test has just ended.
    assert threading.active_count() <= before


@pytest.mark.parametrize("num_frames", [0, -1])
def test_no_frames_cannot_be_asked_for(numbered_clip: Path, num_frames: int) -> None:
    with pytest.raises(ValueError, match=f"num_frames={num_frames}"):
        decode_video(numbered_clip, num_frames)
    with pytest.raises(ValueError, match="total_frames=0"):
        sample_frame_indices(0, 4)


def test_positions_never_reach_the_end_of_the_clip() -> None:
    class AlwaysHighest:
        def random(self) -> float:
            return np.nextafter(1.0, 0.0)

    positions = segment_positions(4, AlwaysHighest())  # type: ignore[arg-type]
    assert max(positions) < 1


def test_the_probe_tells_what_the_file_holds(tmp_path: Path) -> None:
    info = probe_video(write_video(tmp_path / "clip.webm", numbered_frames(20), fps=10))
    assert (info.num_frames, info.fps, info.seconds, info.width, info.height) == (20, 10.0, 2.0, 64, 48)
    assert info.codec == "vp9"
