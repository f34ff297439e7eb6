"""The ways of looking at a clip that may be cached: which frames, and whether mirrored."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

import numpy as np

_VIEW_NAME = re.compile(r"(uniform|random-(\d+))(-flip)?")


@dataclass(frozen=True)
class View:
    """One way of looking at a clip.

    Attributes:
        name: `uniform` takes the middle frame of each segment, as evaluation does; `random-1`, `random-2`, ... take a
            random frame of each, drawn once for each clip; `-flip` mirrors the frames left to right.
    """

    name: str

    def __post_init__(self) -> None:
        if not _VIEW_NAME.fullmatch(self.name):
            raise ValueError(f"view {self.name!r}: must be uniform or random-1, random-2, ..., with or without -flip.")

    @property
    def flip(self) -> bool:
        """Whether the frames are mirrored."""
        return self.name.endswith("-flip")

    def generator(self, clip_sha256: str) -> np.random.Generator | None:
        """What draws the frames of a clip: the same ones each time; None for the middle frames."""
        if self.name.startswith("uniform"):
            return None
        seed = hashlib.sha256(f"{clip_sha256}/{self.name.removesuffix('-flip')}".encode()).digest()
        return np.random.default_rng(int.from_bytes(seed[:8], "little"))


UNIFORM = View("uniform")


def training_views(num_views: int, flip: bool = True) -> list[View]:
    """The first of the views to train on: `uniform`, then random frames, mirrored and not in turn.

    Args:
        num_views: How many; 1 means no augmentation.
        flip: Whether any is mirrored. Leave it off where left and right tell classes apart.

    Raises:
        ValueError: `num_views` is below 1.
    """
    if num_views < 1:
        raise ValueError(f"num_views={num_views}: at least one view is needed.")
    random_views = [View(f"random-{number}{'-flip' if flip and number % 2 else ''}") for number in range(1, num_views)]
    return [UNIFORM, *random_views]
