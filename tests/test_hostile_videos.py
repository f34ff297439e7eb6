"""Awkward files, each with what is promised of it: the right frames, or one error that names file and cause."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
import pytest

from conftest import frame_numbers, numbered_frames
from hostile_videos import CONTAINERS_AND_CODECS, Pipe, Timed, cut, every_frame, write_stream, zeroed
from resnet_lstm import VideoDecodingError, decode_video, probe_video
from resnet_lstm.video_decoding import sample_frame_indices

pytestmark = pytest.mark.timeout(300)

NUM_FRAMES = 24


def smallest_size(codec: str) -> tuple[int, int]:
    return (64, 64) if codec == "libsvtav1" else (48, 64)


@cache
def whole_file(suffix: str, codec: str) -> bytes:
    """A video of numbered frames, with several key frames where the codec knows others."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"clip{suffix}"
        write_stream(path, codec, numbered_frames(NUM_FRAMES, *smallest_size(codec)), options={"g": "8"})
        return path.read_bytes()


@pytest.mark.parametrize(("suffix", "codec"), CONTAINERS_AND_CODECS)
def test_whatever_a_person_may_come_with_gives_the_right_frames(tmp_path: Path, suffix: str, codec: str) -> None:
    path = tmp_path / f"clip{suffix}"
    path.write_bytes(whole_file(suffix, codec))
    for num_frames in (1, 2, 7, 16, NUM_FRAMES):
        sampled = decode_video(path, num_frames)
        assert frame_numbers(sampled.frames) == sample_frame_indices(NUM_FRAMES, num_frames).tolist()
        assert (sampled.damage.num_damaged, sampled.damage.num_frames) == (0, NUM_FRAMES)
    assert probe_video(path.read_bytes()).num_frames == NUM_FRAMES


DAMAGED = (
    *((".avi", "mpeg4"), (".mp4", "libx264"), (".mov", "mjpeg"), (".mkv", "libx264"), (".webm", "libvpx-vp9")),
    *((".flv", "libx264"), (".ts", "libx264"), (".mpg", "mpeg2video"), (".wmv", "wmv2"), (".h264", "libx264")),
)
# Of these the container tells which frames there should be.
TELL_HOW_MANY = (".avi", ".mp4", ".mov")


def numbers_of_what_can_be_read(content: bytes, path: Path) -> list[int] | None:
    """The numbers of the frames that are shown; None where there is the one error, which names the file."""
    path.write_bytes(content)
    try:
        return frame_numbers(decode_video(path, 12).frames)
    except VideoDecodingError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 - what can be read need not be an error
        return None


@pytest.mark.parametrize("part", [0, 0.01, 0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99])
@pytest.mark.parametrize(("suffix", "codec"), DAMAGED)
def test_a_file_that_was_cut_off_shows_its_beginning_in_order(
    tmp_path: Path, suffix: str, codec: str, part: float
) -> None:
    content = cut(whole_file(suffix, codec), part)
    path = tmp_path / f"cut{suffix}"
    numbers = numbers_of_what_can_be_read(content, path)
    if part == 0:
        with pytest.raises(VideoDecodingError, match="an empty file"):
            decode_video(path)
    if numbers is not None:
        assert numbers == sorted(numbers)
        assert set(numbers) <= set(range(NUM_FRAMES))
        if suffix in TELL_HOW_MANY and numbers != sample_frame_indices(NUM_FRAMES, 12).tolist():
            assert decode_video(path, 12).damage


@pytest.mark.parametrize("start", [0.2, 0.5, 0.8])
@pytest.mark.parametrize(("suffix", "codec"), DAMAGED)
def test_a_zeroed_stretch_shows_no_wrong_frame_in_silence(
    tmp_path: Path, suffix: str, codec: str, start: float
) -> None:
    content = zeroed(whole_file(suffix, codec), start, 0.05)
    path = tmp_path / f"zeroed{suffix}"
    numbers = numbers_of_what_can_be_read(content, path)
    if numbers is not None:
        assert set(numbers) <= set(range(NUM_FRAMES))
    if numbers is not None and suffix in TELL_HOW_MANY and numbers != sample_frame_indices(NUM_FRAMES, 12).tolist():
        assert decode_video(path, 12).damage, numbers


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv", ".webm"])
def test_half_of_a_file_is_told_to_be_half(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    write_stream(
        path,
        {".avi": "mpeg4", ".webm": "libvpx-vp9"}.get(suffix, "libx264"),
        noise(40),
        options={"g": "1"},
        container_options={"movflags": "faststart"} if suffix == ".mp4" else None,
    )
    content = path.read_bytes()
    assert not decode_video(content).damage
    for damage in (decode_video(cut(content, 0.5)).damage, probe_video(cut(content, 0.5)).damage):
        assert damage.num_frames == 40
        assert 17 <= damage.num_damaged <= 23
        assert str(damage) == f"{damage.num_damaged} of 40 frames are damaged or missing"


NO_VIDEOS = {
    "empty": (b"", "an empty file"),
    "blanks": (b" \n" * 40, "blanks or zeros"),
    "zeros": (bytes(4096), "blanks or zeros"),
    "lfs": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        "a Git LFS pointer: run `git lfs pull`",
    ),
    "login": (b"\n<!DOCTYPE html><title>Log in</title>", "an HTML page"),
    "page": (b"\xef\xbb\xbf<html><body>404</body></html>", "an HTML page"),
    "xml": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "an XML document"),
    "json": (b'{"error": "quota exceeded"}', "JSON"),
    "text": (b"not a video, but a note on where it is", "text"),
    "jpeg": (b"\xff\xd8\xff\xe0\0\x10JFIF" + bytes(100), "a JPEG picture"),
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "a PNG picture"),
    "webp": (b"RIFF\x24\0\0\0WEBPVP8X" + bytes(100), "a WebP picture"),
    "pdf": (b"%PDF-1.7\n", "a PDF document"),
    "zip": (b"PK\x03\x04" + bytes(100), "a ZIP archive"),
    "rar": (b"Rar!\x1a\x07\x01\0" + bytes(100), "a RAR archive"),
    "hls": (b"#EXTM3U\n#EXTINF:10,\n/etc/passwd\n", "a playlist"),
    "concat": (b"ffconcat version 1.0\nfile '/etc/passwd'\n", "a playlist"),
}


@pytest.mark.parametrize("name", NO_VIDEOS)
def test_what_is_no_video_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    content, found = NO_VIDEOS[name]
    path = tmp_path / f"{name}.mp4"
    path.write_bytes(content)
    for source, place in ((path, str(path)), (content, "<")):
        with pytest.raises(VideoDecodingError) as error:
            decode_video(source)
        assert str(error.value).startswith(place)
        assert found in str(error.value)


@pytest.mark.parametrize(
    ("suffix", "codec", "height", "width"),
    [
        (".mp4", "libx264", 2, 2),
        (".mkv", "ffv1", 1, 1),
        (".gif", "gif", 17, 33),
        (".mkv", "ffv1", 31, 7),
        (".mp4", "libx264", 2048, 16),
        (".mp4", "libx264", 16, 2048),
        (".mp4", "mpeg4", 4320, 7680),
    ],
)
def test_pictures_of_any_size(tmp_path: Path, suffix: str, codec: str, height: int, width: int) -> None:
    path = tmp_path / f"clip{suffix}"
    write_stream(path, codec, [np.full((height, width, 3), 90, np.uint8)] * 2, options={"preset": "ultrafast"})
    sampled = decode_video(path, 3)
    assert sampled.frames.shape == (3, height, width, 3)
    assert abs(float(sampled.frames.mean()) - 90) < 3


def assert_as_decoded_in_order(source: Path | bytes, num_frames: int) -> None:
    """What is sampled is, to the bit, what decoding everything in order gives, for any number of frames."""
    everything = every_frame(source)
    assert len(everything) == num_frames
    for wanted in (1, 2, 3, 5, 8, 16, num_frames):
        expected = everything[sample_frame_indices(num_frames, wanted)]
        np.testing.assert_array_equal(decode_video(source, wanted).frames, expected, err_msg=f"{wanted} frames")


@cache
def noise(num_frames: int, height: int = 64, width: int = 64) -> tuple[np.ndarray, ...]:
    """Soft noise that drifts, so that codecs have something to predict, and a wrong frame is seen."""
    generator = np.random.default_rng(7)
    large = generator.integers(0, 255, (height + num_frames, width + 2 * num_frames, 3), np.uint8)
    return tuple(np.ascontiguousarray(large[i : i + height, 2 * i : 2 * i + width]) for i in range(num_frames))


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
def test_more_packets_than_pictures(tmp_path: Path, codec: str) -> None:
    """Frames that are made to be predicted from, and are never shown (VP8 and VP9: alt-ref)."""
    options = {"auto-alt-ref": "1", "lag-in-frames": "16", "arnr-maxframes": "7", "arnr-strength": "5", "g": "40"}
    path = tmp_path / "clip.webm"
    write_stream(path, codec, noise(40), options=options)
    assert_as_decoded_in_order(path, 40)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_pictures_that_lead_an_open_group_are_the_right_ones(tmp_path: Path, suffix: str, codec: str) -> None:
    """Open GOP: pictures that come after a key frame in the file, and before it on the screen."""
    x264 = {"g": "10", "bf": "3", "flags": "-cgop", "x264-params": "open-gop=1:bframes=3:b-adapt=0"}
    x265 = {"x265-params": "open-gop=1:keyint=10:bframes=3:b-adapt=0:log-level=none"}
    path = tmp_path / f"clip{suffix}"
    write_stream(path, codec, noise(40), options=x264 if codec == "libx264" else x265)
    assert_as_decoded_in_order(path, 40)


def test_a_seek_never_leaves_a_stale_picture_of_hevc(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_stream(path, "libx265", noise(60), options={"x265-params": "keyint=12:bframes=4:log-level=none"})
    assert_as_decoded_in_order(path, 60)
    everything = every_frame(path)
    for seed in range(8):
        positions = np.random.default_rng(seed)
        sampled = decode_video(path, 9, positions)
        for picture in sampled.frames:
            assert (everything == picture).all(axis=(1, 2, 3)).any()


@pytest.mark.parametrize("first", [-8, 0, 12])
def test_an_edit_list_shows_what_a_player_shows(tmp_path: Path, first: int) -> None:
    """MP4 writes a beginning that is before or after 0 as an edit list; frames before it are not shown."""
    path = tmp_path / "clip.mp4"
    pictures = [Timed(first + index, picture) for index, picture in enumerate(noise(30))]
    write_stream(path, "libx264", pictures, options={"bf": "2", "g": "10"})
    assert_as_decoded_in_order(path, len(every_frame(path)))
    assert not decode_video(path).damage


@pytest.mark.parametrize(("begin", "length"), [(0, 10), (5, 10), (11, 7)])
def test_a_trimmed_recording_shows_no_frame_that_was_trimmed_off(tmp_path: Path, begin: int, length: int) -> None:
    """A phone trims by the edit list alone: all frames stay in the file, those outside flagged to be discarded."""
    path = tmp_path / "clip.mp4"
    write_stream(path, "libx264", numbered_frames(30), options={"bf": "0", "g": "10"})
    content = path.read_bytes()
    place = content.index(b"elst") + 12  # behind version, flags and the number of edits
    _, _, rate = struct.unpack_from(">iii", content, place)
    edit = struct.pack(">iii", length * 40, begin * 512, rate)  # milliseconds of the film, ticks of the track
    path.write_bytes(content[:place] + edit + content[place + 12 :])
    numbers = frame_numbers(decode_video(path, length).frames)
    assert numbers == list(range(begin, begin + length))


@pytest.mark.parametrize(
    ("container", "codec", "options"),
    [
        ("matroska", "libx264", {}),
        ("webm", "libvpx-vp9", {}),
        ("avi", "mpeg4", {}),
        ("flv", "libx264", {}),
        ("mp4", "libx264", {"movflags": "frag_keyframe+empty_moov"}),
        ("mpegts", "libx264", {}),
    ],
)
def test_recordings_that_were_streamed_are_read(container: str, codec: str, options: dict[str, str]) -> None:
    """Nothing could be filled in when they ended: no duration, no count, no index."""
    pipe = Pipe()
    write_stream(pipe, codec, numbered_frames(24), container=container, container_options=options, options={"g": "8"})
    content = bytes(pipe.content)
    assert frame_numbers(decode_video(content, 6).frames) == sample_frame_indices(24, 6).tolist()
    assert not decode_video(content).damage


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_screen_recording_with_a_frame_a_minute(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    times = [0, 1000, 61_000, 121_000, 121_040, 181_040]
    pictures = [Timed(time, picture) for time, picture in zip(times, numbered_frames(6), strict=True)]
    write_stream(path, "libx264", pictures, time_base=Fraction(1, 1000), options={"bf": "0"})
    sampled = decode_video(path, 12)
    moments = 1000 * sampled.seconds
    assert frame_numbers(sampled.frames) == [max(i for i, time in enumerate(times) if time <= m) for m in moments]


def test_time_stamps_that_are_there_twice(tmp_path: Path) -> None:
    """Matroska counts milliseconds: at 4,000 frames a second four share each."""
    path = tmp_path / "clip.mkv"
    write_stream(path, "libx264", numbered_frames(24), time_base=Fraction(1, 4000), options={"bf": "0"})
    numbers = frame_numbers(decode_video(path, 24).frames)
    assert numbers == sorted(numbers)
    assert len(numbers) == 24


def test_time_stamps_that_are_missing(tmp_path: Path) -> None:
    """AVI has none, and B-frames leave the decoder in another order than they are stored in."""
    path = tmp_path / "clip.avi"
    write_stream(path, "mpeg4", numbered_frames(24), options={"bf": "2", "g": "8"})
    assert frame_numbers(decode_video(path, 24).frames) == list(range(24))


def corner_picture() -> np.ndarray:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24, :32] = (220, 30, 30)  # red at the top left
    picture[24:, 32:] = (30, 30, 220)  # blue at the bottom right
    return picture


# (a, b, c, d) of the display matrix, which sends (x, y) to (a x + c y, b x + d y), and what it makes of a picture.
DISPLAY_MATRICES: dict[str, tuple[tuple[int, int, int, int], Callable[[np.ndarray], np.ndarray]]] = {
    "as it is": ((1, 0, 0, 1), lambda p: p),
    "a quarter to the right": ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
    "a half": ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
    "a quarter to the left": ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
    "mirrored": ((-1, 0, 0, 1), np.fliplr),
    "upside down": ((1, 0, 0, -1), np.flipud),
    "mirrored, a quarter to the right": ((0, 1, 1, 0), lambda p: np.rot90(np.fliplr(p), 1)),
    "mirrored, a quarter to the left": ((0, -1, -1, 0), lambda p: np.rot90(np.fliplr(p), -1)),
}


@pytest.mark.parametrize("turn", DISPLAY_MATRICES)
def test_every_way_to_hold_a_phone(tmp_path: Path, turn: str) -> None:
    (a, b, c, d), expected = DISPLAY_MATRICES[turn]
    path = tmp_path / "clip.mp4"
    write_stream(path, "libx264", [corner_picture()] * 3)
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40  # the matrix, nine numbers: a b u, c d v, x y w
    one = 0x10000
    struct.pack_into(">9i", content, place, a * one, b * one, 0, c * one, d * one, 0, 0, 0, 0x40000000)
    shown = decode_video(bytes(content), 1).frames[0]
    assert shown.shape == expected(corner_picture()).shape
    assert np.abs(shown.astype(int) - expected(corner_picture())).mean() < 12


def test_av1_with_film_grain(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_stream(path, "libsvtav1", noise(24), options={"preset": "10", "svtav1-params": "film-grain=20", "g": "8"})
    assert_as_decoded_in_order(path, 24)


def converted_by_ffmpeg(path: Path) -> np.ndarray:
    """The first frame, made RGB by FFmpeg's own `scale` filter: `[H, W, 3]`."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0))
        graph = av.filter.Graph()
        source, scale, sink = graph.add_buffer(container.streams.video[0]), graph.add("scale"), graph.add("buffersink")
        as_rgb = graph.add("format", "pix_fmts=rgb24")
        source.link_to(scale)
        scale.link_to(as_rgb)
        as_rgb.link_to(sink)
        graph.configure()
        graph.push(frame)
        return graph.pull().to_ndarray(format="rgb24")


@pytest.mark.parametrize("value_range", [1, 2], ids=["limited", "full"])
@pytest.mark.parametrize("space", [1, 5, 9], ids=["bt709", "bt601", "bt2020"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "yuv420p10le"])
def test_colours_are_those_that_ffmpeg_gives(tmp_path: Path, pixel_format: str, space: int, value_range: int) -> None:
    path = tmp_path / "clip.mkv"
    patches = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    write_stream(path, "ffv1", [patches], pixel_format=pixel_format, colour=(space, value_range))
    shown = decode_video(path, 1).frames[0].astype(int)
    assert np.abs(shown - converted_by_ffmpeg(path)).max() <= 2
    assert np.abs(shown - patches)[2:-2, 2:-2].mean() < 12


def test_a_stream_that_begins_in_the_middle_of_a_damaged_file_is_passed_over() -> None:
    """Found by `fuzz.py`: FLV tells of a stream when it comes."""
    content = bytearray(whole_file(".flv", "libx264"))
    tag = content.rindex(b"\x09", 0, len(content) * 3 // 4)
    for place in range(tag, len(content) - 15):
        size = int.from_bytes(content[place + 1 : place + 4], "big")
        if content[place] == 9 and content[place + 11 + size : place + 15 + size] == (size + 11).to_bytes(4, "big"):
            content[place] = 8  # sound
            break
    numbers = frame_numbers(decode_video(bytes(content), 8).frames)
    assert numbers == sorted(numbers)


def test_packets_behind_a_corrupt_stretch_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_stream(path, "libx264", numbered_frames(30), options={"g": "5", "bf": "0"})
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for position, size in packets[10:15]:
        content[position : position + size] = bytes(size)
    sampled = decode_video(bytes(content), 30)
    numbers = frame_numbers(sampled.frames)
    assert numbers[:10] == list(range(10))
    assert numbers[15:] == list(range(15, 30))
    assert numbers[10:15] == [9] * 5
    assert str(sampled.damage) == "5 of 30 frames are damaged or missing"
