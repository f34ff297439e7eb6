"""Telling clips of a taught model's actions from all others: what the known score compares clips with, and the
threshold, fitted anew."""

from __future__ import annotations

import numpy as np
import torch

from ..class_statistics import ClassStatistics
from ..known_score import KnownScore
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..training.cross_validated_fit import DiscriminantFit
from ..training.frozen_backbone import KNOWN_CLIPS_REFUSED, fit_known_score


@torch.no_grad()
def teach_known_score(
    taught: ResNetLSTMForVideoClassification,
    fit: DiscriminantFit,
    old: KnownScore | None,
    statistics: ClassStatistics | None,
) -> np.ndarray:
    """Let a taught model tell whether a clip shows one of its actions, if there are clips enough to learn it from.

    Args:
        taught: With its classifier and temperature set.
        fit: Of its classifier.
        old: What clips of the classes that it keeps are like, on the CPU; None where it keeps none, or does not know.
        statistics: Of the clips that `old` was learned from.

    Returns:
        The known scores of clips by models that have not seen them; empty where the model does not tell.
    """
    if old is None or statistics is None:
        # Old clips of classes that are gone say nothing of the scores of others.
        return fit_known_score(taught, fit, taught.config.temperature)
    logits = torch.from_numpy(fit.held_out_logits / taught.config.temperature).float()
    distances = torch.from_numpy(fit.held_out_distances).float()
    background = taught.config.background_label_id
    known_score = KnownScore(taught.config.hidden_size, taught.config.num_labels, background)
    known_score.add_classes(old, logits, torch.from_numpy(fit.labels), fit.spread.centre, fit.spread.directions)
    scores = known_score.probability(logits, distances).numpy()
    known_scores = np.concatenate([_scores_of_old_clips(statistics, background), scores[fit.labels != background]])
    taught.set_known_score(known_score, float(np.quantile(known_scores, KNOWN_CLIPS_REFUSED)))
    return known_scores


def _scores_of_old_clips(statistics: ClassStatistics, background: int | None) -> np.ndarray:
    """As many known scores as there were clips of actions, spread as theirs were."""
    quantiles, num_clips = statistics.known_scores.cpu().numpy(), statistics.num_clips.cpu().numpy()
    num_actions = num_clips[np.arange(len(num_clips)) != background].sum()
    positions = np.linspace(0, 1, int(num_actions))
    return np.interp(positions, np.linspace(0, 1, len(quantiles)), quantiles)
