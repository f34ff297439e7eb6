"""Frame features of a long video -> clips of as many frames as the model was trained on, sliding over it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Window:
    """A clip within the video.

    Attributes:
        frames: Which of the video's frames it holds.
        frame_features: `[T, D]`.
    """

    frames: range
    frame_features: torch.Tensor


class SlidingWindows:
    """Cuts a sequence of frames into overlapping windows as it comes; only the frames of the last window are kept.

    Where the frames are closer in time than those that the model was trained on, a window takes every second or third
    of them, and such windows interleave:

        num_frames 4, stride 1, hop 2      0 1 2 3           num_frames 3, stride 2, hop 1      0   2   4
                                               2 3 4 5                                            1   3   5
                                                   4 5 6 7                                          2   4   6

    All frames are in some window. The last ones end with the last frames, and a video too short for a window is one.

    Args:
        num_frames: T, frames of a window.
        stride: How many frames it goes on from one of its own to the next.
        hop: How many of its own frames lie between its start and that of the next.
    """

    def __init__(self, num_frames: int, stride: int = 1, hop: int = 1) -> None:
        for name, value in (("num_frames", num_frames), ("stride", stride), ("hop", hop)):
            if value < 1:
                raise ValueError(f"{name}={value}: must be at least 1.")
        if hop > num_frames:
            raise ValueError(f"hop={hop}: frames between windows of {num_frames} would be left out.")
        self.num_frames, self.stride, self.hop = num_frames, stride, hop
        self._kept: deque[torch.Tensor] = deque(maxlen=(num_frames - 1) * stride + 1)
        self._num_seen = 0

    def add(self, frame_features: torch.Tensor) -> Iterator[Window]:
        """The windows that end with one of these frames.

        Args:
            frame_features: `[N, D]`, those of the next frames.
        """
        for features in frame_features:
            self._kept.append(features)
            self._num_seen += 1
            start = self._num_seen - (self.num_frames - 1) * self.stride - 1
            if start >= 0 and start // self.stride % self.hop == 0:
                yield self._ending_with(self._num_seen - 1)

    def finish(self) -> Iterator[Window]:
        """The windows that hold the frames which are in none yet."""
        for last in range(max(0, self._num_seen - self.stride), self._num_seen):
            start = last - (self.num_frames - 1) * self.stride
            if start < 0 or start // self.stride % self.hop:
                yield self._ending_with(last)

    def _ending_with(self, last: int) -> Window:
        first_kept = self._num_seen - len(self._kept)
        first = last - min(self.num_frames - 1, (last - first_kept) // self.stride) * self.stride
        frames = range(first, last + 1, self.stride)
        return Window(frames, torch.stack([self._kept[frame - first_kept] for frame in frames]))
