"""The two baselines that the model's own head is compared with.

Each is called as the model is, `head(frame_features=...)`, and gives its logits. B batch, T frames, D frame feature
size, of which the first C are the mean of the last map, which is all that these heads read; L labels.
"""

from __future__ import annotations

import torch
from torch import nn

from ..modeling_resnet_lstm import ResNetLSTMForVideoClassificationOutput


class MeanOfFramesHead(nn.Module):
    """The mean of the frames' features and a linear classifier: what ignoring order reaches.

    Args:
        pooled_size: C.
        num_labels: L.
        dropout: Before the classifier.
    """

    def __init__(self, pooled_size: int, num_labels: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.pooled_size = pooled_size
        self.classifier = nn.Sequential(
            nn.LayerNorm(pooled_size), nn.Dropout(dropout), nn.Linear(pooled_size, num_labels)
        )

    def forward(self, frame_features: torch.Tensor) -> ResNetLSTMForVideoClassificationOutput:
        """`frame_features`: `[B, T, D]`."""
        return ResNetLSTMForVideoClassificationOutput(
            logits=self.classifier(frame_features[..., : self.pooled_size].mean(dim=1))
        )


class LastStateHead(nn.Module):
    """A stacked LSTM whose last state a small network classifies: the head that tutorials teach.

    Args:
        pooled_size: C.
        num_labels: L.
        hidden_size: Units of each LSTM layer.
        num_layers: LSTM layers.
        dropout: Between the layers, and within the network.
    """

    def __init__(
        self,
        pooled_size: int,
        num_labels: int,
        hidden_size: int = 512,
        num_layers: int = 2,
        dropout: float = 0.7,
    ) -> None:
        super().__init__()
        self.pooled_size = pooled_size
        self.lstm = nn.LSTM(pooled_size, hidden_size, num_layers, batch_first=True, dropout=dropout)
        self.classifier = nn.Sequential(
            nn.Linear(hidden_size, hidden_size // 2), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(hidden_size // 2, num_labels),
        )  # fmt: skip

    def forward(self, frame_features: torch.Tensor) -> ResNetLSTMForVideoClassificationOutput:
        """`frame_features`: `[B, T, D]`."""
        outputs, _ = self.lstm(frame_features[..., : self.pooled_size])
        return ResNetLSTMForVideoClassificationOutput(logits=self.classifier(outputs[:, -1]))
