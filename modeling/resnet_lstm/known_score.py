"""Whether a clip shows any of the actions that a model knows.

A softmax always names one of the model's actions, and often one of them surely, whatever the clip shows. Three signs
tell that it is none of them. Two are taken from the logits of the linear classifier: how undecided they are (the
entropy of their softmax), and how large the largest one is (its logarithm). What that means differs from action to
action, so both are compared with clips of the predicted action. The third is how far the clip lies from the centre of
all, in units of how much clips of one action differ (Mahalanobis' distance): what is new goes ways of its own.

What the signs are compared with is learned from training clips, each scored by a model that has not seen its group. No
unknown clip is needed for that. That the three count as they do, and what probability their sum stands for, was
measured with classes that were left out in turn, see `comparison/unknown_actions.py`.

Where there are clips of none of the actions to learn from, they are a class of the classifier, the background. The
signs are then those of the actions among themselves, and their probability is multiplied by that of its not being the
background: clips like those are told by the one, and others of none of the actions by the other.
"""

from __future__ import annotations

import torch
from torch import nn

# What the signs count, each in standard deviations of clips of known actions: entropy, largest logit, distance.
SIGN_WEIGHTS = (1.0, 1.0, 0.5)
# Their sum -> the log-odds of known against unknown, where half of all clips are unknown.
_SLOPE, _OFFSET = 0.5, 0.8

# Directions in which clips of one action differ most; differences in all others are taken for equally usual.
NUM_DIRECTIONS = 64

# How many clips the statistics of all stand for, in those of one action.
_PRIOR_CLIPS = 10

# The logit of the background among the actions.
_NO_ACTION = -1e4

_LEAST_LOGIT = 1e-3
_LEAST_DEVIATION = 1e-6


class KnownScore(nn.Module):
    """How probable it is that a clip shows one of the model's actions, where half of all clips do.

    Shapes: B clips, H size of what the head reads, L labels, K = `NUM_DIRECTIONS`.

    Args:
        hidden_size: H.
        num_labels: L.
        background: The label of clips that show none of the actions, if there is one.
    """

    centre: torch.Tensor  # [H]
    directions: torch.Tensor  # [K, H]
    distance_statistics: torch.Tensor  # [2], mean and standard deviation
    sign_means: torch.Tensor  # [2, L]
    sign_deviations: torch.Tensor  # [2, L]

    def __init__(self, hidden_size: int, num_labels: int, background: int | None = None) -> None:
        super().__init__()
        self.background = background
        self.register_buffer("centre", torch.zeros(hidden_size, dtype=torch.float32))
        self.register_buffer("directions", torch.zeros(NUM_DIRECTIONS, hidden_size, dtype=torch.float32))
        self.register_buffer("distance_statistics", torch.tensor([0.0, 1.0], dtype=torch.float32))
        self.register_buffer("sign_means", torch.zeros(2, num_labels, dtype=torch.float32))
        self.register_buffer("sign_deviations", torch.ones(2, num_labels, dtype=torch.float32))

    def forward(self, clip_features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """From 0 to 1.

        Args:
            clip_features: `[B, H]`, the mean over a clip's frames of what the head reads.
            logits: `[B, L]`, the linear classifier's for them.

        Returns:
            `[B]` float32.
        """
        # In half precision the squares would overflow.
        features, logits = clip_features.float(), logits.float()
        distances = squared_distances(features, self.centre.float(), self.directions.float())
        return self.probability(logits, distances)

    def probability(self, logits: torch.Tensor, distances: torch.Tensor) -> torch.Tensor:
        """As `forward`, of logits `[B, L]` and distances `[B]` that are there already."""
        mean, deviation = self.distance_statistics.float()
        is_background = torch.zeros_like(distances)
        if self.background is not None:
            is_background = logits.softmax(dim=1)[:, self.background]
            logits = self._of_actions(logits)
        predicted = logits.argmax(dim=1)
        signs = (logit_signs(logits) - self.sign_means.float()[:, predicted]) / self.sign_deviations[
            :, predicted
        ].float()
        nearness = (mean - distances.clamp_min(_LEAST_DEVIATION).log()) / deviation
        total = sum(weight * sign for weight, sign in zip(SIGN_WEIGHTS, (*signs, nearness), strict=True))
        return (_SLOPE * total + _OFFSET).sigmoid() * (1 - is_background)

    def _of_actions(self, logits: torch.Tensor) -> torch.Tensor:
        """Logits `[N, L]` in which the background is as good as not there."""
        if self.background is None:
            return logits
        is_background = torch.arange(logits.shape[1], device=logits.device) == self.background
        return logits.masked_fill(is_background, _NO_ACTION)

    def set_statistics(
        self,
        logits: torch.Tensor,
        distances: torch.Tensor,
        labels: torch.Tensor,
        centre: torch.Tensor,
        directions: torch.Tensor,
    ) -> None:
        """Learn what the signs are like in clips of known actions.

        Args:
            logits: `[N, L]`, of clips of actions by models that have not seen their groups.
            distances: `[N]`, of the same clips by the same models, see `squared_distances`.
            labels: `[N]`, the clips' own.
            centre: `[H]`, of all clips.
            directions: `[up to K, H]`, of all clips.
        """
        self._set_spread(centre, directions)
        logs = distances.clamp_min(_LEAST_DEVIATION).log()
        self.distance_statistics.copy_(torch.stack([logs.mean(), logs.std(correction=0).clamp_min(_LEAST_DEVIATION)]))
        signs = logit_signs(self._of_actions(logits))  # [2, N]
        means, deviations = signs.mean(dim=1), signs.std(dim=1, correction=0)  # [2]
        for label in range(logits.shape[1]):
            self._set_signs(label, signs[:, labels == label], means, deviations)

    def add_classes(
        self,
        old: KnownScore,
        logits: torch.Tensor,
        labels: torch.Tensor,
        centre: torch.Tensor,
        directions: torch.Tensor,
    ) -> None:
        """Take over what is known of the first L' labels, and learn what the signs are like in clips of the others.

        Args:
            old: Of the first L' labels.
            logits: `[N, L]`, of clips of the others by models that have not seen their groups.
            labels: `[N]`, the clips' own.
            centre: `[H]`, of all clips.
            directions: `[up to K, H]`, of all clips.
        """
        self._set_spread(centre, directions)
        self.distance_statistics.copy_(old.distance_statistics)
        num_old = old.sign_means.shape[1]
        self.sign_means[:, :num_old] = old.sign_means
        self.sign_deviations[:, :num_old] = old.sign_deviations
        signs = logit_signs(self._of_actions(logits))  # [2, N]
        means, deviations = old.sign_means.mean(dim=1), (old.sign_deviations**2).mean(dim=1).sqrt()
        for label in range(num_old, logits.shape[1]):
            self._set_signs(label, signs[:, labels == label], means, deviations)

    def _set_spread(self, centre: torch.Tensor, directions: torch.Tensor) -> None:
        self.centre.copy_(centre)
        self.directions.zero_()
        self.directions[: len(directions)] = directions

    def _set_signs(self, label: int, of_label: torch.Tensor, means: torch.Tensor, deviations: torch.Tensor) -> None:
        """Learn the signs `[2, n]` of clips of a label, beside the means `[2]` and deviations `[2]` of all clips."""
        # Of few clips the mean and the spread are drawn towards those of all, as if there were so many of these.
        total = of_label.shape[1] + _PRIOR_CLIPS
        mean = (of_label.sum(dim=1) + _PRIOR_CLIPS * means) / total
        squares = ((of_label - mean[:, None]) ** 2).sum(dim=1) + _PRIOR_CLIPS * deviations**2
        self.sign_means[:, label] = mean
        self.sign_deviations[:, label] = (squares / total).sqrt().clamp_min(_LEAST_DEVIATION)


def logit_signs(logits: torch.Tensor) -> torch.Tensor:
    """`[2, N]`, each the higher the more it speaks for a known action: less entropy, and a large largest logit."""
    log_probabilities = logits.log_softmax(dim=1)
    negative_entropy = (log_probabilities.exp() * log_probabilities).sum(dim=1)
    return torch.stack([negative_entropy, logits.amax(dim=1).clamp_min(_LEAST_LOGIT).log()])


def squared_distances(features: torch.Tensor, centre: torch.Tensor, directions: torch.Tensor) -> torch.Tensor:
    """Mahalanobis' distance from a centre, squared, but for a factor that is the same for all.

    Args:
        features: `[N, H]`.
        centre: `[H]`.
        directions: `[K, H]`, orthogonal, each as long as the root of what part of a squared difference that way is
            taken off.

    Returns:
        `[N]`.
    """
    offsets = features - centre
    return (offsets**2).sum(dim=1) - ((offsets @ directions.T) ** 2).sum(dim=1)


__all__ = ["NUM_DIRECTIONS", "KnownScore", "logit_signs", "squared_distances"]
