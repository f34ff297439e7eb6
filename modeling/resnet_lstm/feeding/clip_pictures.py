"""A clip's file -> the pictures of it that the model reads, and those that a person is shown."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from PIL import Image

from ..video_damage import Damage
from ..video_decoding import sample_video
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..video_sources import VideoSource

_LARGEST_SHOWN_PIXELS = 640


@dataclass(frozen=True)
class ClipPictures:
    """What was sampled from a clip.

    Attributes:
        pictures: `[T, height, width, 3]` uint8, RGB, in the size that the model reads.
        seconds: `[T]`, when each of them is shown, from the start of the clip.
        shown: `[T, H, W, 3]` uint8, the same none of them larger than 640 pixels, for people; None if not asked for.
        damage: What of the file is missing or was found broken.
    """

    pictures: torch.Tensor
    seconds: np.ndarray
    shown: torch.Tensor | None = None
    damage: Damage = field(default_factory=Damage)


def load_pictures(
    source: VideoSource,
    processor: ResNetLSTMVideoProcessor,
    *,
    generator: np.random.Generator | None = None,
    num_threads: int = 1,
    to_show: bool = False,
) -> ClipPictures:
    """Decode and resize a clip's frames.

    Args:
        source: A path, an http(s) URL, the file's bytes, or a binary file object.
        processor: How many frames, and their size.
        generator: Draws a random frame of each segment; without it the middle ones are taken.
        num_threads: For decoding; 0 for as many as there are cores.
        to_show: Whether to keep the frames for people too.

    Raises:
        VideoDecodingError: The source is missing, is no video, or cannot be decoded.
    """
    seconds, pictures, shown = [], [], []
    damage = Damage()
    sampled = sample_video(source, processor.num_frames, generator, num_threads=num_threads, damage=damage)
    for moment, picture in sampled:
        seconds.append(moment)
        pictures.append(torch.from_numpy(processor.resize_picture(picture)))
        if to_show:
            shown.append(torch.from_numpy(_shrunk(picture)))
    return ClipPictures(torch.stack(pictures), np.array(seconds), torch.stack(shown) if to_show else None, damage)


def _shrunk(picture: np.ndarray) -> np.ndarray:
    """A picture `[H, W, 3]`, shrunk to what a person needs to see."""
    shrink = max(picture.shape) / _LARGEST_SHOWN_PIXELS
    if shrink <= 1:
        return picture
    height, width = (max(1, round(side / shrink)) for side in picture.shape[:2])
    return np.array(Image.fromarray(picture).resize((width, height), reducing_gap=2.0))
