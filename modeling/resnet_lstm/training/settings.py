"""Everything about a training run that is not the model, the data or their places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class TrainingSettings:
    """Settings of a training run; each is an option of `train`.

    Of what is on, the help tells what it is like without.
    """

    num_train_epochs: int = field(default=40, metadata={"help": "epochs at most"})
    train_batch_size: int = field(default=32, metadata={"help": "clips a step, of all processes"})
    learning_rate: float = field(default=1e-3, metadata={"help": "highest one of the head, by AdamW"})
    backbone_learning_rate: float = field(
        default=1e-4, metadata={"help": "highest one of the backbone, if it is trained", "advanced": True}
    )
    weight_decay: float = field(default=0.05, metadata={"help": "AdamW's decoupled weight decay", "advanced": True})
    lr_scheduler_type: Literal["cosine", "linear", "constant_with_warmup"] = field(
        default="cosine", metadata={"help": "cosine, linear or constant_with_warmup", "advanced": True}
    )
    warmup_ratio: float = field(default=0.05, metadata={"help": "share of the steps that warm up", "advanced": True})
    label_smoothing: float = field(default=0.0, metadata={"help": "of the training loss", "advanced": True})
    class_weight: Literal["none", "sqrt", "balanced"] = field(
        default="sqrt",
        metadata={"help": "balanced, its root sqrt, or none"},
    )
    max_grad_norm: float = field(
        default=1.0, metadata={"help": "gradients are clipped to this norm; 0: not", "advanced": True}
    )
    early_stopping_patience: int = field(default=5, metadata={"help": "epochs without gain; 0: go on"})
    metric_for_best_model: Literal["loss", "top1", "macro_f1"] = field(
        default="loss", metadata={"help": "loss, top1 or macro_f1"}
    )
    refit: bool = field(
        default=True,
        metadata={"help": "leave the validation clips out of the last fit"},
    )
    gradient_accumulation_steps: int = field(default=1, metadata={"help": "batches a step", "advanced": True})
    gradient_checkpointing: bool = field(
        default=False, metadata={"help": "save memory, where the backbone is trained", "advanced": True}
    )
    flip: bool = field(default=True, metadata={"help": "mirror no clips, if left and right matter"})
    seed: int = field(default=0, metadata={"help": "of all that is random"})
    checkpoint_interval_seconds: float = field(
        default=300.0, metadata={"help": "a checkpoint is kept this often in an epoch", "advanced": True}
    )

    def __post_init__(self) -> None:
        for name in ("num_train_epochs", "train_batch_size", "gradient_accumulation_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be 1 or more.")
