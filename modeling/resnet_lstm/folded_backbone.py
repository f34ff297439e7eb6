"""The backbone as inference wants it: fewer passes over the activations, and memory that is kept between layers.

A clip is 131.5 GFLOP of convolutions, and the time they take is the time that a CPU needs at the least. BatchNorm,
ReLU and the sums of the residual layers add no arithmetic worth the name, but as layers of their own they each pass
over the activations once more. The weights are brought into the processor's own order again for each portion of
frames. And the activations of a whole clip are so large that the allocator returns their memory after each layer, and
the kernel has to map it in anew, page by page: up to two fifths of the time.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import cast

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_conv_bn_weights
from transformers import ResNetModel

# glibc keeps memory for the next layer if the block is below 32 MiB and not more than 64 MiB lie free: three
# activations of so few frames of 224 x 224, each of at most 13 MiB.
_FRAMES_AT_A_TIME_ON_CPU = 4
# It does so once it has been given back a block of nearly that size; this one is never written to.
_LARGEST_BLOCK_KEPT_BYTES = 31 * 2**20

# Frames `[N, C, height, width]` -> features `[N, D]`.
Network = Callable[[torch.Tensor], torch.Tensor]


class FoldedBackbone:
    """Computes what a `ResNetModel` in evaluation mode does, up to rounding.

    It is made of the weights as they are now, and may not be used when they have changed since, which `is_of` tells.
    It is no module, so that it is not saved with the model.

    Args:
        backbone: The model.
    """

    def __init__(self, backbone: ResNetModel) -> None:
        self._made_of = _versions(backbone)
        self._network: Network = _PackedNetwork(backbone) if _can_be_packed(backbone) else _folded_network(backbone)
        torch.empty(_LARGEST_BLOCK_KEPT_BYTES, dtype=torch.uint8)

    def is_of(self, backbone: ResNetModel) -> bool:
        """Whether a model still has the weights that this was made of."""
        return self._made_of == _versions(backbone)

    @torch.no_grad()
    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """`[N, C, height, width]` -> `[N, D]`."""
        at_a_time = _FRAMES_AT_A_TIME_ON_CPU if frames.device.type == "cpu" else max(1, len(frames))
        return torch.cat([self._network(portion) for portion in frames.split(at_a_time)])


def _versions(module: nn.Module) -> list[tuple[int, int]]:
    """Changes with every tensor that is replaced or written to."""
    # Each call of the model asks, and `state_dict` would take as long for it as the head does for a frame.
    versions = [
        (tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version)
        for tensors in (module._parameters, module._buffers)
        for tensor in tensors.values()
        if tensor is not None
    ]
    for part in module._modules.values():
        versions += _versions(cast(nn.Module, part))
    return versions


def _folded_network(backbone: ResNetModel) -> Network:
    """A copy with each BatchNorm folded into its convolution."""
    folded = copy.deepcopy(backbone).eval().requires_grad_(False)
    for layer in folded.modules():
        if hasattr(layer, "convolution") and hasattr(layer, "normalization"):
            layer.convolution = fuse_conv_bn_eval(layer.convolution, layer.normalization)
            layer.normalization = nn.Identity()
        elif isinstance(layer, nn.ReLU):
            layer.inplace = True
    folded.to(memory_format=torch.channels_last)
    return lambda frames: folded(frames).pooler_output.flatten(1)


def _can_be_packed(backbone: ResNetModel) -> bool:
    """Whether this PyTorch has for this model what its own compiler uses on CPUs."""
    return (
        backbone.device.type == "cpu"
        and backbone.dtype == torch.float32
        and backbone.config.hidden_act == "relu"
        and torch.backends.mkldnn.is_available()
        and all(
            hasattr(torch.ops.mkldnn, name)
            for name in ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")
        )
    )


class _PackedNetwork:
    """The model in oneDNN's fused convolutions: each adds, and cuts off below 0, what it has just computed."""

    def __init__(self, backbone: ResNetModel) -> None:
        embedder = backbone.embedder
        self._first = _PackedConvolution(embedder.embedder)
        self._first_pooler = embedder.pooler
        self._layers = [
            (
                [_PackedConvolution(convolution) for convolution in layer.layer],
                None if isinstance(layer.shortcut, nn.Identity) else _PackedConvolution(layer.shortcut),
            )
            for stage in backbone.encoder.stages
            for layer in stage.layers
        ]
        self._last_pooler = backbone.pooler

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        hidden = self._first_pooler(self._first(frames, "relu"))
        for (*convolutions, last), shortcut in self._layers:
            residual = hidden if shortcut is None else shortcut(hidden, "none")
            for convolution in convolutions:
                hidden = convolution(hidden, "relu")
            hidden = last.added_to(residual, hidden)
        return self._last_pooler(hidden).flatten(1)


class _PackedConvolution:
    """A convolution with its BatchNorm folded in, and its weights in the order that oneDNN computes with.

    That order is another one for a single frame; with the wrong one it takes twice the time. Each is made when it is
    first needed, of the model's own weights, so that no third copy of them is kept.

    Args:
        layer: With the attributes `convolution` and `normalization`.
    """

    def __init__(self, layer: nn.Module) -> None:
        self._convolution = convolution = cast(nn.Conv2d, layer.convolution)
        self._normalization = cast(nn.BatchNorm2d, layer.normalization)
        self._geometry = (
            list(convolution.padding),
            list(convolution.stride),
            list(convolution.dilation),
            convolution.groups,
        )
        self._packed: dict[bool, tuple[torch.Tensor, torch.Tensor]] = {}

    def __call__(self, frames: torch.Tensor, activation: str) -> torch.Tensor:
        """`[N, C, height, width]` -> the same of the next layer, after the activation "relu" or "none"."""
        fused: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            frames, *self._weight_and_bias(frames), *self._geometry, activation, [], ""
        )
        return fused

    def added_to(self, residual: torch.Tensor, frames: torch.Tensor) -> torch.Tensor:
        """ReLU of the sum, which is written to the place of `residual`."""
        fused: torch.Tensor = torch.ops.mkldnn._convolution_pointwise_.binary(
            residual, frames, *self._weight_and_bias(frames), *self._geometry, "add", 1.0, "relu", [], None
        )
        return fused

    def _weight_and_bias(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        is_single = len(frames) == 1
        if is_single not in self._packed:
            norm = self._normalization
            weight, bias = fuse_conv_bn_weights(
                self._convolution.weight,
                self._convolution.bias,
                cast(torch.Tensor, norm.running_mean),
                cast(torch.Tensor, norm.running_var),
                norm.eps,
                norm.weight,
                norm.bias,
            )
            packed = torch.ops.mkldnn._reorder_convolution_weight(weight.detach(), *self._geometry, list(frames.shape))
            self._packed[is_single] = packed, bias.detach()
        return self._packed[is_single]


__all__ = ["FoldedBackbone"]
