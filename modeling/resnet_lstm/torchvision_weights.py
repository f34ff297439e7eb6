"""The weights of a torchvision ResNet in the layout of transformers' `ResNetModel`."""

from __future__ import annotations

from typing import Any

import torch
from torchvision.models import ResNet as TorchvisionResNet
from transformers import ResNetModel

from .configuration_resnet_lstm import ResNetLSTMConfig


def from_torchvision(resnet: TorchvisionResNet) -> tuple[Any, dict[str, torch.Tensor]]:
    """The configuration and the weights of a torchvision ResNet, in the layout of `ResNetModel`."""
    stages = [resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4]
    bottleneck = hasattr(stages[0][0], "conv3")
    last_convolutions = [stage[-1].conv3 if bottleneck else stage[-1].conv2 for stage in stages]
    backbone_config = ResNetLSTMConfig.sub_configs["backbone_config"](
        embedding_size=resnet.conv1.out_channels,
        hidden_sizes=[convolution.out_channels for convolution in last_convolutions],
        depths=[len(stage) for stage in stages],
        layer_type="bottleneck" if bottleneck else "basic",
    )
    part_names = {"conv": "convolution", "bn": "normalization"}
    state_dict = {}
    for name, tensor in resnet.state_dict().items():
        module, *rest = name.split(".")
        if module in ("conv1", "bn1"):
            prefix = f"embedder.embedder.{part_names[module[:-1]]}"
        elif module.startswith("layer"):
            layer, part, *rest = rest
            prefix = f"encoder.stages.{int(module[-1]) - 1}.layers.{layer}"
            if part == "downsample":
                prefix += f".shortcut.{'convolution' if rest.pop(0) == '0' else 'normalization'}"
            else:
                prefix += f".layer.{int(part[-1]) - 1}.{part_names[part[:-1]]}"
        else:  # the ImageNet classifier
            continue
        state_dict[f"{prefix}.{rest[-1]}"] = tensor
    with torch.device("meta"):
        wanted = ResNetModel(backbone_config).state_dict()
    if {name: t.shape for name, t in wanted.items()} != {name: t.shape for name, t in state_dict.items()}:
        raise ValueError(f"{type(resnet).__name__}: not a plain ResNet (grouped and wide ones are not supported).")
    return backbone_config, state_dict


__all__ = ["from_torchvision"]
