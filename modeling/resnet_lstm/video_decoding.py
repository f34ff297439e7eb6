"""A video file -> sampled RGB frames, with PyAV alone.

A clip's frames are chosen by the time at which they are on the screen, so that a constant and a variable frame rate
follow one rule:

    wanted 4 of a clip of 10 frames   |0 1 2 . 3 4 . 5 6 7 . 8 9|   four equal segments
    middle of each segment                1    3     6     8        evenly over the whole clip, always the same
    wanted 4 of a clip of 2 frames    -> [0, 0, 1, 1]               a short clip repeats its frames in order

Training takes a random moment of each segment instead of its middle (TSN, https://arxiv.org/abs/1608.00859).
"""

from __future__ import annotations

import bisect
import contextlib
import heapq
import logging
import os
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import BinaryIO

import av
import numpy as np

from .hdr_tone_mapping import is_hdr, tone_mapped
from .video_damage import Damage, num_frames_missing
from .video_sources import VideoDecodingError, VideoSource, is_url, kind_of, readable, source_name

logger = logging.getLogger(__name__)

# Part of every feature cache's key: raise it when the same file and settings begin to give other frames.
DECODER_VERSION = 2

# Containers that hold pictures of their own, and streams of pictures without a container. Playlists and scripts (hls,
# concat, ...) are left out on purpose: such a "video" could make the reader open other files of this machine.
_CONTAINER_FORMATS = (
    "apng,asf,avi,dv,flv,gif,ivf,matroska,mov,mp4,mpeg,mpegts,mxf,nut,ogg,webm,yuv4mpegpipe,"
    "h264,hevc,m4v,mjpeg,mpegvideo"
)

# Without a container there are no time stamps, or such as a seek does not find: the frames are counted.
_RAW_FORMATS = frozenset(("h264", "hevc", "m4v", "mjpeg", "mpegvideo"))

# These are read from their first byte on: after a seek, frames of MPEG program streams have their neighbours' times.
_FORMATS_WITHOUT_SEEK = _RAW_FORMATS | {"mpeg"}
# A seek in these goes by the times of decoding, which come before those of display.
_FORMATS_SOUGHT_BY_DECODING_TIME = frozenset(("avi", "mpegts"))
# These decoders learn once, when they are opened, whether to leave frames out.
_DECODERS_THAT_LEAVE_OUT_NOTHING = frozenset(("libdav1d", "libaom-av1", "av1"))

# H.264 and HEVC let a frame be shown up to this many places away from where it is decoded.
_RAW_STREAM_DISORDER = 16

# XviD in AVI may pack B-frames: the frames leave the decoder in order, their time stamps up to this many places off.
_AVI_TIME_STAMP_DISORDER = 4

# Threads take longer to start than a short clip of smaller pictures takes to decode.
_LEAST_PIXELS_FOR_THREADS = 640 * 360

# Readers of one file; each holds a decoder's memory.
_MAX_READERS = 8
# How many frames each keeps ready, so that a long way to one frame does not hold up the others.
_FRAMES_AHEAD = 2


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        num_frames: Pictures in the file, as its container counts them.
        fps: Their mean number a second.
        seconds: The video's duration.
        width: Width in pixels, as displayed (after rotation).
        height: Height in pixels, as displayed (after rotation).
        rotation: Degrees counter-clockwise, a multiple of 90, by which the stored picture is turned for display.
        codec: FFmpeg's name of the codec.
        damage: What is missing or broken, as far as the container and the first frame tell.
    """

    num_frames: int
    fps: float
    seconds: float
    width: int
    height: int
    rotation: int
    codec: str
    damage: Damage


@dataclass(frozen=True)
class SampledFrames:
    """Frames of one clip in the order of time.

    Attributes:
        frames: `[T, H, W, 3]` uint8, RGB.
        seconds: `[T]` float64, the moment each frame was chosen for, counted from the clip's start.
        damage: What of the file is missing, or was found broken on the way to these frames.
    """

    frames: np.ndarray
    seconds: np.ndarray
    damage: Damage


@dataclass(frozen=True)
class _Timeline:
    """When the frames of a stream come up, in ticks of `time_base` seconds; read from its packets, none decoded."""

    frame_ticks: list[int]
    key_frame_ticks: list[int]
    end_ticks: int
    time_base: Fraction
    decoding_ticks: dict[int, int]  # of key frames

    @property
    def start_ticks(self) -> int:
        return self.frame_ticks[0]

    @property
    def seconds(self) -> Fraction:
        return (self.end_ticks - self.start_ticks) * self.time_base

    @cached_property
    def constant_rate(self) -> bool:
        """Whether the frames come at a constant rate, save for the rounding of their time stamps to a tick."""
        last = len(self.frame_ticks) - 1
        length = self.frame_ticks[-1] - self.start_ticks
        # Matroska's ticks are milliseconds, so 29.97 fps reads 0, 33, 67, 100. A tick of AVI is a whole frame.
        rounding = last if length >= 4 * last else 0
        return all(
            abs((ticks - self.start_ticks) * last - index * length) <= rounding
            for index, ticks in enumerate(self.frame_ticks)
        )

    def frame_at(self, position: Fraction) -> int:
        """Ticks at which the frame came up that is on the screen at a position (0 the clip's start, 1 its end)."""
        if self.constant_rate:
            return self.frame_ticks[int(position * len(self.frame_ticks))]
        ticks = self.start_ticks + position * (self.end_ticks - self.start_ticks)
        return self.frame_ticks[bisect.bisect_right(self.frame_ticks, ticks) - 1]

    def key_frame_before(self, frame_ticks: int) -> int:
        """Ticks of the last frame, not after the given one, at which decoding can start."""
        return self.key_frame_ticks[max(0, bisect.bisect_right(self.key_frame_ticks, frame_ticks) - 1)]


def segment_positions(num_frames: int, generator: np.random.Generator | None = None) -> list[Fraction]:
    """The sampling rule: one position in each of `num_frames` equal segments of a clip.

    Args:
        num_frames: T, how many positions; at least 1.
        generator: Draws a random position in each segment; without it, the middle of each.

    Returns:
        T positions in ascending order, 0 being the clip's start and 1 its end (never reached).

    Raises:
        ValueError: `num_frames` is below 1.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames={num_frames}: at least one frame must be sampled.")
    if generator is None:
        return [Fraction(2 * segment + 1, 2 * num_frames) for segment in range(num_frames)]
    return [(segment + Fraction(float(generator.random()))) / num_frames for segment in range(num_frames)]


def sample_frame_indices(
    total_frames: int, num_frames: int, generator: np.random.Generator | None = None
) -> np.ndarray:
    """The frames that `decode_video` chooses from a clip of `total_frames` at a constant rate.

    Args:
        total_frames: How many frames there are; at least 1.
        num_frames: T, how many are wanted.
        generator: As in `segment_positions`.

    Returns:
        `[T]` int64 indices in ascending order; a clip with fewer than T frames repeats them in order.

    Raises:
        ValueError: One of the numbers is below 1.
    """
    if total_frames < 1:
        raise ValueError(f"total_frames={total_frames}: there is no frame to sample from.")
    return np.array([int(position * total_frames) for position in segment_positions(num_frames, generator)])


def sample_video(
    source: VideoSource,
    num_frames: int = 16,
    generator: np.random.Generator | None = None,
    *,
    num_threads: int = 0,
    damage: Damage | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Sample frames evenly over a whole video, one after the other, so that large ones are never in memory together.

    Only the stretches that lead to a wanted frame are decoded: in a long file it seeks from key frame to key frame,
    and on the way it leaves out the frames that no other one is made from.

    Args:
        source: A path, an http(s) URL, the file's bytes, or a binary file object.
        num_frames: T, how many frames; any clip of at least one frame gives exactly T.
        generator: Draws a random moment in each of T equal segments (training); without it, the middle of each.
        num_threads: How many decode the file. 0, as many as there are cores, gives one clip soonest; 1 is best where
            other clips are decoded, or a model runs, at the same time.
        damage: Told what is found missing or broken; complete after the last frame.

    Yields:
        The moment each frame was chosen for, in seconds from the clip's start, and the frame, `[H, W, 3]` uint8, RGB,
        turned upright where the file says so. A frame that repeats is the same array.

    Raises:
        VideoDecodingError: The source is missing, is no video, or no frame of it can be decoded.
        ValueError: `num_frames` is below 1.
    """
    positions = segment_positions(num_frames, generator)
    damage = Damage() if damage is None else damage
    with open_stream(source, num_threads) as (stream, name):
        timeline = _read_timeline(stream, name, damage)
        num_readers = _num_readers(source, stream, timeline, positions)
        if num_readers > 1:
            frames = _frames_by_readers(source, stream, timeline, positions, name, num_readers, damage)
        else:
            frames = _frames_on_screen(stream, timeline, positions, name, damage)
        to_picture = ToPicture()
        previous = picture = None
        for position, frame in zip(positions, frames, strict=True):
            if picture is None or frame is not previous:
                previous, picture = frame, to_picture(frame)
            yield float(position * timeline.seconds), picture


def decode_video(
    source: VideoSource,
    num_frames: int = 16,
    generator: np.random.Generator | None = None,
    *,
    num_threads: int = 0,
) -> SampledFrames:
    """All frames of `sample_video`, which see for the arguments and errors, in one array."""
    damage = Damage()
    sampled = sample_video(source, num_frames, generator, num_threads=num_threads, damage=damage)
    moments, pictures = zip(*sampled, strict=True)
    return SampledFrames(np.stack(pictures), np.array(moments), damage)


def probe_video(source: VideoSource) -> VideoInfo:
    """What a video file holds, by its packets and its first frame.

    Args:
        source: As in `decode_video`.

    Raises:
        VideoDecodingError: As in `decode_video`.
    """
    with open_stream(source) as (stream, name):
        damage = Damage()
        timeline = _read_timeline(stream, name, damage)
        frame = next(_frames_on_screen(stream, timeline, [Fraction(0)], name, damage))
        height, width = ToPicture()(frame).shape[:2]
        return VideoInfo(
            num_frames=len(timeline.frame_ticks),
            fps=float(len(timeline.frame_ticks) / timeline.seconds),
            seconds=float(timeline.seconds),
            width=width,
            height=height,
            rotation=round(frame.rotation / 90) * 90 % 360,
            codec=stream.codec_context.name,
            damage=damage,
        )


class _NoFrameError(VideoDecodingError):
    """What was opened as a video holds no picture, as text does that is named `.h264`."""


@contextmanager
def open_stream(source: VideoSource, num_threads: int = 1) -> Iterator[tuple[av.VideoStream, str]]:
    """The video stream of a source, and the source's name for messages.

    Args:
        source: As in `decode_video`.
        num_threads: Likewise.

    Raises:
        VideoDecodingError: It cannot be opened, or what is read of it within the block cannot be decoded.
    """
    name = source_name(source)
    try:
        with readable(source, name) as file, _open_container(file) as container:
            # A song's cover is a "video" stream too.
            streams = [s for s in container.streams.video if not s.disposition & av.stream.Disposition.attached_pic]
            if not streams:
                found = ", ".join(sorted({s.type for s in container.streams})) or "nothing"
                raise VideoDecodingError(f"{name}: no video stream (found: {found}). Is it a video file?")
            stream, context = streams[0], streams[0].codec_context
            if context is None:
                raise VideoDecodingError(f"{name}: not readable as a video (Decoder not found).")
            # Several frames at a time: few files are cut into slices, which PyAV's default would share out.
            context.thread_type = "FRAME"
            small = context.width * context.height < _LEAST_PIXELS_FOR_THREADS
            context.thread_count = 1 if small else num_threads
            yield stream, name
    except _NoFrameError as error:
        kind = kind_of(source)
        raise VideoDecodingError(f"{error} Found: {kind}." if kind else str(error)) from None
    except av.error.FFmpegError as error:
        raise VideoDecodingError(f"{name}: not readable as a video ({_cause(source, error)}).") from error
    except OSError as error:
        raise VideoDecodingError(f"{name}: {error.strerror or error}.") from error


def _cause(source: VideoSource, error: av.error.FFmpegError) -> str:
    found = kind_of(source)
    if found:
        return f"found: {found}"
    if isinstance(error, av.error.ArgumentError):  # what FFmpeg says of a format that is not on the list
        return f"its format is none that is read: {_CONTAINER_FORMATS.replace(',', ', ')}"
    return str(error.strerror)


def _open_container(file: str | BinaryIO) -> av.container.InputContainer:
    options = {"format_whitelist": _CONTAINER_FORMATS, "protocol_whitelist": "file"}
    return av.open(file, mode="r", container_options=options, metadata_errors="ignore")


def _read_timeline(stream: av.VideoStream, name: str, damage: Damage) -> _Timeline:
    frame_ticks, key_frame_ticks = [], []
    decoding_ticks: dict[int, int] = {}
    last_ticks, last_duration = -1, 0
    num_packets = 0
    codec = stream.codec_context.name
    for packet in stream_packets(stream):
        ticks = packet.pts if packet.pts is not None else packet.dts
        if ticks is None:
            continue
        num_packets += 1
        if packet.size == 0 or packet.is_discard:
            continue
        damage.judge(packet, ticks, codec)
        frame_ticks.append(ticks)
        if packet.is_keyframe:
            key_frame_ticks.append(ticks)
            decoding_ticks[ticks] = packet.dts if packet.dts is not None else ticks
        if ticks >= last_ticks:
            last_ticks, last_duration = ticks, packet.duration or 0
    if not frame_ticks:
        raise _NoFrameError(f"{name}: its video stream holds no frame.")
    frame_ticks.sort()
    key_frame_ticks.sort()
    if not last_duration:
        last_duration = _mean_gap(frame_ticks, stream)
    end_ticks = last_ticks + last_duration
    mean_gap = Fraction(frame_ticks[-1] - frame_ticks[0], max(1, len(frame_ticks) - 1))
    damage.num_missing = num_frames_missing(stream, num_packets, mean_gap, end_ticks)
    damage.num_frames = len(frame_ticks) + damage.num_missing
    if stream.container.format.name in _FORMATS_WITHOUT_SEEK:
        key_frame_ticks = []
    key_frame_ticks = key_frame_ticks or frame_ticks[:1]
    return _Timeline(frame_ticks, key_frame_ticks, end_ticks, stream.time_base, decoding_ticks)


def _mean_gap(frame_ticks: list[int], stream: av.VideoStream) -> int:
    if frame_ticks[-1] > frame_ticks[0]:
        return max(1, round((frame_ticks[-1] - frame_ticks[0]) / (len(frame_ticks) - 1)))
    return max(1, round(1 / ((stream.average_rate or 25) * stream.time_base)))


def stream_packets(*streams: av.stream.Stream) -> Iterator[av.Packet]:
    """The packets up to the end of the file or to where a cut-off file breaks, and the empty ones that flush."""
    try:
        packets = streams[0].container.demux(*streams)
        yield from _counted(packets) if _is_raw(streams[0]) else packets
    except (av.error.InvalidDataError, av.error.EOFError, av.error.MemoryError, IndexError) as error:
        # For want of memory: a damaged size asks for more than there is. By an index: in a damaged FLV begin streams
        # that were not there when it was opened, and PyAV looks for them at the end.
        logger.debug("the packets end early: %s", error)


def _is_raw(stream: av.stream.Stream) -> bool:
    return stream.container.format.name in _RAW_FORMATS


def _counted(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """Packets of a raw stream, each with the time that its place in the file gives it."""
    ticks = 0
    for packet in packets:
        if packet.size:
            packet.pts = packet.dts = ticks
            ticks += packet.duration or 1
        yield packet


def _frames_on_screen(
    stream: av.VideoStream, timeline: _Timeline, positions: list[Fraction], name: str, damage: Damage
) -> Iterator[av.VideoFrame]:
    """The frame that is on the screen at each of some ascending positions."""
    all_wanted = [timeline.frame_at(position) for position in positions]
    needed = _Needed(all_wanted)
    shown: tuple[int, av.VideoFrame] | None = None
    coming: tuple[int, av.VideoFrame] | None = None
    decoded: Iterator[tuple[int, av.VideoFrame]] | None = None
    for wanted in all_wanted:
        key_frame = timeline.key_frame_before(wanted)
        if decoded is None or (coming is not None and coming[0] < key_frame):
            decoded = _decode_from(stream, timeline, key_frame, needed, damage)
            coming = next(decoded, None)
            if coming is None or coming[0] > wanted:
                # The container's index led past the frame, or the key frame is broken.
                decoded = _decode_from(stream, timeline, None, needed, damage)
                coming = next(decoded, None)
        shown, coming = _advance(decoded, shown, coming, wanted)
        if (shown is None or shown[0] != wanted) and not needed.everything:
            # The frame itself is broken: the one before it stays on the screen, and may be one that was left out.
            needed.everything = True
            decoded = _decode_from(stream, timeline, key_frame, needed, damage)
            shown, coming = _advance(decoded, shown, next(decoded, None), wanted)
        if shown is None:
            raise _NoFrameError(f"{name}: no frame of it can be decoded ({stream.codec_context.name}).")
        # XviD in AVI leaves out, on purpose, frames that equal the one before.
        if shown[0] != wanted and stream.container.format.name != "avi":
            damage.add_broken(wanted)
        yield shown[1]


def _num_readers(source: VideoSource, stream: av.VideoStream, timeline: _Timeline, positions: list[Fraction]) -> int:
    """How many may read a file at the same time, none decoding what another one does; 1 where that does not pay."""
    num_threads = stream.codec_context.thread_count or os.cpu_count() or 1
    is_file = isinstance(source, str | os.PathLike) and not is_url(source)
    key_frames = [timeline.key_frame_before(timeline.frame_at(position)) for position in positions]
    if not is_file or stream.container.format.name == "avi" or len(set(key_frames)) < len(key_frames):
        return 1
    return min(num_threads, len(positions), _MAX_READERS)


def _frames_by_readers(
    source: VideoSource,
    stream: av.VideoStream,
    timeline: _Timeline,
    positions: list[Fraction],
    name: str,
    num_readers: int,
    damage: Damage,
) -> Iterator[av.VideoFrame]:
    """The frames of `_frames_on_screen`, by several readers in turn.

    Threads within a decoder share out frames that follow one another, and wait at each seek; readers never wait.
    """

    def read(own_positions: list[Fraction]) -> Generator[av.VideoFrame]:
        with open_stream(source) as (own_stream, _):
            yield from _frames_on_screen(own_stream, timeline, own_positions, name, damage)

    readers = [read(positions[number::num_readers]) for number in range(num_readers)]
    with contextlib.ExitStack() as stack:
        for reader in readers:
            stack.enter_context(contextlib.closing(reader))
        threads = [stack.enter_context(ThreadPoolExecutor(1)) for _ in readers]
        turns = [number % num_readers for number in range(len(positions))]
        ahead = _FRAMES_AHEAD * num_readers
        coming = deque(threads[number].submit(next, readers[number]) for number in turns[:ahead])
        for index, position in enumerate(positions):
            try:
                frame = coming.popleft().result()
            except VideoDecodingError:
                frame = None
            if frame is None or frame.pts != timeline.frame_at(position):
                # It is broken. What is on the screen instead may be a frame that another reader has decoded.
                yield from list(_frames_on_screen(stream, timeline, positions, name, damage))[index:]
                return
            for number in turns[index + ahead : index + ahead + 1]:
                coming.append(threads[number].submit(next, readers[number]))
            yield frame


def _advance(
    decoded: Iterator[tuple[int, av.VideoFrame]],
    shown: tuple[int, av.VideoFrame] | None,
    coming: tuple[int, av.VideoFrame] | None,
    wanted: int,
) -> tuple[tuple[int, av.VideoFrame] | None, tuple[int, av.VideoFrame] | None]:
    """Decode until the frame that is shown at `wanted` is known: that frame, and the one that comes after it."""
    while coming is not None and (coming[0] <= wanted or shown is None):
        shown, coming = coming, next(decoded, None)
    return shown, coming


class _Needed:
    """Which frames must be decoded though no other one is made from them."""

    def __init__(self, wanted: list[int]) -> None:
        self.wanted = frozenset(wanted)
        self.everything = False

    def packets(self, stream: av.VideoStream) -> Iterator[av.Packet]:
        """The stream's packets; before each, the decoder is told whether it may leave it out."""
        has_time_stamps = stream.container.format.name != "avi" and not _is_raw(stream)
        may_leave_out = has_time_stamps and stream.codec_context.name not in _DECODERS_THAT_LEAVE_OUT_NOTHING
        for packet in stream_packets(stream):
            needed = self.everything or not may_leave_out or packet.pts is None or packet.pts in self.wanted
            # The decoder knows which frames others are made from, and never leaves those out.
            stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
            yield packet


def _decode_from(
    stream: av.VideoStream, timeline: _Timeline, key_frame: int | None, needed: _Needed, damage: Damage
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frames with the ticks they come up at, from a key frame on; None for the very beginning of the file."""
    ticks = timeline.start_ticks if key_frame is None else key_frame
    container = stream.container.format.name
    if container in _FORMATS_WITHOUT_SEEK or (container == "mpegts" and key_frame is None):
        stream.container.seek(0, stream=stream, unsupported_byte_offset=True)
    elif container in _FORMATS_SOUGHT_BY_DECODING_TIME:
        first = min(timeline.decoding_ticks.values(), default=ticks)
        stream.container.seek(first if key_frame is None else timeline.decoding_ticks.get(ticks, ticks), stream=stream)
    else:
        stream.container.seek(ticks, stream=stream)
    return decode_packets(stream, needed.packets(stream), ticks, damage)


def decode_packets(
    stream: av.VideoStream, packets: Iterable[av.Packet], ticks: int = 0, damage: Damage | None = None
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frames in order of display with the ticks they come up at.

    Args:
        stream: The video stream.
        packets: Packets of it, the empty one that flushes last. A damaged one costs its own frames, not the video.
        ticks: Stands in for the time of a first frame that has none.
        damage: Told of packets that cannot be decoded and of frames that are known to be incomplete.
    """
    disorder = _AVI_TIME_STAMP_DISORDER if stream.container.format.name == "avi" else 0
    if _is_raw(stream):
        disorder = _RAW_STREAM_DISORDER
    frames: deque[av.VideoFrame] = deque()
    frame_ticks: list[int] = []
    for packet in packets:
        try:
            decoded = packet.decode()
        except av.error.InvalidDataError as error:
            logger.debug("a packet was skipped: %s", error)
            if damage is not None:
                damage.add_broken(packet.pts if packet.pts is not None else packet.dts)
            continue
        for frame in decoded:
            ticks = frame.pts if frame.pts is not None else frame.dts if frame.dts is not None else ticks + 1
            if damage is not None and frame.is_corrupt:
                damage.add_broken(ticks)
            frames.append(frame)
            heapq.heappush(frame_ticks, ticks)
            if len(frames) > disorder:
                yield heapq.heappop(frame_ticks), frames.popleft()
    while frames:
        yield heapq.heappop(frame_ticks), frames.popleft()


class ToPicture:
    """Turns the frames of one stream into pictures as they are displayed, `[H, W, 3]` uint8."""

    def __init__(self) -> None:
        # A frame's own `to_ndarray` would set up the colour conversion anew each time.
        self.reformatter = av.video.reformatter.VideoReformatter()
        self.display_matrix: np.ndarray | None = None
        self.size: tuple[int, int] | None = None

    def __call__(self, frame: av.VideoFrame) -> np.ndarray:
        if self.size is None:
            matrix = frame.side_data.get("DISPLAYMATRIX")
            self.display_matrix = None if matrix is None else np.frombuffer(matrix, np.int32).reshape(3, 3).copy()
            # A stream may change its size on the way; its pictures keep that of the first.
            self.size = frame.width, frame.height
        picture = self._in_ordinary_range(frame, *self.size)
        return picture if self.display_matrix is None else _upright(picture, self.display_matrix)

    def _in_ordinary_range(self, frame: av.VideoFrame, width: int, height: int) -> np.ndarray:
        if is_hdr(frame):
            return tone_mapped(frame, self.reformatter, width, height)
        # Bicubic is what FFmpeg itself takes for the colours between two samples of more than 8 bits.
        return self.reformatter.reformat(frame, width, height, format="rgb24", interpolation="BICUBIC").to_ndarray()


def _upright(picture: np.ndarray, display_matrix: np.ndarray) -> np.ndarray:
    # FFmpeg's display matrix sends the stored point (x, y) to (a x + c y, b x + d y), y pointing down.
    (a, b), (c, d) = display_matrix[:2, :2].tolist()
    turned = abs(b) > abs(a)
    if turned:
        picture = picture.transpose(1, 0, 2)
    mirrored_x, mirrored_y = (c < 0, b < 0) if turned else (a < 0, d < 0)
    return picture[:: -1 if mirrored_y else 1, :: -1 if mirrored_x else 1]
