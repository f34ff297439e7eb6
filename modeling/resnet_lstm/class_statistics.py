"""What a model keeps of the clips it was trained on, so that it can be taught further classes without them.

A linear discriminant asks of clips no more than the mean of each class and how much clips of one class differ. Both
are kept: the means, and the leading directions of the covariance beside its diagonal.
"""

from __future__ import annotations

import torch
from torch import nn

# Of the known scores of training clips, each by a model that has not seen the clip, from the least to the largest.
NUM_QUANTILES = 101


class ClassStatistics(nn.Module):
    """The statistics of a model's training clips, in the features that its classifier reads.

    Shapes: H size of what the head reads, L labels, K directions.

    Args:
        hidden_size: H.
        num_labels: L.
        num_directions: K.
    """

    means: torch.Tensor  # [L, H]
    num_groups: torch.Tensor  # [L], source videos of each class; 0 where it had no clip
    num_clips: torch.Tensor  # [L]
    directions: torch.Tensor  # [K, H], orthogonal, each as long as the standard deviation of clips of a class that way
    variances: torch.Tensor  # [H], of clips of one class
    covariance_clips: torch.Tensor  # [], how many clips the covariance is estimated from
    shrinkage: torch.Tensor  # [], of the covariance when the classifier was fitted
    prior_groups: torch.Tensor  # [], how many groups the mean of all classes counted for then
    divisor: torch.Tensor  # [], what the discriminant's logits are divided by in the classifier
    offsets: torch.Tensor  # [L], what the classifier's logits are above those of the discriminant
    known_scores: torch.Tensor  # [NUM_QUANTILES], all 0 where the model does not tell

    def __init__(self, hidden_size: int, num_labels: int, num_directions: int) -> None:
        super().__init__()
        for name, shape in {
            "means": (num_labels, hidden_size),
            "num_groups": (num_labels,),
            "num_clips": (num_labels,),
            "directions": (num_directions, hidden_size),
            "variances": (hidden_size,),
            "covariance_clips": (),
            "shrinkage": (),
            "prior_groups": (),
            "divisor": (),
            "offsets": (num_labels,),
            "known_scores": (NUM_QUANTILES,),
        }.items():
            self.register_buffer(name, torch.zeros(shape, dtype=torch.float32))


__all__ = ["NUM_QUANTILES", "ClassStatistics"]
