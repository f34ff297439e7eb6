"""Clips whose classes differ in nothing but the order of their frames.

Classes come in mirrored pairs. Every clip shows a random scene of its own; the second class of a pair plays such
scenes backwards. A bag of frames is thus equally likely in both classes, and a model blind to order cannot beat chance
within a pair.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from .video_encoding import write_video
from .video_folder import DatasetError, require_free_target, staged_folder

PAIRS = (
    ("grow", "shrink"),
    ("brighten", "darken"),
    ("green_to_red", "red_to_green"),
    ("move_right", "move_left"),
)
CLASSES = tuple(label for pair in PAIRS for label in pair)

# Every frame is coded alone at one quality, so that a frame looks the same whichever frames came before it: prediction
# from the frame before would tell the direction of play. One thread, since x264 writes their number into the file.
_DIRECTION_BLIND = {"g": "1", "qp": "8", "threads": "1"}


def write_generated_clips(
    target: str | Path,
    clips_per_class: int,
    seed: int = 42,
    *,
    classes: Sequence[str] = CLASSES,
    size: tuple[int, int] = (64, 64),
    num_frames: int = 24,
    fps: float = 25,
) -> Path:
    """Write `target/<class>/<class>_NNN.mp4`; the same arguments give the same clips.

    Args:
        target: The folder to make; it must not hold anything yet.
        clips_per_class: Clips of each class.
        seed: Of the scenes.
        classes: Which of `CLASSES`.
        size: Height and width in pixels, both even.
        num_frames: Frames of each clip.
        fps: Frames per second.

    Returns:
        `target`.

    Raises:
        DatasetError: A class is unknown, or the target is in the way.
    """
    for label in classes:
        if label not in CLASSES:
            raise DatasetError(f"class {label!r}: must be one of {', '.join(CLASSES)}.")
    target = require_free_target(target, overwrite=False)
    with (
        staged_folder(target) as staging,
        tqdm(desc="Generating clips", total=len(classes) * clips_per_class, unit="clip") as progress,
    ):
        for label in classes:
            (staging / label).mkdir()
            for index in range(clips_per_class):
                frames = generate_frames(label, index, seed, size=size, num_frames=num_frames)
                path = staging / label / f"{label}_{index:03d}.mp4"
                write_video(path, frames, fps=fps, codec_options=_DIRECTION_BLIND)
                progress.update()
    return target


def generate_frames(
    label: str, index: int, seed: int, *, size: tuple[int, int] = (64, 64), num_frames: int = 24
) -> np.ndarray:
    """The frames `[T, H, W, 3]` uint8 of a class's clip number `index`."""
    rng = np.random.default_rng([seed, CLASSES.index(label), index])
    forward, backward = next(pair for pair in PAIRS if label in pair)
    frames = np.stack(list(_play(forward, _random_scene(rng), size, num_frames, rng)))
    return frames[::-1] if label == backward else frames


@dataclass(frozen=True)
class _Scene:
    """Lengths are fractions of the frame's height or width, colours RGB from 0 to 1."""

    background: np.ndarray
    gradient: np.ndarray
    colour: np.ndarray
    centre: tuple[float, float]
    radius: float
    change: float
    pace: float
    noise: float
    square: bool


def _random_scene(rng: np.random.Generator) -> _Scene:
    return _Scene(
        background=rng.uniform(0.1, 0.35, 3),
        gradient=rng.uniform(-0.1, 0.1, 3),
        colour=rng.uniform(0.6, 1.0, 3),
        centre=(rng.uniform(0.35, 0.65), rng.uniform(0.35, 0.65)),
        radius=rng.uniform(0.12, 0.2),
        change=rng.uniform(0.6, 1.0),
        pace=rng.uniform(0.6, 1.6),
        noise=rng.uniform(0.0, 0.03),
        square=bool(rng.integers(2)),
    )


def _play(
    label: str, scene: _Scene, size: tuple[int, int], num_frames: int, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """The scene's frames in the forward direction, each `[H, W, 3]` uint8."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    y, x = (y + 0.5) / height, (x + 0.5) / width
    background = scene.background + scene.gradient * x[..., None]
    for progress in np.linspace(0, 1, num_frames) ** scene.pace:
        step = scene.change * (progress - 0.5)
        radius, colour, light = scene.radius, scene.colour, 1.0
        centre_y, centre_x = scene.centre
        if label == "grow":
            radius *= 2.0 ** (2 * step)
        elif label == "brighten":
            light += step
        elif label == "green_to_red":
            colour = np.array([0.5 + step, 0.5 - step, scene.colour[2] * 0.3])
        elif label == "move_right":
            centre_x += 0.5 * step
        distance_y, distance_x = np.abs(y - centre_y), np.abs(x - centre_x)
        distance = np.maximum(distance_y, distance_x) if scene.square else np.hypot(distance_y, distance_x)
        picture = np.where((distance < radius)[..., None], colour, background) * light
        picture = picture + rng.normal(0, scene.noise, picture.shape)
        yield (np.clip(picture, 0, 1) * 255).round().astype(np.uint8)
