"""Heads to compare the model with: the two baselines, and what was tried beside the model's own head.

Each is called as the model is, `head(frame_features=...)`, and gives its logits. B batch, T frames, K channels of the
backbone's last map, D frame feature size (K for each cell of the pooling grid), L labels.
"""

from __future__ import annotations

import torch
from torch import nn

from ..modeling_resnet_lstm import ResNetLSTMForVideoClassificationOutput


class MeanOfFramesHead(nn.Module):
    """The mean of the frames' features and a linear classifier: what ignoring order reaches.

    Args:
        num_channels: K.
        num_labels: L.
        dropout: Before the classifier.
    """

    def __init__(self, num_channels: int, num_labels: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.classifier = nn.Sequential(
            nn.LayerNorm(num_channels), nn.Dropout(dropout), nn.Linear(num_channels, num_labels)
        )

    def forward(self, frame_features: torch.Tensor) -> ResNetLSTMForVideoClassificationOutput:
        """`frame_features`: `[B, T, D]`."""
        frames = mean_over_cells(frame_features, self.num_channels)
        return ResNetLSTMForVideoClassificationOutput(logits=self.classifier(frames.mean(dim=1)))


class LastStateHead(nn.Module):
    """A stacked LSTM whose last state a small network classifies: the head that tutorials teach.

    Args:
        num_channels: K.
        num_labels: L.
        hidden_size: Units of each LSTM layer.
        num_layers: LSTM layers.
        dropout: Between the layers, and within the network.
    """

    def __init__(
        self, num_channels: int, num_labels: int, hidden_size: int = 512, num_layers: int = 2, dropout: float = 0.7
    ) -> None:
        super().__init__()
        self.num_channels = num_channels
        self.lstm = nn.LSTM(num_channels, hidden_size, num_layers, batch_first=True, dropout=dropout)
        self.classifier = nn.Sequential(
            nn.Linear(hidden_size, hidden_size // 2), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden_size // 2, num_labels),
        )  # fmt: skip

    def forward(self, frame_features: torch.Tensor) -> ResNetLSTMForVideoClassificationOutput:
        """`frame_features`: `[B, T, D]`."""
        outputs, _ = self.lstm(mean_over_cells(frame_features, self.num_channels))
        return ResNetLSTMForVideoClassificationOutput(logits=self.classifier(outputs[:, -1]))


def mean_over_cells(frame_features: torch.Tensor, num_channels: int) -> torch.Tensor:
    """Features of the whole frame `[B, T, K]` from those of its cells `[B, T, D]`."""
    return frame_features.unflatten(-1, (-1, num_channels)).mean(dim=2)
