"""A video of any length -> frames at a steady rate, one at a time, in constant memory.

The frames are those on the screen in the middle of each `1 / fps` seconds, the rule by which `decode_video` samples:

    a video of 3.2 seconds at 2 fps    |  .  |  .  |  .  |  .  |  .  |  .  |      a frame for each half second
    frames at the seconds                0.25  0.75  1.25  1.75  2.25  2.75

A video of exactly T / fps seconds gives the T frames of `decode_video(video, T)`; one too short for any gives its
middle one. The times of the frames are not read
ahead of them, so that nothing that grows with the video is kept; and only the frames that are given are converted to
RGB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av
import numpy as np

from ..configuration_resnet_lstm import ResNetLSTMConfig
from ..video_damage import Damage, num_frames_missing
from ..video_sources import VideoDecodingError, VideoSource
from ..video_streams import ToPicture, decode_packets, open_stream, stream_packets

# Time stamps are rounded to ticks, milliseconds in Matroska: a frame that is late by less is not late.
_ROUNDING_SECONDS = Fraction(1, 1000)


# How long the mean clip of UCF-101 lasts (Soomro et al., https://arxiv.org/abs/1212.0402).
_TYPICAL_CLIP_SECONDS = 7.21


@dataclass(frozen=True)
class TimedFrame:
    """A picture and its moment.

    Attributes:
        seconds: From the start of the video.
        picture: `[H, W, 3]` uint8, RGB, upright.
    """

    seconds: float
    picture: np.ndarray


class OpenFrames(Protocol):
    """The frames of an open video, wherever it is decoded; the attributes are those of `SteadyFrames`."""

    total_seconds: float | None
    damage: Damage

    def __iter__(self) -> Iterator[TimedFrame]: ...


class SteadyFrames:
    """The frames of an open video, to be read once.

    Attributes:
        name: The video's name for messages.
        fps: Frames a second that are given.
        total_seconds: The video's duration, as its header tells; None where it does not.
        damage: What of it is missing or broken; known when all has been read.
    """

    def __init__(self, stream: av.VideoStream, name: str, fps: Fraction) -> None:
        self.name = name
        self.fps = float(fps)
        self.total_seconds = _header_seconds(stream)
        self.damage = Damage()
        self._stream = stream
        self._interval = 1 / fps

    def __iter__(self) -> Iterator[TimedFrame]:
        clock = _Clock(self._stream, self.damage)
        to_picture = ToPicture()
        shown: av.VideoFrame | None = None
        moment = self._interval / 2

        def frames_until(end: Fraction) -> Iterator[TimedFrame]:
            nonlocal moment
            picture = None
            while shown is not None and moment < end:
                picture = to_picture(shown) if picture is None else picture
                yield TimedFrame(float(moment), picture)
                moment += self._interval

        packets = clock.watch(stream_packets(self._stream))
        for ticks, frame in decode_packets(self._stream, packets, damage=self.damage):
            yield from frames_until(clock.seconds(ticks) - clock.rounding)
            shown = frame
        if shown is None:
            codec = self._stream.codec_context.name
            raise VideoDecodingError(f"{self.name}: no frame of it can be decoded ({codec}).")
        clock.finish()
        yield from frames_until(clock.end_seconds)
        if moment == self._interval / 2:
            yield TimedFrame(float(clock.end_seconds / 2), to_picture(shown))


@contextmanager
def open_frames(source: VideoSource, fps: float | Fraction) -> Iterator[SteadyFrames]:
    """Open a video to read its frames at a steady rate.

    Args:
        source: A path, an http(s) URL, the file's bytes, or a binary file object.
        fps: Frames a second. Where the video has fewer, they are repeated.

    Raises:
        VideoDecodingError: The source is missing, is no video, or no frame of it can be decoded.
        ValueError: `fps` is not above 0.
    """
    rate = steady_rate(fps)
    with open_stream(source) as (stream, name):
        yield SteadyFrames(stream, name, rate)


def steady_rate(fps: float | Fraction) -> Fraction:
    """A rate that can be counted with.

    Raises:
        ValueError: `fps` is not above 0.
    """
    if not 0 < fps < float("inf"):
        raise ValueError(f"fps={fps}: must be above 0.")
    return Fraction(fps).limit_denominator(100_000)


def training_rate(config: ResNetLSTMConfig) -> float:
    """Frames a second that a model was trained at; where its configuration does not tell, a guess: those of a clip
    as long as the mean one of UCF-101."""
    return config.frames_per_second or config.num_frames / _TYPICAL_CLIP_SECONDS


def _header_seconds(stream: av.VideoStream) -> float | None:
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if stream.container.duration:
        return stream.container.duration / av.time_base
    return None


class _Clock:
    """When a stream begins and ends, learned from its packets as they pass by."""

    def __init__(self, stream: av.VideoStream, damage: Damage) -> None:
        self.time_base = Fraction(stream.time_base)
        self.rounding = min(self.time_base, _ROUNDING_SECONDS)
        self._stream = stream
        self._damage = damage
        self._start_ticks: int | None = None
        self._last_ticks = -1
        self._last_duration = 0
        self._num_packets = 0
        self._num_hidden = 0

    def watch(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        codec = self._stream.codec_context.name
        for packet in packets:
            ticks = packet.pts if packet.pts is not None else packet.dts
            if ticks is not None and (packet.size == 0 or packet.is_discard):
                self._num_hidden += 1
            elif ticks is not None:
                self._damage.judge(packet, ticks, codec)
                self._num_packets += 1
                if self._start_ticks is None or ticks < self._start_ticks:
                    self._start_ticks = ticks
                if ticks >= self._last_ticks:
                    self._last_ticks, self._last_duration = ticks, packet.duration or 0
            yield packet

    def seconds(self, ticks: int) -> Fraction:
        return (ticks - (self._start_ticks or 0)) * self.time_base

    def finish(self) -> None:
        """Compare with what the container tells, now that all packets have passed by."""
        gap = Fraction(self._last_ticks - (self._start_ticks or 0), max(1, self._num_packets - 1))
        end_ticks = self._last_ticks + self._last_duration
        num_packets = self._num_packets + self._num_hidden
        self._damage.num_missing = num_frames_missing(self._stream, num_packets, gap, end_ticks)
        self._damage.num_frames = self._num_packets + self._damage.num_missing

    @property
    def end_seconds(self) -> Fraction:
        duration = self._last_duration
        if not duration:
            passed = self._last_ticks - (self._start_ticks or 0)
            duration = max(1, round(passed / max(1, self._num_packets - 1)))
        return self.seconds(self._last_ticks + duration)
