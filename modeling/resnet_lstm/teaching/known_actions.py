"""Telling clips of the old and the new classes from all others: what the known score compares clips with, and its
threshold, fitted anew."""

from __future__ import annotations

import copy

import numpy as np
import torch

from ..evaluation.calibration import LEAST_CLIPS_FOR_TEMPERATURE
from ..known_score import KnownScore
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..training.discriminant import Spread
from ..training.frozen_backbone import KNOWN_CLIPS_REFUSED
from .old_classes import known_scores_of


def teach_known_score(
    taught: ResNetLSTMForVideoClassification,
    model: ResNetLSTMForVideoClassification,
    spread: Spread,
    logits: torch.Tensor,
    distances: torch.Tensor,
    labels: torch.Tensor,
) -> np.ndarray:
    """Let a taught model tell whether a clip shows one of its actions, if there are clips enough to learn it from.

    What clips of old classes are like is known from the model; the new clips tell of theirs.

    Args:
        taught: With its classifier set; its first classes are the old ones that it keeps.
        model: What it was taught from.
        spread: Of the taught model's classes.
        logits: `[M, L]` of the new clips by models that have not seen their recordings.
        distances: `[M]` of the same clips by `spread`.
        labels: `[M]`.

    Returns:
        The known scores of old clips and new ones, `[N]`; empty where the model does not tell.
    """
    hidden_size, num_labels = taught.config.hidden_size, taught.config.num_labels
    num_new = len(set(taught.config.label2id) - set(model.config.label2id))
    keeps_old = num_labels > num_new and model.known_score is not None
    if not keeps_old and (num_labels > num_new or len(labels) < LEAST_CLIPS_FOR_TEMPERATURE):
        taught.set_known_score(None, None)
        return np.empty(0)
    known_score = KnownScore(hidden_size, num_labels)
    old_scores = np.empty(0)
    if keeps_old:
        assert model.known_score is not None and model.class_statistics is not None  # noqa: S101, PT018 - as checked
        known_score.add_classes(
            copy.deepcopy(model.known_score).cpu(), logits, labels, spread.centre, spread.directions
        )
        old_scores = known_scores_of(model.class_statistics)
    else:
        known_score.set_statistics(logits, distances, labels, spread.centre, spread.directions)
    scores = np.concatenate([old_scores, known_score.probability(logits, distances).numpy()])
    taught.set_known_score(known_score, float(np.quantile(scores, KNOWN_CLIPS_REFUSED)))
    return scores
