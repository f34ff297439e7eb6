"""Frame features of a long video, as they come -> what the model says at each of its moments.

Windows as long as a training clip slide over the features, and a frame's logits are the mean of what the windows that
hold it say of it. A single frame says little, and a window across a change of action says something false. So a moment
is a clip of its own: the frames around it, each counting the more the closer it is in time and the more it looks alike
(a bilateral filter, Tomasi and Manduchi, "Bilateral filtering for gray and color images", ICCV 1998). At a cut it ends
by itself.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from .windows import SlidingWindows, Window

# How much more a frame counts for each step of cosine similarity, in nats: one at right angles a 150th of one alike.
_LIKENESS_WEIGHT = 5.0


@dataclass
class _Frame:
    """A frame that may still be part of a moment.

    Attributes:
        features: `[H]`, what the head reads of it; None until a window holds it.
        logit_sum: `[L]`, of the windows that hold it.
        num_windows: How many these are.
    """

    features: torch.Tensor | None
    logit_sum: torch.Tensor
    num_windows: int


class Moments:
    """Takes a video's frames in order; keeps of each `L + 1` numbers for good, and what the head reads for a while.

    Shapes: F frames of the video, H size of what the head reads of a frame, L labels.

    Args:
        model: In evaluation mode.
        stride: How many frames it goes on from one of a clip's frames to the next.
    """

    def __init__(self, model: ResNetLSTMForVideoClassification, stride: int = 1) -> None:
        self._model = model
        num_frames = model.config.num_frames
        self._windows = SlidingWindows(num_frames, stride, hop=max(1, num_frames // 4))
        # As wide as a clip: two standard deviations of the closeness in time.
        self._deviation = num_frames * stride / 2
        self._reach = round(3 * self._deviation)
        # What a frame shows; what has changed is nothing in a first frame, and a great deal after a cut.
        self._alike_by = model.config.pooled_size
        # A frame is in no window that starts after it.
        self._longest_window = (num_frames - 1) * stride + 1
        self._frames: deque[_Frame] = deque()
        self._first = 0  # the number of the first of them
        self._num_done = 0
        # One block that doubles: small arrays of their own, each allocated among the pictures that come and go, would
        # keep the allocator from using the pictures' memory again.
        self._results = np.zeros((1024, model.config.num_labels + 1), np.float32)

    def add(self, frame_features: torch.Tensor) -> None:
        """Go on by the next frames, `[N, D]`."""
        for _ in frame_features:
            self._frames.append(_Frame(None, torch.zeros(self._model.config.num_labels), 0))
        self._read(self._windows.add(frame_features))
        self._finish_until(self._num_seen - self._longest_window - self._reach)

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """What the model says, when all frames have been added.

        Returns:
            The actions' scores at each moment, `[F, L]` float32, which sum to 1; and how probable it is that it shows
            one of them at all, `[F]` float32, 1 where the model does not tell.
        """
        self._read(self._windows.finish())
        self._finish_until(self._num_seen)
        results = self._results[: self._num_done]
        return results[:, :-1], results[:, -1]

    @property
    def _num_seen(self) -> int:
        return self._first + len(self._frames)

    def _read(self, windows: Iterable[Window]) -> None:
        for _, group in itertools.groupby(windows, key=lambda window: len(window.frames)):
            some = list(group)
            frame_features = torch.stack([window.frame_features for window in some])  # [B, T, D]
            hidden_state = self._model.resnet_lstm(frame_features=frame_features).last_hidden_state
            frame_logits = self._model.frame_logits(hidden_state).float().cpu()  # [B, T, L]
            features = hidden_state[..., : self._model.config.hidden_size]  # [B, T, H]
            for window, rows, logits in zip(some, features, frame_logits, strict=True):
                for number, row, row_logits in zip(window.frames, rows, logits, strict=True):
                    frame = self._frames[number - self._first]
                    frame.logit_sum += row_logits
                    frame.num_windows += 1
                    # By the first window, in which it comes last, and has changed since a frame that is there.
                    frame.features = row.clone() if frame.features is None else frame.features

    def _finish_until(self, stop: int) -> None:
        """Let go of what the moments before this one need; no window holds their surroundings any more."""
        start = self._num_done
        if stop <= start:
            return
        around = range(max(start - self._reach, self._first), min(stop + self._reach, self._num_seen))
        frames = [self._frames[number - self._first] for number in around]
        features = torch.stack([frame.features for frame in frames if frame.features is not None])  # [A, H]
        logits = torch.stack([frame.logit_sum / frame.num_windows for frame in frames])  # [A, L]
        directions = F.normalize(features[:, : self._alike_by].float(), dim=1)
        likeness = directions[start - around.start : stop - around.start] @ directions.T  # [stop - start, A]
        steps = torch.arange(start, stop)[:, None] - torch.arange(around.start, around.stop)
        closeness = (-0.5 * (steps / self._deviation) ** 2).masked_fill(steps.abs() > self._reach, -torch.inf)
        log_weights = _LIKENESS_WEIGHT * likeness + closeness.to(likeness.device)
        if len(frames) > 1:
            # A frame is always like itself. Were that to count in full, one unlike all others would be a moment alone.
            itself = steps.to(likeness.device) == 0
            most_alike = log_weights.masked_fill(itself, -torch.inf).amax(dim=1, keepdim=True)
            log_weights = torch.where(itself, (log_weights + most_alike) / 2, log_weights)
        weights = log_weights.softmax(dim=1)

        known = self._model.known_probability((weights @ features.float()).to(features.dtype))
        while stop > len(self._results):
            self._results = np.concatenate([self._results, np.zeros_like(self._results)])
        self._results[start:stop, :-1] = (weights.cpu() @ logits).softmax(dim=1).numpy()
        self._results[start:stop, -1] = 1.0 if known is None else known.float().cpu().numpy()
        self._num_done = stop
        while self._first < stop - self._reach:
            self._frames.popleft()
            self._first += 1
