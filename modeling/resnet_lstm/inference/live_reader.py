"""A webcam, a stream from the network or a file -> frames at a steady rate, as they come."""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import TypeAlias

import av

from ..video_sources import VideoDecodingError, source_name
from ..video_streams import PASS_OVER_TAGS, ToPicture, decode_packets, stream_packets
from .frame_reader import SteadyFrames, TimedFrame, open_frames, steady_rate

LiveSource: TypeAlias = int | str | os.PathLike[str]

_TIMEOUT_SECONDS = 15.0
# A frame whose time stamp was rounded down to a millisecond is not early.
_ROUNDING_SECONDS = 1e-3
_STREAM_URL = re.compile(r"(https?|rtsps?|rtmps?|rtp|srt|tcp|udp)://", re.IGNORECASE)
# A playlist from the network may name further addresses, but no file of this machine.
_STREAM_OPTIONS = {
    "protocol_whitelist": "http,https,httpproxy,tcp,tls,udp,rtp,srtp,rtsp,rtmp,rtmps,srt,crypto",
    "rtsp_transport": "tcp",
}
_WEBCAM = re.compile(r"\d+|/dev/video\d+")


class NewestFrames:
    """The frames of something that does not wait: one for each `1 / fps` seconds, and where the reader is late, the
    newest. A thread decodes without pause, so that no queue grows anywhere.

    Attributes:
        dropped: How many frames were due and passed unread.
    """

    def __init__(self, frames: Iterator[tuple[float, av.VideoFrame]], fps: float | Fraction) -> None:
        """
        Args:
            frames: All frames with their moments in seconds, read by the thread.
            fps: Frames a second that are given.
        """
        self.dropped = 0
        self._interval = float(1 / steady_rate(fps))
        self._newest: tuple[float, av.VideoFrame] | None = None
        self._error: Exception | None = None
        self._ended = False
        self._change = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(frames,), name="newest-frames", daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[TimedFrame]:
        to_picture = ToPicture()
        while True:
            with self._change:
                self._change.wait_for(lambda: self._newest is not None or self._ended)
                if self._newest is None:
                    if self._error is not None:
                        raise self._error
                    return
                (seconds, frame), self._newest = self._newest, None
            yield TimedFrame(seconds, to_picture(frame))

    def close(self) -> None:
        """End the thread, which may take as long as one more frame."""
        self._ended = True
        self._thread.join()

    def _read(self, frames: Iterator[tuple[float, av.VideoFrame]]) -> None:
        due = -float("inf")
        try:
            for seconds, frame in frames:
                if self._ended:
                    return
                if seconds < due - _ROUNDING_SECONDS:
                    continue
                # Counted from the moment that was due, so that the rate holds; after a gap, from the frame.
                due = (due if seconds < due + self._interval else seconds) + self._interval
                with self._change:
                    self.dropped += self._newest is not None
                    self._newest = seconds, frame
                    self._change.notify()
        except Exception as error:  # raised again where the frames are read
            self._error = error
        finally:
            with self._change:
                self._ended = True
                self._change.notify()


@contextmanager
def open_live(source: LiveSource, fps: float | Fraction) -> Iterator[SteadyFrames | NewestFrames]:
    """Open a webcam, a stream or a file to read its frames at a steady rate.

    A webcam and a stream do not wait: what their reader is too late for is dropped. A file does, and nothing is.

    Args:
        source: A webcam's number or device (`0`, `"/dev/video0"`), the URL of a stream (rtsp, rtmp, http, ...), or the
            path of a file.
        fps: Frames a second.

    Raises:
        VideoDecodingError: It cannot be opened or decoded, or breaks off.
        ValueError: `fps` is not above 0.
    """
    rate = steady_rate(fps)
    text = os.fspath(source) if not isinstance(source, int) else str(source)
    is_webcam = _WEBCAM.fullmatch(text) is not None
    if not is_webcam and not _STREAM_URL.match(text):
        with open_frames(text, rate) as frames:
            yield frames
        return
    name = f"webcam {text}" if is_webcam else source_name(text)
    try:
        with _open_webcam(text) if is_webcam else _open_stream(text) as container:
            if not container.streams.video:
                raise VideoDecodingError(f"{name}: no video in it.")
            stream = container.streams.video[0]
            if not is_webcam and container.duration:
                yield SteadyFrames(stream, name, rate)
                return
            newest = NewestFrames(_with_seconds(stream, name), rate)
            try:
                yield newest
            finally:
                newest.close()
    except av.error.FFmpegError as error:
        # Its own message may hold the whole address.
        raise VideoDecodingError(f"{name}: {error.strerror or type(error).__name__}.") from None


def _open_webcam(device: str) -> av.container.InputContainer:
    number = device.removeprefix("/dev/video")
    if sys.platform == "darwin":
        return av.open(number, format="avfoundation", options={"framerate": "30"}, timeout=_TIMEOUT_SECONDS)
    if sys.platform == "win32":
        raise VideoDecodingError(f"webcam {device}: not supported on Windows; give the URL of a stream.")
    return av.open(f"/dev/video{number}", format="v4l2", timeout=_TIMEOUT_SECONDS)


def _open_stream(url: str) -> av.container.InputContainer:
    return av.open(url, container_options=_STREAM_OPTIONS, timeout=_TIMEOUT_SECONDS, **PASS_OVER_TAGS)


def _with_seconds(stream: av.VideoStream, name: str) -> Iterator[tuple[float, av.VideoFrame]]:
    """Frames with their moments: by the stream's clock, or by this machine's where it has none."""
    start_ticks: int | None = None
    start_time = time.monotonic()
    try:
        for _, frame in decode_packets(stream, stream_packets(stream)):
            if frame.pts is None:
                yield time.monotonic() - start_time, frame
                continue
            start_ticks = frame.pts if start_ticks is None else start_ticks
            yield float((frame.pts - start_ticks) * stream.time_base), frame
    except av.error.FFmpegError as error:
        raise VideoDecodingError(f"{name}: broke off ({error.strerror}).") from None
