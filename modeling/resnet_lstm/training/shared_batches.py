"""A batch that processes share is learned from as if one process had all of it.

Each has an equal part. The mean of the parts' means would be another: classes weigh differently, and the last batch of
an epoch is filled up with clips that have been there, so that the parts are equal.
"""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch import nn

from ..modeling_resnet_lstm import FeatureDropout


def check_batch_size(batch_size: int, accelerator: Accelerator) -> None:
    """Raise a `ValueError` where the processes cannot have equal parts of a batch."""
    if batch_size % accelerator.num_processes:
        raise ValueError(
            f"train_batch_size={batch_size}: {accelerator.num_processes} processes cannot have equal parts of it. "
            f"Choose a multiple of {accelerator.num_processes}."
        )


def share_dropout(model: nn.Module, batch_size: int, accelerator: Accelerator) -> None:
    """Let a model drop of a process's part of a batch what one process would; all must have the same random state."""
    for module in model.modules():
        if isinstance(module, FeatureDropout):
            module.batch_size, module.part = batch_size, accelerator.process_index


def mean_of_shared_batch(
    losses: torch.Tensor, labels: torch.Tensor, class_weights: torch.Tensor, accelerator: Accelerator
) -> tuple[torch.Tensor, int]:
    """What the mean over processes of is the weighted mean over the clips of a batch, as DDP averages gradients.

    Args:
        losses: `[b]`, weighted, of this process's part of the batch that its loader has just given.
        labels: `[b]`.
        class_weights: `[L]`.
        accelerator: Knows the others.

    Returns:
        `[]`, and how many clips the whole batch has.
    """
    processes, loading = accelerator.num_processes, accelerator.gradient_state
    num_clips = len(labels) * processes
    if loading.end_of_dataloader and loading.remainder > 0:
        num_clips = loading.remainder
    first = len(labels) * accelerator.process_index
    num_own = min(max(num_clips - first, 0), len(labels))
    weight = accelerator.reduce(class_weights[labels[:num_own]].sum(), "sum")
    return losses[:num_own].sum() * processes / weight, num_clips
