"""Awkward videos, made by code: every container and codec, and what recorders, networks and disks do to files."""

from __future__ import annotations

import contextlib
import io
import os
import struct
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

# (suffix, encoder) of all that the wheel can write and a person may come with.
CONTAINERS_AND_CODECS = (
    *((".avi", codec) for codec in ("mpeg4", "msmpeg4", "mjpeg", "libx264", "ffv1", "huffyuv", "utvideo", "rawvideo")),
    *((".mp4", codec) for codec in ("libx264", "libx265", "mpeg4", "libsvtav1", "libvpx-vp9", "mjpeg")),
    *((".mov", codec) for codec in ("libx264", "libx265", "prores_ks", "mjpeg", "qtrle", "png")),
    *((".mkv", codec) for codec in ("libx264", "libx265", "libvpx", "libvpx-vp9", "libsvtav1", "ffv1", "mpeg2video")),
    *((".webm", codec) for codec in ("libvpx", "libvpx-vp9", "libsvtav1")),
    *((".flv", codec) for codec in ("flv", "libx264")),
    *((".ts", codec) for codec in ("libx264", "libx265", "mpeg2video", "mpeg4")),
    *((".mts", codec) for codec in ("libx264",)),
    *((".mpg", codec) for codec in ("mpeg1video", "mpeg2video")),
    *((".wmv", codec) for codec in ("wmv1", "wmv2", "msmpeg4")),
    *((".ivf", codec) for codec in ("libvpx", "libvpx-vp9", "libsvtav1")),
    *((".nut", codec) for codec in ("mpeg4", "libx264", "ffv1")),
    *((".mxf", codec) for codec in ("mpeg2video",)),
    *((".gif", codec) for codec in ("gif",)),
    *((".apng", codec) for codec in ("apng",)),
    *((".y4m", codec) for codec in ("wrapped_avframe",)),
    *((".h264", codec) for codec in ("libx264",)),
    *((".hevc", codec) for codec in ("libx265",)),
    *((".m4v", codec) for codec in ("mpeg4",)),
    *((".m2v", codec) for codec in ("mpeg2video",)),
    *((".mjpeg", codec) for codec in ("mjpeg",)),
)

_FORMAT_OF_SUFFIX = {
    **{".ts": "mpegts", ".mts": "mpegts", ".m4v": "m4v", ".m2v": "mpeg2video", ".wmv": "asf"},
    **{".y4m": "yuv4mpegpipe", ".apng": "apng"},
}
_PIXEL_FORMATS = {
    **{"apng": "rgb24", "gif": "rgb8", "mjpeg": "yuvj420p", "png": "rgb24", "prores_ks": "yuv422p10le"},
    **{"huffyuv": "yuv422p", "qtrle": "rgb24", "rawvideo": "yuv420p"},
}
# So that a grey level is read back as it was written.
_FINE = {
    codec: {"qmin": "2", "qmax": "2"} for codec in ("mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "wmv1", "wmv2")
}
_FINE |= {"libx265": {"x265-params": "log-level=none"}, "libsvtav1": {"svtav1-params": "crf=20", "preset": "10"}}


class Timed(NamedTuple):
    """A picture, `[H, W, 3]` uint8, RGB, and when it is shown, in ticks of the time base."""

    ticks: int
    picture: np.ndarray


def write_stream(
    target: Path | io.RawIOBase,
    codec: str,
    pictures: Iterable[np.ndarray | Timed],
    *,
    container: str | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    pixel_format: str | None = None,
    time_base: Fraction = Fraction(1, 25),
    rotation: float = 0,
    colour: tuple[int, int] | None = None,
) -> None:
    """Encode RGB pictures, by default at 25 fps, by any encoder into any container.

    Args:
        target: A path, or something to write to.
        codec: FFmpeg's name of the encoder.
        pictures: In order, with their times where they are not one tick apart.
        container: FFmpeg's name of it; by default the suffix's.
        options: Of the encoder.
        container_options: Of the container.
        pixel_format: By default the usual one of the encoder.
        time_base: The length of a tick.
        rotation: As in `write_video`.
        colour: The colour space and range that the pictures are stored in, FFmpeg's numbers: 1 BT.709, 5 BT.601, 9
            BT.2020; 1 limited, 2 full.
    """
    if isinstance(target, Path):
        container = container or _FORMAT_OF_SUFFIX.get(target.suffix)
    place = str(target) if isinstance(target, Path) else target
    with _same_scheduling(), av.open(place, "w", format=container, options=container_options or {}) as file:
        stream = None
        for index, timed in enumerate(pictures):
            ticks, picture = timed if isinstance(timed, Timed) else (index, timed)
            if stream is None:
                stream = file.add_stream(
                    codec, rate=1 / time_base, options={**_FINE.get(codec, {}), **(options or {})}
                )
                stream.codec_context.time_base = time_base
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = pixel_format or _PIXEL_FORMATS.get(codec, "yuv420p")
                if colour:
                    stream.codec_context.colorspace, stream.codec_context.color_range = colour
                if rotation:
                    stream.set_display_rotation(rotation)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if colour:
                space, value_range = colour
                frame = frame.reformat(format=stream.pix_fmt, dst_colorspace=space, dst_color_range=value_range)
                frame.colorspace, frame.color_range = colour
            frame.pts, frame.time_base = ticks, time_base
            file.mux(stream.encode(frame))
        if stream is not None:
            file.mux(stream.encode())


@contextlib.contextmanager
def _same_scheduling() -> Iterator[None]:
    """SVT-AV1 makes the calling thread a real-time one where it may, and the processes that it starts afterwards with
    it: they would take the processor from all others."""
    if not hasattr(os, "sched_getscheduler"):
        yield
        return
    policy, parameters = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        os.sched_setscheduler(0, policy, parameters)


def every_frame(source: Path | bytes) -> np.ndarray:
    """Each frame of a video in order, decoded one after the other from the beginning: `[F, H, W, 3]`."""
    file = io.BytesIO(source) if isinstance(source, bytes) else str(source)
    with av.open(file) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


class Pipe(io.RawIOBase):
    """What cannot seek: what is written to it can no longer be changed."""

    def __init__(self) -> None:
        self.content = bytearray()

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.content += data
        return len(data)

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


def cut(content: bytes, part: float) -> bytes:
    """The beginning of a file that was not copied to its end."""
    return content[: round(part * len(content))]


def zeroed(content: bytes, start: float, part: float) -> bytes:
    """A file with zeros in a stretch of it, as a disk leaves them."""
    first, last = (round(share * len(content)) for share in (start, start + part))
    return content[:first] + bytes(last - first) + content[last:]


def mutated(content: bytes, generator: np.random.Generator) -> bytes:
    """A file with something done to it: bits flipped, stretches cut out, doubled, zeroed, swapped or overwritten."""
    data = bytearray(content)
    for _ in range(int(generator.integers(1, 4))):
        start = int(generator.integers(len(data)))
        length = min(len(data) - start, 2 ** int(generator.integers(0, 13)))
        match int(generator.integers(7)):
            case 0:
                for position in generator.integers(len(data), size=int(generator.integers(1, 20))):
                    data[position] ^= 1 << int(generator.integers(8))
            case 1:
                data[start : start + length] = generator.bytes(length)
            case 2:
                data[start : start + length] = bytes(length)
            case 3:
                del data[start : start + length]
            case 4:
                data[start:start] = data[start : start + length]
            case 5:
                data = data[: max(1, start)]
            case _:  # what may be a size or a count
                number = int(generator.choice([0, 1, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
                data[start : start + 4] = struct.pack(">I" if generator.random() < 0.5 else "<I", number)
        if not data:
            data += b"\0"
    return bytes(data)
