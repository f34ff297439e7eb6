"""The frames that are on the screen at some moments of a video, with as little decoding as leads to them."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import av

from .video_damage import Damage
from .video_sources import VideoDecodingError, VideoSource, is_url
from .video_streams import NoFrameError, decode_packets, is_raw, open_stream, stream_packets
from .video_timeline import FORMATS_WITHOUT_SEEK, VideoTimeline

# A seek in these goes by the times of decoding, which come before those of display.
_FORMATS_SOUGHT_BY_DECODING_TIME = frozenset(("avi", "mpegts"))
# These decoders learn once, when they are opened, whether to leave frames out.
_DECODERS_THAT_LEAVE_OUT_NOTHING = frozenset(("libdav1d", "libaom-av1", "av1"))

# Readers of one file; each holds a decoder's memory.
_MAX_READERS = 8
# How many frames each keeps ready, so that a long way to one frame does not hold up the others.
_FRAMES_AHEAD = 2


def frames_at(
    source: VideoSource,
    stream: av.VideoStream,
    timeline: VideoTimeline,
    positions: list[Fraction],
    name: str,
    damage: Damage,
) -> Iterator[av.VideoFrame]:
    """The frames of `frames_on_screen`, by several readers of the file where that is sooner.

    Args:
        source: What `stream` was opened from.
        stream: The video stream.
        timeline: Its own.
        positions: As in `frames_on_screen`.
        name: Likewise.
        damage: Likewise.
    """
    num_readers = _num_readers(source, stream, timeline, positions)
    if num_readers > 1:
        return _frames_by_readers(source, stream, timeline, positions, name, num_readers, damage)
    return frames_on_screen(stream, timeline, positions, name, damage)


def frames_on_screen(
    stream: av.VideoStream, timeline: VideoTimeline, positions: list[Fraction], name: str, damage: Damage
) -> Iterator[av.VideoFrame]:
    """The frame that is on the screen at each of some moments.

    Args:
        stream: The video stream.
        timeline: Its own.
        positions: The moments, in ascending order, 0 being the clip's start and 1 its end (never reached).
        name: The source's, for messages.
        damage: Told of frames that are broken.

    Raises:
        VideoDecodingError: No frame can be decoded.
    """
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
            raise NoFrameError(f"{name}: no frame of it can be decoded ({stream.codec_context.name}).")
        # XviD in AVI leaves out, on purpose, frames that equal the one before.
        if shown[0] != wanted and stream.container.format.name != "avi":
            damage.add_broken(wanted)
        yield shown[1]


def _num_readers(
    source: VideoSource, stream: av.VideoStream, timeline: VideoTimeline, positions: list[Fraction]
) -> int:
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
    timeline: VideoTimeline,
    positions: list[Fraction],
    name: str,
    num_readers: int,
    damage: Damage,
) -> Iterator[av.VideoFrame]:
    """The frames of `frames_on_screen`, by several readers in turn.

    Threads within a decoder share out frames that follow one another, and wait at each seek; readers never wait.
    """

    def read(own_positions: list[Fraction]) -> Generator[av.VideoFrame]:
        with open_stream(source) as (own_stream, _):
            yield from frames_on_screen(own_stream, timeline, own_positions, name, damage)

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
                yield from list(frames_on_screen(stream, timeline, positions, name, damage))[index:]
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
        has_time_stamps = stream.container.format.name != "avi" and not is_raw(stream)
        may_leave_out = has_time_stamps and stream.codec_context.name not in _DECODERS_THAT_LEAVE_OUT_NOTHING
        for packet in stream_packets(stream):
            needed = self.everything or not may_leave_out or packet.pts is None or packet.pts in self.wanted
            # The decoder knows which frames others are made from, and never leaves those out.
            stream.codec_context.skip_frame = "DEFAULT" if needed else "NONREF"
            yield packet


def _decode_from(
    stream: av.VideoStream, timeline: VideoTimeline, key_frame: int | None, needed: _Needed, damage: Damage
) -> Iterator[tuple[int, av.VideoFrame]]:
    """Frames with the ticks they come up at, from a key frame on; None for the very beginning of the file."""
    ticks = timeline.start_ticks if key_frame is None else key_frame
    container = stream.container.format.name
    if container in FORMATS_WITHOUT_SEEK or (container == "mpegts" and key_frame is None):
        stream.container.seek(0, stream=stream, unsupported_byte_offset=True)
    elif container in _FORMATS_SOUGHT_BY_DECODING_TIME:
        first = min(timeline.decoding_ticks.values(), default=ticks)
        stream.container.seek(first if key_frame is None else timeline.decoding_ticks.get(ticks, ticks), stream=stream)
    else:
        stream.container.seek(ticks, stream=stream)
    return decode_packets(stream, needed.packets(stream), ticks, damage)
