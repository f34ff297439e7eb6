"""Sums over clips that tell what a linear discriminant needs to know of them, however many there are.

The mean of a class and the covariance within classes are sums over clips: parts of the clips can be added up one after
another, or by several processes, and the sums of the parts added. They are kept in float64: how clips of one class
differ is what is left of large sums when others are taken off.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import torch
from accelerate.utils import gather_object

from ..accelerator import add_up
from .class_moments import ClassMoments

# What is added to the variances, in parts of their mean: far above the rounding of float64, far below any shrinkage.
_RIDGE = 1e-9


class ClassSums:
    """Sums over clips: how many there are of each class, their features, and the products of these with each other.

    Args:
        num_features: H.
        num_labels: L.
        device: Where they are kept, 8 H^2 bytes.

    Attributes:
        num_clips: `[L]`.
        features: `[L, H]`.
        products: `[H, H]`.
        groups: The label id and the name of each group of a class.
    """

    def __init__(self, num_features: int, num_labels: int, device: torch.device | str = "cpu") -> None:
        self.num_clips = torch.zeros(num_labels, dtype=torch.float64, device=device)
        self.features = torch.zeros(num_labels, num_features, dtype=torch.float64, device=device)
        self.products = torch.zeros(num_features, num_features, dtype=torch.float64, device=device)
        self.groups: set[tuple[int, str]] = set()

    def add(self, features: torch.Tensor, labels: np.ndarray, groups: Sequence[str]) -> None:
        """Add clips by their features `[N, H]`, label ids `[N]` and groups `[N]`."""
        device = self.products.device
        rows, of_label = features.to(device, torch.float64), torch.from_numpy(np.asarray(labels)).to(device)
        self.num_clips.index_add_(0, of_label, torch.ones_like(rows[:, 0]))
        self.features.index_add_(0, of_label, rows)
        self.products.addmm_(rows.T, rows)
        self.groups.update(zip(np.asarray(labels).tolist(), groups, strict=True))

    @classmethod
    def of_all(cls, parts: Iterable[ClassSums]) -> ClassSums:
        """The sums over the clips of all parts."""
        first, *others = parts
        total = cls.__new__(cls)
        total.num_clips, total.features = first.num_clips.clone(), first.features.clone()
        total.products, total.groups = first.products.clone(), set(first.groups)
        for other in others:
            total.num_clips += other.num_clips
            total.features += other.features
            total.products += other.products
            total.groups |= other.groups
        return total

    def add_up_processes(self) -> None:
        """Turn the sums of this process into those of all, all of which must make this call."""
        for sums in (self.num_clips, self.features, self.products):
            add_up(sums)
        self.groups = set().union(*gather_object([self.groups]))

    def moments(self) -> ClassMoments:
        """The moments of the clips. The sums are used up by it, for want of room for more such matrices."""
        present = self.num_clips > 0
        num_clips, num_all = self.num_clips[present], float(self.num_clips.sum())
        means = self.features[present] / num_clips[:, None]  # [P, H]
        covariance = self.products
        del self.products
        covariance.addmm_((means * num_clips[:, None]).T, means, alpha=-1).div_(num_all)
        variances = covariance.diagonal().clamp_min(0)
        covariance.diagonal().add_(_RIDGE * variances.mean() + torch.finfo(torch.float32).tiny)
        labels = torch.nonzero(present).flatten().cpu().numpy()
        counts = np.bincount([label for label, _ in self.groups], minlength=len(present))[labels]
        return ClassMoments(
            labels=labels,
            means=means,
            num_groups=torch.from_numpy(counts).to(means),
            num_clips=num_clips,
            residuals=torch.linalg.cholesky(covariance, upper=True),
            variances=variances,
            covariance_clips=round(num_all),
        )
