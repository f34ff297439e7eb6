"""What stays in float32 in a model of half precision, or under autocast: the head, and BatchNorm in the backbone."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import torch
from torch import nn

_Model = TypeVar("_Model", bound=nn.Module)
_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")


def without_autocast(
    method: Callable[Concatenate[_Model, torch.Tensor, _Arguments], _Result],
) -> Callable[Concatenate[_Model, torch.Tensor, _Arguments], _Result]:
    """Computes in the dtype of the weights what autocast would compute in half of it.

    The head divides by small deviations and squares what comes of it, which float16 has no numbers for.
    """

    @functools.wraps(method)
    def computed(self: _Model, tensor: torch.Tensor, *args: _Arguments.args, **kwargs: _Arguments.kwargs) -> _Result:
        if not torch.is_autocast_enabled(tensor.device.type):
            return method(self, tensor, *args, **kwargs)
        with torch.autocast(tensor.device.type, enabled=False):
            return method(self, tensor, *args, **kwargs)

    return computed


def leaving_float32(convert: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[torch.Tensor], torch.Tensor]:
    """What `nn.Module._apply` is given, but a tensor in float32 is only moved where it would be halved."""

    def applied(tensor: torch.Tensor) -> torch.Tensor:
        converted = convert(tensor)
        is_halved = tensor.dtype == torch.float32 and converted.dtype in (torch.float16, torch.bfloat16)
        return tensor.to(converted.device) if is_halved else converted

    return applied


def apply_to_backbone(module: nn.Module, convert: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """As `module._apply(convert)`, but BatchNorm stays in float32.

    The largest variance of the usual ResNet-50 is 134,940, and the largest number of float16 65,504.
    """
    for child in module.children():
        apply_to_backbone(child, convert)
    module._apply(leaving_float32(convert) if isinstance(module, nn.BatchNorm2d) else convert, recurse=False)


__all__ = ["apply_to_backbone", "leaving_float32", "without_autocast"]
