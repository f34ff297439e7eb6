"""Where in the pictures a decision comes from: what each place of each frame adds to it.

What speaks for a label is a sum over what the head reads of each frame: the means of the last maps, how much these and
the bands have changed, and what the LSTM makes of them in order. A mean is a sum over places, and so is a change. Then
the head takes the root of each, standardises it and brings the frame to one length. The scale that comes of that is of
the whole frame, so it is taken as it is, and each feature's root is divided over the places in proportion to what they
add to the feature. So much is a convention; with it places, what has none, and the LSTM sum exactly to the share.

Two parts have no place. The LSTM's is one. The other is what the head compares each feature with, its mean over the
training clips, and the bias. And a place of a map is where a feature was found; what it was found by may lie around.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch

from ..configuration_resnet_lstm import ResNetLSTMConfig
from ..frame_reading import features_of_maps, motion_stages
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification


@dataclass(frozen=True)
class DecisionPlaces:
    """Each part of the decision for a label as a share of it. All sum to 1, and those of a frame to its share.

    Attributes:
        places: `[T, rows, columns]` float32, on the grid of the finest map that is read. Above 0 a place speaks for
            the label, below 0 against it.
        without_place: `[T]` float32, what the features are compared with, and the bias.
        lstm: `[T]` float32, the LSTM's part.
    """

    places: torch.Tensor
    without_place: torch.Tensor
    lstm: torch.Tensor

    @property
    def frame_shares(self) -> torch.Tensor:
        """`[T]`, the share of each frame, as `ClipPrediction.frame_shares` gives it."""
        return self.places.sum(dim=(1, 2)) + self.without_place + self.lstm


@torch.no_grad()
def decision_places(model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor, label: int) -> DecisionPlaces:
    """What each place of each frame adds to the decision for a label.

    The maps are computed by the backbone's own modules in the precision of its weights, whatever computes features
    otherwise, so the shares may differ from those of a prediction by its rounding.

    Args:
        model: In evaluation mode.
        pixel_values: `[T, C, height, width]`, a clip's frames on the model's device.
        label: Its index.
    """
    base, config = model.resnet_lstm, model.config
    frames = pixel_values.to(base.backbone.dtype, memory_format=torch.channels_last)
    features, hidden_states = base.read_frames(frames)
    maps = [a_map.float() for a_map in hidden_states[1:]]
    features = features.float()[None]  # [1, T, D]
    outputs = base(frame_features=features)
    magnitudes = base.magnitudes(features)[0]  # [T, H]
    weights = _weights(model, magnitudes, label)
    margins = _margins(model.frame_logits(outputs.last_hidden_state), label)
    lstm = torch.zeros_like(margins)
    if model.lstm_classifier is not None:
        spoken = model.lstm_classifier(outputs.last_hidden_state[..., config.hidden_size :])
        lstm = _margins(spoken / config.temperature, label)

    size = max(tuple(maps[stage].shape[2:]) for stage in _stages_read(config, len(maps)))
    num_means = config.pooled_size
    places = _placed(maps, weights[:, :num_means], 0, size)
    if config.temporal_change:
        for lag, of_lag in zip(
            config.lags, weights[:, num_means:].split(config.frame_feature_size, dim=1), strict=True
        ):
            changes = [a_map - _earlier(a_map, lag, config) for a_map in maps]
            places += _placed(changes, of_lag, config.num_motion_stages, size)
    total = margins.sum()
    without_place = margins - lstm - places.sum(dim=(1, 2))
    return DecisionPlaces(*((part / total).cpu() for part in (places, without_place, lstm)))


def _margins(frame_logits: torch.Tensor, label: int) -> torch.Tensor:
    """`[1, T, L]` -> `[T]`, see `ClipPrediction.frame_shares`."""
    return (frame_logits[..., label] - frame_logits.mean(dim=-1))[0]


def _weights(model: ResNetLSTMForVideoClassification, magnitudes: torch.Tensor, label: int) -> torch.Tensor:
    """What one unit of a mean, or of a change, counts in each frame: `[T, H]`.

    The root of a feature f is f / root(f), a multiple of f, and so is all that follows but the sum of constants.
    """
    norm = model.resnet_lstm.feature_norm
    standardised = norm(magnitudes)
    scale = magnitudes.shape[1] ** 0.5 / standardised.norm(dim=1, keepdim=True).clamp_min(1e-12)  # [T, 1]
    of_label = model.classifier.weight[label] - model.classifier.weight.mean(dim=0)  # [H]
    deviations = (cast(torch.Tensor, norm.running_var) + norm.eps).sqrt()
    return scale * of_label / (deviations * model.config.temperature * magnitudes)


def _stages_read(config: ResNetLSTMConfig, num_stages: int) -> Sequence[int]:
    bands = motion_stages(num_stages, config.num_motion_stages) if config.temporal_change else ()
    return [num_stages - 1, *bands]


def _earlier(a_map: torch.Tensor, lag: int, config: ResNetLSTMConfig) -> torch.Tensor:
    """What each frame's map `[T, C, rows, columns]` is compared with, that of so many frames before."""
    indices = torch.arange(len(a_map), device=a_map.device) - lag
    earlier = a_map[indices.clamp_min(0)]
    if config.change_lags is None:
        earlier[indices < 0] = 0
    return earlier


def _placed(
    maps: Sequence[torch.Tensor], weights: torch.Tensor, num_motion_stages: int, size: Sequence[int]
) -> torch.Tensor:
    """A weighted sum of the magnitudes of features `[T, rows, columns]`, as the sum over places that it is.

    Args:
        maps: `[T, channels, rows, columns]` of each stage, or their change.
        weights: `[T, features of these maps]`.
        num_motion_stages: Of so many stages the bands are features too.
        size: Rows and columns of the result.
    """
    read = {stage: maps[stage] for stage in (len(maps) - 1, *motion_stages(len(maps), num_motion_stages))}
    with torch.enable_grad():
        leaves = {stage: a_map.detach().requires_grad_() for stage, a_map in read.items()}
        stages = [leaves.get(stage, a_map) for stage, a_map in enumerate(maps)]
        # The embedder's map stands before those of the stages, and is not read.
        features = features_of_maps(stages[-1].mean(dim=(2, 3)), [maps[0], *stages], num_motion_stages)
        gradients = torch.autograd.grad((weights * features.abs()).sum(), list(leaves.values()))
    placed = weights.new_zeros(len(weights), *size)
    for leaf, gradient in zip(leaves.values(), gradients, strict=True):
        placed += _spread((leaf.detach() * gradient).sum(dim=1), size)
    return placed


def _spread(places: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Places `[T, rows, columns]` on a finer grid, their sum unchanged."""
    rows, columns = (_overlaps(coarse, fine).to(places) for coarse, fine in zip(places.shape[1:], size, strict=True))
    return rows @ places @ columns.T


def _overlaps(num_coarse: int, num_fine: int) -> torch.Tensor:
    """Which part of each of the cells of a coarse row lies in each of a fine one: `[num_fine, num_coarse]`."""
    coarse = torch.arange(num_coarse + 1) / num_coarse
    fine = torch.arange(num_fine + 1)[:, None] / num_fine
    overlap = torch.minimum(fine[1:], coarse[1:]) - torch.maximum(fine[:-1], coarse[:-1])
    return overlap.clamp_min(0) * num_coarse
