"""What the Space takes, and the words in which it refuses the rest."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

MAX_UPLOAD_BYTES = 100 * 2**20
# Of a taught model that is brought back: the weights of a ResNet-50 are 94 MB.
MAX_MODEL_BYTES = 192 * 2**20
MAX_CLIP_SECONDS = 60.0
MAX_VIDEO_SECONDS = 600.0
MAX_PIXELS = 4096 * 2304
MAX_FRAMES_PER_SECOND = 240
_PIXEL_RULE = "Pictures of up to 4096 x 2304 are taken."


class VideoRefusedError(ValueError):
    """A video is not taken; the message says why in one line, names no path, and is shown to the user as it is."""


def check_video(path: str | Path, max_seconds: float) -> None:
    """Look at a video before any time is spent on it. What its header tells is judged before a frame is decoded.

    Args:
        path: The video.
        max_seconds: How long it may be.

    Raises:
        VideoRefusedError: It is no video, broken, too large or too long.
    """
    from resnet_lstm import VideoDecodingError
    from resnet_lstm.inference import probe_apart

    path = Path(path)
    size = path.stat().st_size if path.is_file() else None
    if size is None:
        raise VideoRefusedError("The video is no longer here. Please upload it again.")
    if size > MAX_UPLOAD_BYTES:
        raise VideoRefusedError(
            f"{path.name}: {size / 2**20:.0f} MB. At most {MAX_UPLOAD_BYTES / 2**20:.0f} MB are taken."
        )
    try:
        with closing(probe_apart(path)) as steps:  # type: ignore[type-var]
            header = next(steps)
            if header["width"] * header["height"] > MAX_PIXELS:
                raise VideoRefusedError(f"{path.name}: {header['width']} x {header['height']} pixels. {_PIXEL_RULE}")
            info = next(steps)
    except VideoDecodingError as error:
        raise VideoRefusedError(without_path(error, path)) from None
    if info["seconds"] > max_seconds:
        raise VideoRefusedError(
            f"{path.name}: {in_clock(info['seconds'])} long. At most {in_clock(max_seconds)} are taken here."
        )
    if info["fps"] > MAX_FRAMES_PER_SECOND:
        raise VideoRefusedError(
            f"{path.name}: {info['fps']:.0f} frames a second. At most {MAX_FRAMES_PER_SECOND} are taken."
        )


def read_frame(path: str | Path) -> np.ndarray:
    """A picture file as `[H, W, 3]` uint8.

    Raises:
        VideoRefusedError: It is no picture, or too large.
    """
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    path = Path(path)
    try:
        with Image.open(path) as image:
            if image.width * image.height > MAX_PIXELS:
                raise VideoRefusedError(f"{path.name}: {image.width} x {image.height} pixels. {_PIXEL_RULE}")
            return np.array(image.convert("RGB"))
    except (UnidentifiedImageError, OSError):
        raise VideoRefusedError(f"{path.name}: not readable as a picture.") from None


def without_path(error: Exception, path: str | Path) -> str:
    """An error's message with the file's name in the place of its path on this machine."""
    path = Path(path)
    message = str(error)
    for written in (str(path), str(path.absolute())):
        message = message.replace(written, path.name)
    return message


def in_clock(seconds: float) -> str:
    """`75.3` -> `1:15`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02}"
