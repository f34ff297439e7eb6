"""RGB frames -> a video file (PyAV)."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

# The encoder that every PyAV wheel carries for the containers people use.
_CODEC_OF_SUFFIX = {
    ".avi": "mpeg4",
    ".gif": "gif",
    ".mkv": "libx264",
    ".mov": "libx264",
    ".mp4": "libx264",
    ".webm": "libvpx-vp9",
}
_PIXEL_FORMAT_OF_CODEC = {"gif": "rgb8"}


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    *,
    fps: float | Fraction = 25,
    codec: str | None = None,
    codec_options: dict[str, str] | None = None,
    presentation_times: Iterable[int] | None = None,
    rotation: float = 0,
) -> Path:
    """Encode frames into a video file.

    Args:
        path: Where to write; the suffix picks the container (avi, gif, mkv, mov, mp4 or webm).
        frames: RGB pictures of one size, each `[H, W, 3]` uint8. H and W must be even, except for gif.
        fps: Frames per second.
        codec: An FFmpeg encoder; by default the usual one of the container.
        codec_options: Options of that encoder, for example `{"g": "250"}`.
        presentation_times: When each frame is shown, in milliseconds from the start, for a variable frame rate.
        rotation: Degrees, counter-clockwise, that a player shall turn the picture by (mp4 and mov).

    Returns:
        `path`.

    Raises:
        ValueError: The suffix is not one of those above, or there is no frame.
    """
    path = Path(path)
    if path.suffix.lower() not in _CODEC_OF_SUFFIX:
        raise ValueError(
            f"{path}: cannot write a {path.suffix or 'suffix-less'} file; use one of "
            f"{', '.join(sorted(_CODEC_OF_SUFFIX))}."
        )
    codec = codec or _CODEC_OF_SUFFIX[path.suffix.lower()]
    times = None if presentation_times is None else iter(presentation_times)
    with av.open(str(path), "w") as container:
        stream = None
        for picture in frames:
            if stream is None:
                stream = container.add_stream(codec, rate=Fraction(fps).limit_denominator(1001))
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = _PIXEL_FORMAT_OF_CODEC.get(codec, "yuv420p")
                stream.options = codec_options or {}
                if rotation:
                    stream.set_display_rotation(rotation)
                if times is not None:
                    stream.codec_context.time_base = Fraction(1, 1000)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if times is not None:
                frame.pts, frame.time_base = next(times), Fraction(1, 1000)
            container.mux(stream.encode(frame))
        if stream is None:
            raise ValueError(f"{path}: there is no frame to write.")
        container.mux(stream.encode())
    return path
