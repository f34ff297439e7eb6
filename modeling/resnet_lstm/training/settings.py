"""Everything about a training run that is not the model, the data or their places."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass
class TrainingSettings:
    """Settings of a training run; each is an option of `scripts/train.py`."""

    num_train_epochs: int = field(default=40, metadata={"help": "Epochs at most; early stopping may end sooner."})
    train_batch_size: int = field(default=32, metadata={"help": "Clips a step, over all processes together."})
    learning_rate: float = field(default=1e-3, metadata={"help": "Highest learning rate of the head (AdamW)."})
    backbone_learning_rate: float = field(
        default=1e-4, metadata={"help": "Highest learning rate of the backbone, where it is trained."}
    )
    weight_decay: float = field(default=0.05, metadata={"help": "AdamW's decoupled weight decay."})
    lr_scheduler_type: Literal["cosine", "linear", "constant_with_warmup"] = field(
        default="cosine", metadata={"help": "How the learning rate goes on after the warm-up."}
    )
    warmup_ratio: float = field(default=0.05, metadata={"help": "Share of the steps that warm up."})
    label_smoothing: float = field(default=0.0, metadata={"help": "Label smoothing of the training loss."})
    class_weight: Literal["none", "sqrt", "balanced"] = field(
        default="sqrt",
        metadata={
            "help": "Weight of a class in the loss: equal, by the inverse root of its clips, or by the inverse."
        },
    )
    max_grad_norm: float = field(
        default=1.0, metadata={"help": "Gradients are clipped to this norm; 0 does not clip."}
    )
    early_stopping_patience: int = field(
        default=5, metadata={"help": "Epochs without a better validation loss before stopping; 0 never stops early."}
    )
    metric_for_best_model: Literal["loss", "top1", "macro_f1"] = field(
        default="loss", metadata={"help": "What the best epoch is best in, on the validation split."}
    )
    refit: bool = field(
        default=True,
        metadata={"help": "On a frozen backbone, end by training on train and validation clips together."},
    )
    gradient_accumulation_steps: int = field(default=1, metadata={"help": "Batches to a step."})
    gradient_checkpointing: bool = field(
        default=False, metadata={"help": "Recompute the backbone's activations to save memory, where it is trained."}
    )
    flip: bool = field(
        default=True, metadata={"help": "Mirror clips to augment by; not where left and right tell classes apart."}
    )
    seed: int = field(default=0, metadata={"help": "Of initial weights, order of clips, dropout and augmentation."})
    checkpoint_interval_seconds: float = field(
        default=300.0, metadata={"help": "A checkpoint is also kept within an epoch when the last is older than this."}
    )
