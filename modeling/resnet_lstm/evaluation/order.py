"""What a model makes of the order of a clip's frames: its answers where they come in another one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.func import functional_call

from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMForVideoClassificationOutput

ORDERS = ("as filmed", "shuffled", "reversed")


def in_order(frame_features: torch.Tensor, order: str, clip_sha256: str) -> torch.Tensor:
    """A clip's frames in another order.

    Args:
        frame_features: `[T, D]`, as filmed.
        order: One of `ORDERS`.
        clip_sha256: Of the clip. It decides how the frames are shuffled, so that every model sees them alike.

    Raises:
        ValueError: There is no such order.
    """
    if order == "as filmed":
        return frame_features
    if order == "reversed":
        return frame_features.flip(0)
    if order == "shuffled":
        generator = np.random.default_rng(int(clip_sha256[:16], 16))
        return frame_features[torch.from_numpy(generator.permutation(len(frame_features)))]
    raise ValueError(f"order {order!r}: must be one of {', '.join(ORDERS)}.")


def without_lstm(
    model: ResNetLSTMForVideoClassification,
) -> Callable[..., ResNetLSTMForVideoClassificationOutput] | None:
    """What is called as the model is, and answers as if its LSTM had no say; None where the model has no LSTM."""
    if model.lstm_classifier is None:
        return None
    silenced = {"lstm_classifier.weight": torch.zeros_like(model.lstm_classifier.weight)}

    def answer(**inputs: torch.Tensor) -> ResNetLSTMForVideoClassificationOutput:
        output: ResNetLSTMForVideoClassificationOutput = functional_call(model, silenced, kwargs=inputs)
        return output

    return answer
