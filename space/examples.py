"""Example videos, generated: nobody's rights are in them, and they may be passed on freely."""

from __future__ import annotations

import threading
from pathlib import Path

# Generated classes, each with the numbers of clips that show it well.
_CLIPS = {"grow": (1, 2, 3), "brighten": (2, 3, 4), "green_to_red": (0, 1, 2)}
_SEED = 7
_SIZE = (256, 256)
_FPS = 25
_FRAMES = 60
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
    return _made_once(folder / f"{label}.mp4", [(label, _CLIPS[label][0])])


def example_video(folder: Path) -> Path:
    """A longer example, in which one thing happens after the other."""
    clips = [(label, number) for label, numbers in _CLIPS.items() for number in numbers]
    return _made_once(folder / "one-after-the-other.mp4", clips)


def _made_once(path: Path, clips: list[tuple[str, int]]) -> Path:
    from resnet_lstm.data.generated_clips import generate_frames
    from resnet_lstm.data.video_encoding import write_video

    with _lock:
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            frames = (
                picture
                for label, number in clips
                for picture in generate_frames(label, number, _SEED, size=_SIZE, num_frames=_FRAMES)
            )
            write_video(path, frames, fps=_FPS)
    return path
