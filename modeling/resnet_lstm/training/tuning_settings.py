"""Whether the backbone is tuned after the head was fitted, and how carefully."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class TuningSettings:
    """Settings of the tuning of a pretrained backbone; each is an option of `scripts/train.py`."""

    unfreeze: Literal["none", "last_stage", "all"] = field(
        default="none",
        metadata={
            "help": "What of the backbone is tuned after the frozen model was fitted: none of it, its last stage on "
            "maps that are computed once and kept (6.7 MB a clip and view), or all of it, on augmented clips."
        },
    )
    tuning_epochs: int = field(default=1, metadata={"help": "Epochs of tuning."})
    tuning_learning_rate: float = field(
        default=1e-5, metadata={"help": "Highest learning rate of the last stage while it is tuned."}
    )
    tuning_batch_size: int = field(
        default=8, metadata={"help": "Clips a step of tuning, over all processes together."}
    )
    tuning_views: int = field(
        default=1, metadata={"help": "Views of each clip whose maps are kept to tune the last stage on."}
    )
    layer_decay: float = field(
        default=0.5, metadata={"help": "What each earlier stage's learning rate is of that of the stage after it."}
    )
    pull_to_pretrained: float = field(
        default=0.0, metadata={"help": "Strength of the pull of tuned weights to the pretrained ones (L2-SP)."}
    )
    tuning_label_smoothing: float = field(
        default=0.0,
        metadata={"help": "Label smoothing of the tuning loss; much of it flattens a classifier that stays as it is."},
    )
