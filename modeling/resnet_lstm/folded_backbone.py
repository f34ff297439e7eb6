"""The backbone as inference wants it: fewer passes over the activations, and memory that is kept between layers.

A clip is 131.5 GFLOP of convolutions, and the time they take is the time that a CPU needs at the least. BatchNorm,
ReLU and the sums of the residual layers add no arithmetic worth the name, but as layers of their own they each pass
over the activations once more. The weights are brought into the processor's own order again for each portion of
frames. And the activations of a whole clip are so large that the allocator returns their memory after each layer, and
the kernel has to map it in anew, page by page: up to two fifths of the time.

What is folded stands for a plain `ResNetModel` and nothing else. A backbone with a hook, an adapter, an offloaded or
quantised weight, a replaced layer, or one that is being traced or compiled, is computed by its own modules.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, cast

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_weights
from transformers import ResNetModel

from .frame_reading import band_means, motion_stages

# As many frames of 224 x 224 as have no activation above 25 MiB, see `_keep_memory`.
_FRAMES_AT_A_TIME_ON_CPU = {torch.float32: 8, torch.bfloat16: 16, torch.float16: 16}

# A layer, or several, in their folded form.
Network = Callable[[torch.Tensor], torch.Tensor]

# A module's own dictionary (where a hook of accelerate puts another `forward`), its two dictionaries of hooks, the
# dictionary of its children and the children.
_ModuleState = tuple[dict[str, Any], dict[int, Any], dict[int, Any], dict[str, Any], tuple[Any, ...]]
# The dictionary of a tensor, its name in it, the tensor, its address and its version.
_TensorState = tuple[dict[str, Any], str, torch.Tensor, int, int]

_PLAIN_MODULES = ("torch.nn.modules.", "transformers.models.resnet.", "transformers.activations")


class FoldedBackbone:
    """Computes the features that a plain `ResNetModel` in evaluation mode gives, up to rounding.

    It is made of the weights as they are now, and may not be used when they have changed since, which `is_of` tells.
    It is no module, so that it is not saved, copied or moved with the model.

    Args:
        backbone: The model, for which `can_be_folded` holds.
        dtype: What is computed in; by default the dtype of the weights.
        num_motion_stages: Of so many stages before the last the bands are features too, see `frame_reading`.
    """

    def __init__(self, backbone: ResNetModel, dtype: torch.dtype | None = None, num_motion_stages: int = 0) -> None:
        self.dtype = dtype or backbone.dtype
        self._device = backbone.device
        self._module_states, self._tensor_states = _module_states(backbone), _tensor_states(backbone)
        packed = _can_be_packed(backbone, self.dtype)
        make_network = _PackedNetwork if packed else _FoldedNetwork
        self._network: _Network = make_network(backbone, self.dtype, num_motion_stages)
        _keep_memory()

    def is_of(self, backbone: ResNetModel) -> bool:
        """Whether a model is still what this was made of: the same modules, unhooked, with the same weights."""
        # Each call of the model asks: a walk through the modules would take as long as the head does for a frame.
        if backbone._modules is not self._module_states[0][3] or _has_global_hooks():
            return False
        for state in self._module_states:
            attributes, hooks, pre_hooks, children, expected = state
            if hooks or pre_hooks or "forward" in attributes or attributes["training"]:
                return False
            if tuple(children.values()) != expected:
                return False
        for tensors, name, tensor, address, version in self._tensor_states:
            found = tensors.get(name)
            if found is not tensor or found.data_ptr() != address or _version(found) != version:
                return False
        return True

    @torch.no_grad()
    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """`[N, C, height, width]` -> `[N, D]`, in the precision of `dtype`."""
        return torch.cat([_as_features(*self._read(portion)) for portion in self._portions(frames)])

    @torch.no_grad()
    def before_last_stage(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What does not change where the last stage alone is tuned.

        Args:
            frames: `[N, C, height, width]`.

        Returns:
            The maps that the last stage reads, `[N, channels, rows, columns]` in `dtype`, and the bands of the stages
            before it, which are the features behind the mean of the last map, `[N, D - pooled_size]`.
        """
        parts = [self._network.before_last_stage(portion) for portion in self._portions(frames)]
        return torch.cat([maps for maps, _ in parts]), torch.cat([bands for _, bands in parts])

    @torch.no_grad()
    def last_stage(self, maps: torch.Tensor) -> torch.Tensor:
        """The mean of the last map, `[N, pooled_size]`, by the maps of `before_last_stage`."""
        return torch.cat([self._network.last_stage(portion) for portion in self._portions(maps)])

    def _read(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps, bands = self._network.before_last_stage(frames)
        return self._network.last_stage(maps), bands

    def _portions(self, frames: torch.Tensor) -> Sequence[torch.Tensor]:
        frames = frames.to(self.dtype, memory_format=torch.channels_last)
        at_a_time = max(1, len(frames))
        if frames.device.type == "cpu":
            at_a_time = _FRAMES_AT_A_TIME_ON_CPU.get(self.dtype, 4)
        return frames.split(at_a_time)


def _as_features(pooled: torch.Tensor, bands: torch.Tensor) -> torch.Tensor:
    return torch.cat([pooled, bands], dim=1)


def can_be_folded(backbone: nn.Module) -> bool:
    """Whether a backbone is as `ResNetModel` builds it, in evaluation mode, and nothing hangs on it.

    Nothing is a hook, an adapter, a parametrisation, a quantised, offloaded or shared weight, or a replaced layer.
    """
    if type(backbone) is not ResNetModel or _has_global_hooks() or backbone.device.type == "meta":
        return False
    for attributes, hooks, pre_hooks, *_ in _module_states(backbone):
        if hooks or pre_hooks or "forward" in attributes or "_is_replica" in attributes or attributes["training"]:
            return False
    with torch.device("meta"):
        as_built = ResNetModel(backbone.config)
    if [type(module) for module in backbone.modules()] != [type(module) for module in as_built.modules()]:
        return False
    return all(
        _is_plain(tensor, module, backbone)
        for module in backbone.modules()
        for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False))
    )


def _is_plain(tensor: torch.Tensor, module: nn.Module, backbone: ResNetModel) -> bool:
    # BatchNorm stays in float32 in a model of half precision.
    dtypes = (backbone.dtype, torch.float32) if isinstance(module, nn.BatchNorm2d) else (backbone.dtype,)
    return (
        type(tensor) in (nn.Parameter, torch.Tensor)
        and tensor.device == backbone.device
        # Another process may write to it, and no version tells.
        and not (tensor.device.type == "cpu" and tensor.is_shared())
        and (tensor.dtype in dtypes or not tensor.is_floating_point())
    )


@functools.cache
def _keep_memory() -> torch.Tensor:
    """Let glibc keep the memory of the activations for the next layer; nothing of it is used before it is needed.

    A freed block goes back to the kernel if it is larger than the largest one that was ever freed, up to 32 MiB, or if
    it is among the last on the heap and more than 64 MiB lie free there. So one of nearly 32 MiB is freed first; and
    what this returns lies behind the memory that is to be kept, which so is not the last.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)
    blocks = [torch.empty(25 * 2**20, dtype=torch.uint8) for _ in range(4)]
    last = torch.empty(2**20, dtype=torch.uint8)
    del blocks
    return last


def _has_global_hooks() -> bool:
    return bool(torch.nn.modules.module._global_forward_hooks or torch.nn.modules.module._global_forward_pre_hooks)


def _module_states(backbone: nn.Module) -> list[_ModuleState]:
    return [
        (
            vars(module),
            cast(dict[int, Any], module._forward_hooks),
            cast(dict[int, Any], module._forward_pre_hooks),
            cast(dict[str, Any], module._modules),
            tuple(module._modules.values()),
        )
        for module in backbone.modules()
    ]


def _named_tensors(backbone: nn.Module) -> Iterator[tuple[dict[str, Any], str, torch.Tensor]]:
    for module in backbone.modules():
        for tensors in (module._parameters, module._buffers):
            for name, tensor in tensors.items():
                if tensor is not None:
                    yield cast(dict[str, Any], tensors), name, tensor


def _tensor_states(backbone: nn.Module) -> list[_TensorState]:
    return [(*named, named[2].data_ptr(), _version(named[2])) for named in _named_tensors(backbone)]


def _version(tensor: torch.Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


class _Network(Protocol):
    """A backbone in two parts: all but its last stage, and that."""

    def before_last_stage(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `FoldedBackbone.before_last_stage`."""

    def last_stage(self, maps: torch.Tensor) -> torch.Tensor:
        """As `FoldedBackbone.last_stage`."""


class _FoldedNetwork:
    """A copy with each BatchNorm folded into its convolution."""

    def __init__(self, backbone: ResNetModel, dtype: torch.dtype, num_motion_stages: int) -> None:
        folded = copy.deepcopy(backbone).requires_grad_(False)
        for layer in folded.modules():
            if hasattr(layer, "convolution") and hasattr(layer, "normalization"):
                convolution = cast(nn.Conv2d, layer.convolution)
                weight, bias = _folded_weights(layer)
                convolution.weight, convolution.bias = nn.Parameter(weight), nn.Parameter(bias)
                convolution.requires_grad_(False)
                layer.normalization = nn.Identity()
            elif isinstance(layer, nn.ReLU):
                layer.inplace = True
        self._backbone = folded.to(dtype, memory_format=torch.channels_last)
        self._motion_stages = motion_stages(len(folded.encoder.stages), num_motion_stages)

    def before_last_stage(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden, bands = self._backbone.embedder(frames), []
        for number, stage in enumerate(self._backbone.encoder.stages[:-1]):
            hidden = stage(hidden)
            if number in self._motion_stages:
                bands.append(band_means(hidden))
        return hidden, _latest_first(bands, hidden)

    def last_stage(self, maps: torch.Tensor) -> torch.Tensor:
        pooled: torch.Tensor = self._backbone.pooler(self._backbone.encoder.stages[-1](maps))
        return pooled.flatten(1)


def _latest_first(bands: Sequence[torch.Tensor], hidden: torch.Tensor) -> torch.Tensor:
    """The bands of stages in one tensor, in the order of `motion_stages`; of none, one without columns."""
    return torch.cat([hidden.new_empty(len(hidden), 0), *reversed(bands)], dim=1)


def _folded_weights(layer: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """A convolution's weight and bias with its BatchNorm folded in, at least in float32.

    Args:
        layer: With the attributes `convolution` and `normalization`.
    """
    convolution, norm = cast(nn.Conv2d, layer.convolution), cast(nn.BatchNorm2d, layer.normalization)
    dtype = torch.promote_types(convolution.weight.dtype, torch.float32)
    tensors = (convolution.weight, convolution.bias, norm.running_mean, norm.running_var, norm.weight, norm.bias)
    weight, bias, mean, variance, scale, shift = (
        None if tensor is None else tensor.detach().to(dtype) for tensor in tensors
    )
    assert weight is not None and mean is not None and variance is not None  # noqa: S101, PT018 - ResNets have them
    folded_weight, folded_bias = fuse_conv_bn_weights(weight, bias, mean, variance, norm.eps, scale, shift)
    return folded_weight.detach(), folded_bias.detach()


def _can_be_packed(backbone: ResNetModel, dtype: torch.dtype) -> bool:
    """Whether this PyTorch has for this model what its own compiler uses on CPUs."""
    return (
        backbone.device.type == "cpu"
        and (dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported()))
        and backbone.config.hidden_act == "relu"
        and torch.backends.mkldnn.is_available()
        and all(
            hasattr(torch.ops.mkldnn, name)
            for name in ("_convolution_pointwise", "_convolution_pointwise_", "_reorder_convolution_weight")
        )
    )


class _PackedNetwork:
    """The model in oneDNN's fused convolutions: each adds, and cuts off below 0, what it has just computed."""

    def __init__(self, backbone: ResNetModel, dtype: torch.dtype, num_motion_stages: int) -> None:
        embedder = backbone.embedder
        self._first = _PackedConvolution(embedder.embedder, dtype)
        self._first_pooler: Network = _max_pool_bfloat16 if dtype == torch.bfloat16 else embedder.pooler
        self._stages: list[_PackedStage] = [
            [
                (
                    [_PackedConvolution(convolution, dtype) for convolution in layer.layer],
                    None if isinstance(layer.shortcut, nn.Identity) else _PackedConvolution(layer.shortcut, dtype),
                )
                for layer in stage.layers
            ]
            for stage in backbone.encoder.stages
        ]
        self._last_pooler = backbone.pooler
        self._motion_stages = motion_stages(len(self._stages), num_motion_stages)

    def before_last_stage(self, frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        hidden = self._first_pooler(self._first(frames, "relu"))
        bands = []
        for number, stage in enumerate(self._stages[:-1]):
            hidden = self._after(stage, hidden)
            if number in self._motion_stages:
                # The next stage may write to this map.
                bands.append(band_means(hidden))
        return hidden, _latest_first(bands, hidden)

    def last_stage(self, maps: torch.Tensor) -> torch.Tensor:
        return self._last_pooler(self._after(self._stages[-1], maps)).flatten(1)

    @staticmethod
    def _after(stage: _PackedStage, hidden: torch.Tensor) -> torch.Tensor:
        for (*convolutions, last), shortcut in stage:
            residual = hidden if shortcut is None else shortcut(hidden, "none")
            for convolution in convolutions:
                hidden = convolution(hidden, "relu")
            hidden = last.added_to(residual, hidden)
        return hidden


def _max_pool_bfloat16(hidden: torch.Tensor) -> torch.Tensor:
    """What `MaxPool2d(3, stride=2, padding=1)` gives for numbers that are not below 0, without their indices.

    PyTorch keeps an index of eight bytes for each number of two. As 16-bit integers such numbers have the same order,
    and processors compare them in one instruction.

    Args:
        hidden: `[N, C, height, width]` bfloat16 in channels_last.
    """
    if hidden.shape[2] % 2 or hidden.shape[3] % 2:
        return F.max_pool2d(hidden, kernel_size=3, stride=2, padding=1)
    integers = hidden.view(torch.int16).permute(0, 2, 3, 1)  # [N, height, width, C]
    pooled = _largest_of_three(integers)
    pooled = _largest_of_three(pooled.transpose(1, 2)).transpose(1, 2)
    return pooled.permute(0, 3, 1, 2).view(torch.bfloat16)


def _largest_of_three(numbers: torch.Tensor) -> torch.Tensor:
    """Of each even place along dimension 1 and its neighbours."""
    # of 0 1 2 3 -> max(0, 1), max(1, 2, 3)
    even, odd = numbers[:, 0::2], numbers[:, 1::2]
    largest = torch.maximum(even, odd)
    torch.maximum(largest[:, 1:], odd[:, :-1], out=largest[:, 1:])
    return largest


class _PackedConvolution:
    """A convolution with its BatchNorm folded in, and its weights in the order that oneDNN computes with.

    That order is another one for a single frame; with the wrong one it takes twice the time. Each is made when it is
    first needed, of the model's own weights, so that no third copy of them is kept.

    Args:
        layer: With the attributes `convolution` and `normalization`.
        dtype: float32 or bfloat16.
    """

    def __init__(self, layer: nn.Module, dtype: torch.dtype) -> None:
        self._layer, self._dtype = layer, dtype
        convolution = cast(nn.Conv2d, layer.convolution)
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
            weight, bias = (tensor.to(self._dtype) for tensor in _folded_weights(self._layer))
            packed = torch.ops.mkldnn._reorder_convolution_weight(weight, *self._geometry, list(frames.shape))
            self._packed[is_single] = packed, bias
        return self._packed[is_single]


# The layers of a stage: each its convolutions, and that of its shortcut if it has one.
_PackedStage = list[tuple[list[_PackedConvolution], _PackedConvolution | None]]


__all__ = ["FoldedBackbone", "can_be_folded"]
