"""How near an exported graph comes to the model that it was made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import torch
import torch.nn.functional as F

from ..inference.runtimes import ExportedGraph
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification


@dataclass(frozen=True)
class Agreement:
    """An exported graph against PyTorch in float32, on the same clips.

    Attributes:
        clips: How many.
        max_logit_difference: The greatest absolute difference of any clip's or frame's logit.
        max_logit: The greatest absolute logit, to see it by.
        mean_feature_cosine: Of the features of a frame, the mean over all frames.
        min_feature_cosine: The same, of the worst frame.
        top1_agreement: The share of clips whose best label is the same.
    """

    clips: int
    max_logit_difference: float
    max_logit: float
    mean_feature_cosine: float
    min_feature_cosine: float
    top1_agreement: float

    def to_dict(self) -> dict[str, Any]:
        """The figures by name, rounded to six digits."""
        return {
            name: float(f"{value:.6g}") if isinstance(value, float) else value for name, value in asdict(self).items()
        }


@torch.inference_mode()
def measure_agreement(
    model: ResNetLSTMForVideoClassification, graph: ExportedGraph, clips: Iterable[torch.Tensor]
) -> Agreement:
    """Pass clips through both.

    Args:
        model: In evaluation mode.
        graph: With all outputs.
        clips: `pixel_values` `[1, T, C, H, W]` of each.
    """
    differences, greatest, cosines, same = [], [], [], []
    for pixel_values in clips:
        expected = model(pixel_values=pixel_values, output_frame_features=True)
        logits, frame_logits, frame_features = graph(pixel_values)
        differences.append((logits - expected.logits).abs().max())
        differences.append((frame_logits - expected.frame_logits).abs().max())
        greatest.append(expected.frame_logits.abs().max())
        cosines.append(F.cosine_similarity(frame_features, expected.frame_features, dim=-1).flatten())
        same.append((logits.argmax(-1) == expected.logits.argmax(-1)).float().mean())
    frame_cosines = torch.cat(cosines)
    return Agreement(
        clips=len(same),
        max_logit_difference=float(torch.stack(differences).max()),
        max_logit=float(torch.stack(greatest).max()),
        mean_feature_cosine=float(frame_cosines.mean()),
        min_feature_cosine=float(frame_cosines.min()),
        top1_agreement=float(torch.stack(same).mean()),
    )
