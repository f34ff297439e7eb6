"""How soon a clip is taken for the background, the class of those that show none of the actions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .cross_validated_fit import DiscriminantFit
from .discriminant import LinearClassifier

# What part of the clips of actions may be taken for background.
ACTIONS_TAKEN_FOR_BACKGROUND = 0.02


def lower_background(fit: DiscriminantFit, background: int) -> DiscriminantFit:
    """The fit with the logit of the background so low that few clips of actions are taken for it.

    Clips of none of the actions are of many kinds. So their mean lies amid the actions, near all clips of which it is
    not clear what they show.

    Args:
        fit: Its held-out logits tell how low.
        background: The label id.
    """
    of_actions = fit.held_out_logits[(fit.labels != background) & ~np.isnan(fit.held_out_logits).any(axis=1)]
    if not len(of_actions):
        return fit
    leads = of_actions[:, background] - np.delete(of_actions, background, axis=1).max(axis=1)
    offset = max(0.0, float(np.quantile(leads, 1 - ACTIONS_TAKEN_FOR_BACKGROUND)))
    bias, held_out_logits = fit.classifier.bias.clone(), fit.held_out_logits.copy()
    bias[background] -= offset
    held_out_logits[:, background] -= offset
    return replace(
        fit,
        classifier=LinearClassifier(fit.classifier.weight, bias),
        held_out_logits=held_out_logits,
        background_offset=offset,
    )
