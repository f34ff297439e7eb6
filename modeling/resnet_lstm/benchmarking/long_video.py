"""A long video to decode from, made of the clips at hand."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path

import av
import numpy as np
from tqdm.auto import tqdm

from ..data.video_encoding import write_video

_FPS = 25


def make_long_video(files: Sequence[Path], path: Path, seconds: float, size: tuple[int, int]) -> Path:
    """Join clips, one after the other and over again, into an H.264 video; what is there already is kept.

    Args:
        files: The clips.
        path: Where to write, an mp4.
        seconds: How long it shall be.
        size: Width and height in pixels.
    """
    if path.is_file():
        return path
    total = round(seconds * _FPS)
    frames = itertools.islice(_frames(itertools.cycle(files), *size), total)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".unfinished-{path.name}")
    progress = tqdm(frames, total=total, unit="frame", desc=path.name)
    return write_video(unfinished, progress, codec_options={"preset": "veryfast"}).replace(path)


def _frames(files: Iterator[Path], width: int, height: int) -> Iterator[np.ndarray]:
    for file in files:
        with av.open(str(file)) as container:
            for frame in container.decode(video=0):
                yield frame.reformat(width, height, format="rgb24").to_ndarray()
