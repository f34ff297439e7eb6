"""Example videos, generated: nobody's rights are in them, and they may be passed on freely."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np

# Generated classes, each with the number of a clip that shows it well.
_CLIPS = {"grow": 1, "brighten": 2, "green_to_red": 0}
_SEED = 7
_SIZE = (256, 256)
_FPS = 25
_CLIP_FRAMES, _VIDEO_FRAMES = 60, 200
_lock = threading.Lock()


def example_names() -> list[str]:
    """The labels of the example clips."""
    return list(_CLIPS)


def example_clip(folder: Path, label: str) -> Path:
    """An example clip, made when it is first asked for.

    Args:
        folder: Where it is kept; made if need be.
        label: One of `example_names()`.
    """
    return _made_once(folder / f"{label}.mp4", [label], _CLIP_FRAMES)


def example_video(folder: Path) -> Path:
    """A longer example, in which one thing happens after the other."""
    return _made_once(folder / "one-after-the-other.mp4", list(_CLIPS), _VIDEO_FRAMES)


def _made_once(path: Path, labels: list[str], num_frames: int) -> Path:
    from resnet_lstm.data.generated_clips import generate_frames
    from resnet_lstm.data.video_encoding import write_video

    with _lock:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            frames = np.concatenate(
                [generate_frames(label, _CLIPS[label], _SEED, size=_SIZE, num_frames=num_frames) for label in labels]
            )
            write_video(path, frames, fps=_FPS)
    return path
