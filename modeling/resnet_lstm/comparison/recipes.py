"""Named heads with the settings they are trained with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from torch import nn

from ..data.class_names import background_label_id
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..training.settings import TrainingSettings
from .heads import LastStateHead, MeanOfFramesHead

BASELINE = "mean-of-frames"
DEFAULT = "resnet-lstm"


@dataclass(frozen=True)
class Recipe:
    """A head and how it is trained.

    Attributes:
        description: In a few words.
        head: Fields of `ResNetLSTMConfig` that differ from its defaults; or a head of its own, called with D and L.
        settings: Fields of `TrainingSettings` that differ from its defaults.
        num_views: Cached views of each training clip.
        closed_form: Train the model's head as `train_head` does; otherwise all of it by gradient descent.
    """

    description: str
    head: Mapping[str, Any] | type[nn.Module] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    num_views: int = 1
    closed_form: bool = True

    def build(self, backbone: str, label_names: list[str]) -> nn.Module:
        """The head with initial weights from torch's generator.

        Args:
            backbone: As in `ResNetLSTMForVideoClassification.from_backbone`.
            label_names: `[L]`.
        """
        head = self.head if isinstance(self.head, Mapping) else {}
        model = ResNetLSTMForVideoClassification.from_backbone(
            backbone,
            id2label=dict(enumerate(label_names)),
            background_label_id=background_label_id(label_names),
            **head,
        )
        if isinstance(self.head, Mapping):
            return model
        return self.head(model.config.pooled_size, len(label_names))

    def training_settings(self, seed: int) -> TrainingSettings:
        """The settings of one training."""
        return replace(TrainingSettings(**self.settings), seed=seed)

    def facts(self) -> dict[str, Any]:
        """What makes a training of this recipe what it is, ready for JSON; the description does not."""
        head = dict(self.head) if isinstance(self.head, Mapping) else self.head.__name__
        return {
            "head": head,
            "num_views": self.num_views,
            "closed_form": self.closed_form,
            "settings": asdict(self.training_settings(0)),
        }


RECIPES = {
    BASELINE: Recipe(
        "order-blind: mean of the frames' features, LayerNorm, dropout 0.5, linear, AdamW",
        MeanOfFramesHead,
        {"class_weight": "none"},
    ),
    "last-state": Recipe(
        "the tutorials' head: 2-layer LSTM-512, last state, MLP, dropout 0.7, Adam 1e-4",
        LastStateHead,
        {
            "class_weight": "none",
            "learning_rate": 1e-4,
            "weight_decay": 0.0,
            "lr_scheduler_type": "constant_with_warmup",
            "warmup_ratio": 0.0,
            "train_batch_size": 16,
            "num_train_epochs": 20,
            "early_stopping_patience": 5,
        },
    ),
    DEFAULT: Recipe("the default: discriminant on frames and change, also in bands, an LSTM beside it"),
    "no-lstm": Recipe("the same without the LSTM", {"num_lstm_layers": 0}),
    "no-bands": Recipe(
        "without the LSTM, and the change in bands of earlier stages",
        {"num_motion_stages": 0, "num_lstm_layers": 0},
    ),
    "one-lag": Recipe(
        "without the LSTM, and compared with the frame before alone", {"change_lags": [1], "num_lstm_layers": 0}
    ),
    "plain-change": Recipe(
        "without the LSTM, and the last map against that of the frame before alone",
        {"num_motion_stages": 0, "change_lags": [1], "num_lstm_layers": 0},
    ),
    "no-change": Recipe("the same without any change between frames", {"temporal_change": False}),
    "frames-only": Recipe("the same without either: order-blind", {"temporal_change": False, "num_lstm_layers": 0}),
    "no-refit": Recipe("the default, validation clips not trained on in the end", settings={"refit": False}),
    "by-gradient": Recipe(
        "the default's head, all of it by gradient descent",
        # By its loss it would be at its best after one epoch, long before its accuracy is.
        settings={"num_train_epochs": 15, "label_smoothing": 0.1, "metric_for_best_model": "top1"},
        closed_form=False,
    ),
}
