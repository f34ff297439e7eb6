"""When the frames of a video come up: read from its packets, none of which is decoded."""

from __future__ import annotations

import bisect
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import av

from .video_damage import Damage, num_frames_missing
from .video_streams import RAW_FORMATS, NoFrameError, stream_packets

# These are read from their first byte on: after a seek, frames of MPEG program streams have their neighbours' times.
FORMATS_WITHOUT_SEEK = RAW_FORMATS | {"mpeg"}


@dataclass(frozen=True)
class VideoTimeline:
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


def read_timeline(stream: av.VideoStream, name: str, damage: Damage) -> VideoTimeline:
    """Read the packets of a stream to their end.

    Args:
        stream: The video stream, at its start.
        name: The source's, for messages.
        damage: Told what the packets show of it.

    Raises:
        VideoDecodingError: There is no packet with a frame.
    """
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
        raise NoFrameError(f"{name}: its video stream holds no frame.")
    frame_ticks.sort()
    key_frame_ticks.sort()
    if not last_duration:
        last_duration = _mean_gap(frame_ticks, stream)
    end_ticks = last_ticks + last_duration
    mean_gap = Fraction(frame_ticks[-1] - frame_ticks[0], max(1, len(frame_ticks) - 1))
    damage.num_missing = num_frames_missing(stream, num_packets, mean_gap, end_ticks)
    damage.num_frames = len(frame_ticks) + damage.num_missing
    if stream.container.format.name in FORMATS_WITHOUT_SEEK:
        key_frame_ticks = []
    key_frame_ticks = key_frame_ticks or frame_ticks[:1]
    return VideoTimeline(frame_ticks, key_frame_ticks, end_ticks, Fraction(stream.time_base), decoding_ticks)


def _mean_gap(frame_ticks: list[int], stream: av.VideoStream) -> int:
    if frame_ticks[-1] > frame_ticks[0]:
        return max(1, round((frame_ticks[-1] - frame_ticks[0]) / (len(frame_ticks) - 1)))
    return max(1, round(1 / ((stream.average_rate or 25) * stream.time_base)))
