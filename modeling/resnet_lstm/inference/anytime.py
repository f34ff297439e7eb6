"""Reading a clip only as far as it takes to be sure.

The backbone's time is spent frame by frame, and most clips are clear from a few. So the frames are read in stages,
each evenly over the whole clip and each twice as many as before, until the answer's score is high enough; no frame is
read twice. Of 16 frames:

    2    . . x . . . . . . . x . . . . .
    4    . . x . . . x . . . x . . . x .
    8    x . x . x . x . x . x . x . x .
    16   x x x x x x x x x x x x x x x x
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch

from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMForVideoClassificationOutput

_LEAST_FRAMES = 2
_CANDIDATES = np.linspace(0.995, 0.5, 100)

# Indices of frames -> their features `[n, D]`.
ReadFrames = Callable[[list[int]], torch.Tensor]


@dataclass(frozen=True)
class Reading:
    """What was read of a clip, and what it says.

    Attributes:
        indices: Of the frames that were read, in order of time.
        outputs: The model's, of a clip of these frames.
    """

    indices: list[int]
    outputs: ResNetLSTMForVideoClassificationOutput

    @property
    def logits(self) -> torch.Tensor:
        """The clip's, `[L]`."""
        return cast(torch.Tensor, self.outputs.logits)[0]


def reading_stages(num_frames: int) -> list[list[int]]:
    """The frames of each stage, those of the stages before it among them; the last one has all.

    Args:
        num_frames: T, how many frames there are.
    """
    stages = [list(range(num_frames))]
    first, step = 0, 1
    while num_frames // (2 * step) >= _LEAST_FRAMES:
        step *= 2
        # Of the two halves of the last stage, the one that lies nearer to the middle of the clip.
        middle = (step - 1) / 2
        first = min((first, first + step // 2), key=lambda candidate: abs(candidate - middle))
        stages.append(list(range(first, num_frames, step)))
    return stages[::-1]


@torch.inference_mode()
def read_until_sure(
    model: ResNetLSTMForVideoClassification, read_frames: ReadFrames, num_frames: int, sure_at: float
) -> Reading:
    """Read a clip's frames stage by stage, until the best answer's score reaches `sure_at` or all are read.

    Args:
        model: In evaluation mode.
        read_frames: Gives the features of frames; asked once for each frame at most.
        num_frames: T.
        sure_at: A score, such as `fit_early_exit_score` gives.
    """
    features: dict[int, torch.Tensor] = {}
    for stage in reading_stages(num_frames):
        unread = [index for index in stage if index not in features]
        features.update(zip(unread, read_frames(unread), strict=True))
        outputs = model(frame_features=torch.stack([features[index] for index in stage])[None])
        if outputs.logits.softmax(dim=-1).max() >= sure_at:
            break
    return Reading(stage, outputs)


def fit_early_exit_score(stage_logits: np.ndarray, agreement: float = 0.99) -> float:
    """The lowest score to stop at that leaves the answers as they are with all frames read.

    Args:
        stage_logits: `[S, N, L]`, logits after each stage, of N clips that the model was not trained on.
        agreement: The share of clips whose answer must be that of the last stage.

    Returns:
        The score, between 0.5 and 1; 1.0 (all frames are read) where no lower one is high enough.
    """
    exponentials = np.exp(stage_logits - stage_logits.max(axis=-1, keepdims=True))
    scores = (exponentials / exponentials.sum(axis=-1, keepdims=True)).max(axis=-1)  # [S, N]
    scores[-1] = np.inf
    answers = stage_logits.argmax(axis=-1)  # [S, N]
    lowest = 1.0
    for candidate in _CANDIDATES:
        stopped_at = (scores >= candidate).argmax(axis=0)  # [N]
        answer = np.take_along_axis(answers, stopped_at[None], axis=0)[0]  # [N]
        if np.mean(answer == answers[-1]) < agreement:
            break
        lowest = float(candidate)
    return lowest
