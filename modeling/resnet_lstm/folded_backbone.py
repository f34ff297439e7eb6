"""The backbone as inference wants it: each BatchNorm folded into its convolution, in portions that stay in memory.

A clip is 131.5 GFLOP of convolutions, and the time they take is the time that a CPU needs at the least. BatchNorm and
ReLU add no arithmetic worth the name, but as layers of their own they pass over the activations once more each; and
the activations of a whole clip are so large that the allocator returns their memory after each layer, and the kernel
has to map it in anew, page by page: up to two fifths of the time.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from transformers import ResNetModel

# glibc keeps memory for the next layer if the block is below 32 MiB and not more than 64 MiB lie free: three
# activations of so few frames of 224 x 224, each of at most 19 MiB.
_FRAMES_AT_A_TIME_ON_CPU = 6
# It does so once it has been given back a block of nearly that size; this one is never written to.
_LARGEST_BLOCK_KEPT_BYTES = 31 * 2**20


class FoldedBackbone:
    """Computes what a `ResNetModel` in evaluation mode does, up to rounding.

    It has weights of its own, as they are now: what becomes of the model later does not reach it, but `is_of` tells.
    It is no module, so that it is not saved with the model.

    Args:
        backbone: The model.
    """

    def __init__(self, backbone: ResNetModel) -> None:
        self._made_of = _versions(backbone)
        self.backbone = copy.deepcopy(backbone).eval().requires_grad_(False)
        for layer in self.backbone.modules():
            if hasattr(layer, "convolution") and hasattr(layer, "normalization"):
                layer.convolution = fuse_conv_bn_eval(layer.convolution, layer.normalization)
                layer.normalization = nn.Identity()
            elif isinstance(layer, nn.ReLU):
                layer.inplace = True
        self.backbone.to(memory_format=torch.channels_last)
        torch.empty(_LARGEST_BLOCK_KEPT_BYTES, dtype=torch.uint8)

    def is_of(self, backbone: ResNetModel) -> bool:
        """Whether a model still has the weights that this was made of."""
        return self._made_of == _versions(backbone)

    @torch.no_grad()
    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """`[N, C, height, width]` -> `[N, D]`."""
        at_a_time = _FRAMES_AT_A_TIME_ON_CPU if frames.device.type == "cpu" else max(1, len(frames))
        features = [self.backbone(portion).pooler_output for portion in frames.split(at_a_time)]  # each [n, D, 1, 1]
        return torch.cat(features).flatten(1)


def _versions(backbone: ResNetModel) -> list[tuple[int, int]]:
    """Changes with every tensor that is replaced or written to."""
    tensors = backbone.state_dict(keep_vars=True).values()
    return [(tensor.data_ptr(), 0 if tensor.is_inference() else tensor._version) for tensor in tensors]


__all__ = ["FoldedBackbone"]
