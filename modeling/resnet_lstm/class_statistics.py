"""What a model keeps of the clips it was trained on, so that it can be taught further classes without them.

A linear discriminant asks of clips no more than the mean of each class and how much clips of one class differ. Both are
kept here: the means, and the leading directions of the covariance with the mean of all its variances.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

# Of the known scores of training clips, by models that have not seen them, from the least to the largest.
NUM_QUANTILES = 101


class ClassStatistics(nn.Module):
    """The statistics of a model's training clips, in the features that its classifier reads.

    In memory they are float32; saved they take half of it, as bfloat16.

    Shapes: H size of what the head reads, L labels, K directions.

    Args:
        hidden_size: H.
        num_labels: L.
        num_directions: K.
    """

    means: torch.Tensor  # [L, H]
    directions: torch.Tensor  # [K, H], each as long as the standard deviation of clips that way
    num_groups: torch.Tensor  # [L], source videos of each class; 0 where it had no clip
    num_clips: torch.Tensor  # [], of all classes
    mean_variance: torch.Tensor  # [], over all H features, of clips of one class
    shrinkage: torch.Tensor  # [], of the covariance when the classifier was fitted
    divisor: torch.Tensor  # [], of the classifier's logits
    known_scores: torch.Tensor  # [NUM_QUANTILES]

    def __init__(self, hidden_size: int, num_labels: int, num_directions: int) -> None:
        super().__init__()
        for name, shape in {
            "means": (num_labels, hidden_size),
            "directions": (num_directions, hidden_size),
            "num_groups": (num_labels,),
            "num_clips": (),
            "mean_variance": (),
            "shrinkage": (),
            "divisor": (),
            "known_scores": (NUM_QUANTILES,),
        }.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float32))

    def set_statistics(self, **statistics: torch.Tensor | float) -> None:
        """Set buffers by their names. The large ones are rounded to what is saved of them."""
        for name, value in statistics.items():
            tensor = torch.as_tensor(value)
            getattr(self, name).copy_(tensor.bfloat16() if name in ("means", "directions") else tensor)

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)  # type: ignore[no-untyped-call]
        for name in ("means", "directions"):
            destination[prefix + name] = destination[prefix + name].bfloat16()


__all__ = ["NUM_QUANTILES", "ClassStatistics"]
