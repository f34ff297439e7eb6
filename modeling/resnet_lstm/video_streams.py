"""Opening a video file as a stream of packets, decoding them, and turning frames into pictures."""

from __future__ import annotations

import heapq
import logging
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import av
import numpy as np

from .hdr_tone_mapping import is_hdr, tone_mapped
from .video_damage import Damage
from .video_sources import VideoDecodingError, VideoSource, kind_of, readable, source_name

logger = logging.getLogger(__name__)

# Containers that hold pictures of their own, and streams of pictures without a container. Playlists and scripts (hls,
# concat, ...) are left out on purpose: such a "video" could make the reader open other files of this machine.
_CONTAINER_FORMATS = (
    "apng,asf,avi,dv,flv,gif,ivf,matroska,mov,mp4,mpeg,mpegts,mxf,nut,ogg,webm,yuv4mpegpipe,"
    "h264,hevc,m4v,mjpeg,mpegvideo"
)

# Without a container there are no time stamps, or such as a seek does not find: the frames are counted.
RAW_FORMATS = frozenset(("h264", "hevc", "m4v", "mjpeg", "mpegvideo"))

# H.264 and HEVC let a frame be shown up to this many places away from where it is decoded.
_RAW_STREAM_DISORDER = 16

# XviD in AVI may pack B-frames: the frames leave the decoder in order, their time stamps up to this many places off.
_AVI_TIME_STAMP_DISORDER = 4

# Threads take longer to start than a short clip of smaller pictures takes to decode, or one of these to convert.
_LEAST_PIXELS_FOR_THREADS = 640 * 360

# For `av.open`: a title that is not UTF-8 keeps no video from being read. From PyAV 19 on none does.
PASS_OVER_TAGS: dict[str, Any] = {"metadata_errors": "ignore"} if int(av.__version__.split(".")[0]) < 19 else {}


class NoFrameError(VideoDecodingError):
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
    except NoFrameError as error:
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
    return av.open(file, mode="r", container_options=options, **PASS_OVER_TAGS)


def stream_packets(*streams: av.stream.Stream) -> Iterator[av.Packet]:
    """The packets up to the end of the file or to where a cut-off file breaks, and the empty ones that flush."""
    try:
        packets = streams[0].container.demux(*streams)
        yield from _counted(packets) if is_raw(streams[0]) else packets
    except (av.error.InvalidDataError, av.error.EOFError, av.error.MemoryError, IndexError) as error:
        # For want of memory: a damaged size asks for more than there is. By an index: in a damaged FLV begin streams
        # that were not there when it was opened, and PyAV looks for them at the end.
        logger.debug("the packets end early: %s", error)


def is_raw(stream: av.stream.Stream) -> bool:
    """Whether the stream comes without a container."""
    return stream.container.format.name in RAW_FORMATS


def _counted(packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
    """Packets of a raw stream, each with the time that its place in the file gives it."""
    ticks = 0
    for packet in packets:
        if packet.size:
            packet.pts = packet.dts = ticks
            ticks += packet.duration or 1
        yield packet


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
    if is_raw(stream):
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
        num_threads = 1 if width * height < _LEAST_PIXELS_FOR_THREADS else 0
        picture = self.reformatter.reformat(
            frame, width, height, format="rgb24", interpolation="BICUBIC", threads=num_threads
        )
        return picture.to_ndarray()


def _upright(picture: np.ndarray, display_matrix: np.ndarray) -> np.ndarray:
    # FFmpeg's display matrix sends the stored point (x, y) to (a x + c y, b x + d y), y pointing down.
    (a, b), (c, d) = display_matrix[:2, :2].tolist()
    turned = abs(b) > abs(a)
    if turned:
        picture = picture.transpose(1, 0, 2)
    mirrored_x, mirrored_y = (c < 0, b < 0) if turned else (a < 0, d < 0)
    return picture[:: -1 if mirrored_y else 1, :: -1 if mirrored_x else 1]
