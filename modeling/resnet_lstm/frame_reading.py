"""What is kept of a frame's maps: the mean of the last one, and the means of three bands of those before it.

The mean over the whole picture tells what is there, and not where. That a body goes down and up again shows in the
change of what lies in the upper, the middle and the lower band, the more so in the maps of earlier stages, which see
parts and edges where the last one sees things.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F

NUM_BANDS = 3


def motion_stages(num_stages: int, num_motion_stages: int) -> range:
    """The indices of the stages whose bands are read: so many before the last, as far as there are, latest first.

    So the features begin with those of a model that reads fewer stages.
    """
    return range(num_stages - 2, max(-1, num_stages - 2 - num_motion_stages), -1)


def band_means(a_map: torch.Tensor) -> torch.Tensor:
    """Means of the upper, the middle and the lower band: `[N, C, rows, columns]` -> `[N, NUM_BANDS * C]`.

    Bands share a row where their number does not divide that of the rows.
    """
    # PyTorch pools each row to one column far faster than it takes the mean over part of a map.
    rows = F.adaptive_avg_pool2d(a_map, (None, 1))[..., 0]  # [N, C, rows]
    # A mean that is rounded to half precision leaves little of a small change.
    rows = rows.to(torch.promote_types(rows.dtype, torch.float32))
    num_rows = rows.shape[2]
    bands = [rows[..., i * num_rows // NUM_BANDS : -(-(i + 1) * num_rows // NUM_BANDS)] for i in range(NUM_BANDS)]
    return torch.cat([band.mean(dim=2) for band in bands], dim=1)


def features_of_maps(
    pooled: torch.Tensor, hidden_states: Sequence[torch.Tensor], num_motion_stages: int
) -> torch.Tensor:
    """The features of frames, by the outputs of a `ResNetModel`.

    Args:
        pooled: `[N, C, 1, 1]`, the mean of the last map.
        hidden_states: The embedder's map and each stage's.
        num_motion_stages: Of how many stages before the last the bands are read.

    Returns:
        `[N, D]`.
    """
    stage_maps = hidden_states[1:]
    bands = [band_means(stage_maps[stage]) for stage in motion_stages(len(stage_maps), num_motion_stages)]
    return torch.cat([pooled.flatten(1), *bands], dim=1)


__all__ = ["NUM_BANDS", "band_means", "features_of_maps", "motion_stages"]
