"""How well the predicted actions match the true ones: the figures of a split and of each of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

TOP_K = 5


@dataclass(frozen=True)
class ClassMetrics:
    """The figures of one class. A figure that has no denominator is None, not zero.

    Attributes:
        label: The class's name.
        clips: How many clips of the split are of this class.
        groups: How many groups these clips come from.
        precision: The part of the clips predicted as this class that are of it; None when none was predicted so.
        recall: The part of the class's clips that were predicted as it; None when the split has no such clip.
        f1: The harmonic mean of the two; None when the split has no such clip.
        top5_recall: The part of the class's clips with the class among their five best; None as for `recall`.
    """

    label: str
    clips: int
    groups: int
    precision: float | None
    recall: float | None
    f1: float | None
    top5_recall: float | None


@dataclass(frozen=True)
class Metrics:
    """The figures of a split, each a fraction between 0 and 1, except the loss.

    Attributes:
        clips: How many clips were predicted.
        groups: How many groups they come from.
        loss: Mean cross entropy in nats.
        top1: The part of the clips whose best class is the true one.
        top5: The part of the clips whose five best classes hold the true one (all of them when there are fewer).
        macro_f1: The unweighted mean of F1 over the classes that have clips in the split. A clip predicted as
            another class counts against its own class, whether or not that other class has clips.
        balanced_accuracy: The unweighted mean of recall over the same classes.
        per_class: One row per class, in label order, classes without clips included.
        confusion_matrix: `[L, L]` clips, true class by predicted class.
    """

    clips: int
    groups: int
    loss: float
    top1: float
    top5: float
    macro_f1: float
    balanced_accuracy: float
    per_class: tuple[ClassMetrics, ...]
    confusion_matrix: np.ndarray

    def to_dict(self) -> dict[str, Any]:
        """The same, ready for JSON."""
        return asdict(self) | {
            "per_class": [asdict(row) for row in self.per_class],
            "confusion_matrix": self.confusion_matrix.tolist(),
        }


def compute_metrics(
    logits: np.ndarray, labels: Sequence[int] | np.ndarray, groups: Sequence[str], label_names: Sequence[str]
) -> Metrics:
    """Score the predictions of a split.

    Args:
        logits: `[N, L]` scores of each clip for each class, before the softmax.
        labels: `[N]` the true classes.
        groups: `[N]` the group (source video) that each clip was cut from.
        label_names: `[L]` the names of the classes.

    Raises:
        ValueError: The shapes disagree, there is no clip, a logit is not finite, or a label is out of range.
    """
    logits, labels = checked_predictions(logits, labels, groups)
    num_labels = logits.shape[1]
    if len(label_names) != num_labels:
        raise ValueError(f"logits have {num_labels} classes, label_names has {len(label_names)}: they must agree.")

    predicted = logits.argmax(axis=1)
    ranks = label_ranks(logits, labels)
    # NaN stands for "no denominator"; sklearn's F1 is 0, not NaN, for a class that was never predicted.
    precision, recall, f1, clips = precision_recall_fscore_support(
        labels, predicted, labels=np.arange(num_labels), zero_division=np.nan
    )
    present = clips > 0
    f1[~present] = np.nan
    of_class = [labels == label for label in range(num_labels)]
    group_names = np.asarray(groups)
    per_class = tuple(
        ClassMetrics(
            label=name,
            clips=int(clips[label]),
            groups=len(np.unique(group_names[of_class[label]])),
            precision=_none_if_nan(precision[label]),
            recall=_none_if_nan(recall[label]),
            f1=_none_if_nan(f1[label]),
            top5_recall=float((ranks[of_class[label]] < TOP_K).mean()) if present[label] else None,
        )
        for label, name in enumerate(label_names)
    )
    return Metrics(
        clips=len(labels),
        groups=len(np.unique(group_names)),
        loss=float(-log_probabilities(logits)[np.arange(len(labels)), labels].mean()),
        top1=float((ranks < 1).mean()),
        top5=float((ranks < TOP_K).mean()),
        macro_f1=float(f1[present].mean()),
        balanced_accuracy=float(recall[present].mean()),
        per_class=per_class,
        confusion_matrix=confusion_matrix(labels, predicted, labels=np.arange(num_labels)),
    )


def label_ranks(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many classes stand before the true one: 0 is a top-1 hit, below 5 a top-5 hit.

    Of equal logits the lower class comes first, as in `argmax`. `sklearn.metrics.top_k_accuracy_score` takes the
    higher one, so its top-1 can disagree with the predicted classes.

    Args:
        logits: `[N, L]`.
        labels: `[N]`.

    Returns:
        `[N]` integers from 0 to L - 1.
    """
    own = logits[np.arange(len(labels)), labels][:, None]  # [N, 1]
    earlier = np.arange(logits.shape[1]) < labels[:, None]  # [N, L]
    return ((logits > own) | ((logits == own) & earlier)).sum(axis=1)


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """The log-softmax of `[N, L]` logits, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))


def checked_predictions(
    logits: np.ndarray, labels: Sequence[int] | np.ndarray, groups: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """`logits` `[N, L]` and `labels` `[N]` as arrays that agree with each other and with `groups` `[N]`.

    Raises:
        ValueError: They do not, there is no clip, a logit is not finite, or a label is out of range.
    """
    logits, labels = np.asarray(logits), np.asarray(labels)
    if logits.ndim != 2 or len(logits) == 0:
        raise ValueError(f"logits have the shape {logits.shape}: expected [clips, classes] with at least one clip.")
    if labels.shape != (len(logits),) or len(groups) != len(logits):
        raise ValueError(
            f"{len(logits)} rows of logits, labels of shape {labels.shape}, {len(groups)} groups: expected one label "
            "and one group per clip."
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels are {labels.dtype}: expected integers, the positions of the classes.")
    not_finite = np.flatnonzero(~np.isfinite(logits).all(axis=1))
    if len(not_finite):
        raise ValueError(
            f"clip {not_finite[0]} has a logit that is not finite (so have {len(not_finite)} of {len(logits)} clips): "
            "the model has diverged or its weights are damaged; evaluate an earlier checkpoint."
        )
    outside = np.flatnonzero((labels < 0) | (labels >= logits.shape[1]))
    if len(outside):
        raise ValueError(
            f"clip {outside[0]} has the label {labels[outside[0]]}: the model knows the classes 0 to "
            f"{logits.shape[1] - 1}. Was it trained on another set of classes?"
        )
    return logits, labels


def _none_if_nan(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
