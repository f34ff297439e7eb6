"""What it is worth to learn from clips that show none of the actions.

A fifth of the classes is left out of everything, and another fifth is the background. Each model with a background
stands beside one that has never seen these clips either. Both are scored on clips of groups that neither has seen: of
the actions, of the kinds of clips that the background is of, and of the classes that were left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.metrics import roc_auc_score
from torch import nn

from ..data.class_names import BACKGROUND
from ..evaluation.report import percent
from ..features import FeaturesInMemory
from ..whole_file import write_texts
from .cross_validation import Fold, LabelledClips, train_head_on_fold, training_key
from .recipes import Recipe
from .unknown_actions import NUM_RESAMPLES, head_outputs, that_knows, without_classes


@dataclass(frozen=True)
class ToldApart:
    """How a model tells its actions from other clips; all figures are parts of 1.

    Attributes:
        top1: On clips of the actions, being taken for none of them left aside.
        actions_refused: The part of these that it takes for none of its actions.
        auroc_alike: Area under the ROC curve of the known score, clips of actions against those like the background.
        alike_refused: The part of the latter that it takes for none of its actions.
        auroc_others: As `auroc_alike`, against clips of the classes that were left out of everything.
        others_refused: The part of these that it takes for none of its actions.
    """

    top1: float
    actions_refused: float
    auroc_alike: float
    alike_refused: float
    auroc_others: float
    others_refused: float


@dataclass(frozen=True)
class BackgroundTrial:
    """Two models of the same actions.

    Attributes:
        without: Never saw a clip of the background.
        with_it: Learned from some.
    """

    without: ToldApart
    with_it: ToldApart


def learn_background(
    name: str,
    recipe: Recipe,
    clips: LabelledClips,
    fold: Fold,
    left_out: np.ndarray,
    background: np.ndarray,
    seed: int,
    features: FeaturesInMemory,
    backbone: str,
    output_dir: Path,
) -> BackgroundTrial:
    """Train a recipe with and without a background. What an earlier call has tried is read.

    Args:
        name: The recipe's name.
        recipe: What to train; it must give models that tell what they know.
        clips: The clips, all of which must be in the cache.
        fold: Of `group_folds`; its test clips of all classes are scored.
        left_out: The label ids that are left out of everything.
        background: The label ids whose clips are the background.
        seed: Of the training.
        features: The clips' features.
        backbone: What made them.
        output_dir: Where the trials are kept, one file for each.

    Raises:
        ValueError: A model does not tell what it knows: the recipe does not, or the training clips are too few.
    """
    actions = without_classes(clips, fold, np.concatenate([left_out, background]))
    key = training_key(recipe, *actions, seed, features)
    path = output_dir / f"{name}-background" / f"{key}-{'-'.join(map(str, np.sort(background)))}.json"
    if not path.is_file():
        both = []
        for of_model in (actions, _with_background(clips, fold, left_out, background)):
            head, _ = train_head_on_fold(recipe, *of_model, seed, features, backbone)
            both.append(_told_apart(head, clips, fold.test, left_out, background, features))
        write_texts(path.parent, {path.name: json.dumps([asdict(each) for each in both], indent=2) + "\n"})
    without, with_it = json.loads(path.read_text(encoding="utf-8"))
    return BackgroundTrial(ToldApart(**without), ToldApart(**with_it))


def _with_background(
    clips: LabelledClips, fold: Fold, left_out: np.ndarray, background: np.ndarray
) -> tuple[LabelledClips, Fold]:
    """As `without_classes` of both, but that the clips of the background are a class of their own, the last."""
    of_actions, _ = without_classes(clips, fold, np.concatenate([left_out, background]))
    labels = np.where(np.isin(clips.labels, background), len(of_actions.label_names), of_actions.labels)
    known = replace(of_actions, labels=labels, label_names=[*of_actions.label_names, BACKGROUND])
    return known, Fold(*(indices[labels[indices] >= 0] for indices in (fold.train, fold.validation, fold.test)))


def _told_apart(
    head: nn.Module,
    clips: LabelledClips,
    indices: np.ndarray,
    left_out: np.ndarray,
    background: np.ndarray,
    features: FeaturesInMemory,
) -> ToldApart:
    head = that_knows(head)
    logits, _, scores = head_outputs(head, clips, indices, features)
    best, known_scores = logits.argmax(dim=1).numpy(), scores.numpy()
    is_refused = (known_scores < head.config.known_threshold) | (best == head.config.background_label_id)
    names = [clips.label_names[label] for label in clips.labels[indices]]
    is_right = np.array([head.config.id2label[label] == name for label, name in zip(best, names, strict=True)])
    is_alike, is_other = np.isin(clips.labels[indices], background), np.isin(clips.labels[indices], left_out)
    is_action = ~is_alike & ~is_other
    areas = [
        float(roc_auc_score(is_action[is_action | of_none], known_scores[is_action | of_none]))
        for of_none in (is_alike, is_other)
    ]
    return ToldApart(
        top1=float(is_right[is_action].mean()),
        actions_refused=float(is_refused[is_action].mean()),
        auroc_alike=areas[0],
        alike_refused=float(is_refused[is_alike].mean()),
        auroc_others=areas[1],
        others_refused=float(is_refused[is_other].mean()),
    )


@dataclass(frozen=True)
class BackgroundResult:
    """What learning from a background has shown.

    Attributes:
        trials: One for each set of classes and seed.
    """

    trials: Sequence[BackgroundTrial]

    def to_markdown(self) -> str:
        """A table for people."""
        rows = [("figure", "without", "with a background", "gain, points"), ("---",) * 4]
        for title, figure in (
            ("actions: top-1", "top1"),
            ("actions: taken for none", "actions_refused"),
            ("clips like the background: AUROC of the known score", "auroc_alike"),
            ("clips like the background: taken for none", "alike_refused"),
            ("clips of other classes: AUROC of the known score", "auroc_others"),
            ("clips of other classes: taken for none", "others_refused"),
        ):
            without, with_it = (
                np.array([getattr(of, figure) for of in each])
                for each in zip(*((trial.without, trial.with_it) for trial in self.trials), strict=True)
            )
            gain = _in_points(with_it - without)
            rows.append((title, _shown(figure, without), _shown(figure, with_it), gain))
        return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"

    def write(self, directory: Path, facts: Mapping[str, Any]) -> None:
        """Write `background.json` and `background.md`."""
        record = {**facts, "trials": [asdict(trial) for trial in self.trials]}
        text = json.dumps(record, indent=2) + "\n"
        write_texts(directory, {"background.json": text, "background.md": self.to_markdown()})


def _shown(figure: str, values: np.ndarray) -> str:
    mean = float(values.mean())
    return f"{mean:.3f}" if figure.startswith("auroc") else percent(mean)


def _in_points(gains: np.ndarray) -> str:
    """Their mean, and its 95 % interval when trials are drawn anew."""
    drawn = np.random.default_rng(0).integers(len(gains), size=(NUM_RESAMPLES, len(gains)))
    low, high = np.quantile(gains[drawn].mean(axis=1), (0.025, 0.975))
    return f"{100 * gains.mean():+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
