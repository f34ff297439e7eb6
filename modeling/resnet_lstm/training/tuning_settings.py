"""Whether the backbone is tuned after the head was fitted, and how carefully."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class TuningSettings:
    """Settings of the tuning of a pretrained backbone; each is an option of `train`."""

    unfreeze: Literal["none", "last_stage", "all"] = field(
        default="none",
        metadata={"help": "last_stage or all of the backbone"},
    )
    tuning_epochs: int = field(default=1, metadata={"help": "epochs of tuning"})
    tuning_learning_rate: float = field(
        default=1e-5, metadata={"help": "highest learning rate of the last stage in tuning", "advanced": True}
    )
    tuning_batch_size: int = field(default=8, metadata={"help": "clips a step, over all processes", "advanced": True})
    tuning_views: int = field(
        default=1, metadata={"help": "views of a clip whose maps are kept for the last stage", "advanced": True}
    )
    layer_decay: float = field(
        default=0.5, metadata={"help": "an earlier stage's learning rate, of the next one's", "advanced": True}
    )
    pull_to_pretrained: float = field(
        default=0.0, metadata={"help": "pull of tuned weights to the pretrained ones (L2-SP)", "advanced": True}
    )
    tuning_label_smoothing: float = field(
        default=0.0, metadata={"help": "label smoothing of the tuning loss", "advanced": True}
    )
