"""What a model makes of the order of a clip's frames: its answers where they come in another one."""

from __future__ import annotations

import copy

import numpy as np
import torch

from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification

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


def without_lstm(model: ResNetLSTMForVideoClassification) -> ResNetLSTMForVideoClassification | None:
    """A copy of a model whose LSTM has no say, on the same device; None where the model has no LSTM."""
    if model.lstm_classifier is None:
        return None
    silenced = copy.deepcopy(model).requires_grad_(False)
    for parameter in silenced.lstm_classifier.parameters():
        parameter.zero_()
    return silenced
