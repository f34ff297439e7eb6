"""What of a model is tuned, what it is then called with, and how fast each of its parts moves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMForVideoClassificationOutput
from .tuning_settings import TuningSettings

_STAGE = re.compile(r"\.backbone\.encoder\.stages\.(\d+)\.")


class TunedByClips(nn.Module):
    """All of a model's backbone, end to end.

    Args:
        model: With its linear part fitted, which is not trained.
        dtype: What the backbone computes in; its weights stay in float32.
    """

    def __init__(self, model: ResNetLSTMForVideoClassification, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype
        model.requires_grad_(False)
        model.resnet_lstm.backbone.requires_grad_(True)

    def gradient_checkpointing_enable(self, arguments: dict[str, Any]) -> None:
        """As the model's own."""
        self.model.gradient_checkpointing_enable(arguments)

    def forward(self, pixel_values: torch.Tensor) -> ResNetLSTMForVideoClassificationOutput:
        """`[B, T, C, height, width]` -> what the model gives."""
        with torch.autocast(pixel_values.device.type, self.dtype, enabled=self.dtype != torch.float32):
            output: ResNetLSTMForVideoClassificationOutput = self.model(pixel_values)
        return output


class TunedByMaps(nn.Module):
    """The last stage of a model's backbone, by the maps that it reads.

    Args:
        model: With its linear part fitted, which is not trained.
        dtype: What the backbone computes in; its weights stay in float32.
    """

    def __init__(self, model: ResNetLSTMForVideoClassification, dtype: torch.dtype) -> None:
        super().__init__()
        self.model, self.dtype = model, dtype
        model.requires_grad_(False)
        model.resnet_lstm.backbone.encoder.stages[-1].requires_grad_(True)

    def forward(self, maps: torch.Tensor, bands: torch.Tensor) -> ResNetLSTMForVideoClassificationOutput:
        """What the model gives.

        Args:
            maps: `[B, T, rows, columns, channels]`.
            bands: `[B, T, D - pooled_size]`.
        """
        backbone = self.model.resnet_lstm.backbone
        # In channels_last PyTorch 2.14's backward pass corrupts memory in stages of few channels.
        frames = maps.flatten(0, 1).permute(0, 3, 1, 2).contiguous().to(self.dtype)
        with torch.autocast(maps.device.type, self.dtype, enabled=self.dtype != torch.float32):
            last_maps = backbone.encoder.stages[-1](frames)
        pooled = backbone.pooler(last_maps.float()).flatten(1).unflatten(0, maps.shape[:2])  # [B, T, pooled_size]
        output: ResNetLSTMForVideoClassificationOutput = self.model(
            frame_features=torch.cat([pooled, bands.float()], dim=-1)
        )
        return output


def tuned_parameter_groups(model: nn.Module, tuning: TuningSettings, weight_decay: float) -> list[dict[str, Any]]:
    """The weights to tune: each stage at a lower rate than the one after it, biases and norms without weight decay."""
    parameters = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    last_stage = max(_stages(name for name, _ in parameters), default=0)
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in parameters:
        # The embedder comes before stage 0.
        stage = next(_stages([name]), -1)
        rate = tuning.tuning_learning_rate * tuning.layer_decay ** (last_stage - stage)
        groups.setdefault((rate, weight_decay if parameter.ndim > 1 else 0.0), []).append(parameter)
    return [{"params": params, "lr": rate, "weight_decay": decay} for (rate, decay), params in groups.items()]


def _stages(names: Iterator[str] | list[str]) -> Iterator[int]:
    return (int(found[1]) for name in names if (found := _STAGE.search(name)))
