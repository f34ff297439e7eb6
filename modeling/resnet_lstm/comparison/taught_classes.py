"""How well classes are learned by a few clips: classes are left out of training in turn and taught afterwards.

Beside it stands the same head trained on all clips together, those of the old classes and the few of the new ones. All
are scored on clips of groups that none of them has seen.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from ..features import FeaturesInMemory
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..teaching import teach
from ..whole_file import write_texts
from .cross_validation import Fold, LabelledClips, train_head_on_fold, training_key
from .few_clips import reduced_folds
from .recipes import Recipe
from .unknown_actions import NUM_RESAMPLES, head_outputs, that_knows, without_classes


@dataclass(frozen=True)
class TaughtTrial:
    """What came of teaching a model some classes; all figures but the seconds are parts of 1.

    Attributes:
        seconds: What teaching took, with the features in the cache.
        held_out: Top-1 on these, each without its recording, as `teach` tells it.
        new_taught: Top-1 on test clips of the new classes, among all classes.
        new_trained: The same by a head that was trained on all clips together.
        old_before: Top-1 on test clips of the old classes, before teaching, among the old ones.
        old_taught: The same after it, among all classes.
        old_trained: The same by the head that was trained on all clips together.
        refused_before: Test clips of old classes that the model takes for none of its actions, before teaching.
        refused_taught: Test clips of all classes that it takes for none of them, after it.
    """

    seconds: float
    held_out: float
    new_taught: float
    new_trained: float
    old_before: float
    old_taught: float
    old_trained: float
    refused_before: float
    refused_taught: float


def teach_left_out_classes(
    name: str,
    recipe: Recipe,
    clips: LabelledClips,
    fold: Fold,
    classes: np.ndarray,
    clips_per_class: int,
    seed: int,
    features: FeaturesInMemory,
    backbone: str,
    output_dir: Path,
) -> TaughtTrial:
    """Train a recipe without some classes, and teach it them. What an earlier call has tried is read.

    Args:
        name: The recipe's name.
        recipe: What to train; it must give models that keep statistics of their classes.
        clips: The clips, all of which must be in the cache.
        fold: Of `group_folds`.
        classes: The label ids that are left out and taught.
        clips_per_class: By how many clips each, of different groups as far as there are.
        seed: Of the training, and of the clips that are drawn.
        features: The clips' features.
        backbone: What made them.
        output_dir: Where the trials are kept, one file for each.
    """
    (few,) = reduced_folds([fold], clips, clips_per_class, seed)
    few_new = few.train[np.isin(clips.labels[few.train], classes)]
    old_clips, old_fold = without_classes(clips, fold, classes)
    key = training_key(recipe, old_clips, Fold(old_fold.train, old_fold.validation, few_new), seed, features)
    path = output_dir / f"{name}-taught" / f"{key}.json"
    if not path.is_file():
        trial = _trial(recipe, clips, fold, few_new, classes, seed, features, backbone)
        write_texts(path.parent, {path.name: json.dumps(asdict(trial), indent=2) + "\n"})
    return TaughtTrial(**json.loads(path.read_text(encoding="utf-8")))


def _trial(
    recipe: Recipe,
    clips: LabelledClips,
    fold: Fold,
    few_new: np.ndarray,
    classes: np.ndarray,
    seed: int,
    features: FeaturesInMemory,
    backbone: str,
) -> TaughtTrial:
    old_clips, old_fold = without_classes(clips, fold, classes)
    model, _ = train_head_on_fold(recipe, old_clips, old_fold, seed, features, backbone)
    if not isinstance(model, ResNetLSTMForVideoClassification):
        raise ValueError("only this package's own head can be taught: take another recipe.")  # noqa: TRY004
    by_class = {
        clips.label_names[label]: [clips.files[index].path for index in few_new if clips.labels[index] == label]
        for label in classes
    }
    taught = teach(model, features.cache.processor, by_class, cache=features.cache)
    together = Fold(np.sort(np.concatenate([old_fold.train, few_new])), old_fold.validation, fold.test)
    trained, _ = train_head_on_fold(recipe, clips, together, seed, features, backbone)

    is_new = np.isin(clips.labels[fold.test], classes)
    before, after, together_after = (
        _Scored.of(head, clips, fold.test, features) for head in (model, taught.model, trained)
    )
    return TaughtTrial(
        seconds=taught.seconds,
        held_out=taught.report.metrics.top1,
        new_taught=after.top1(is_new),
        new_trained=together_after.top1(is_new),
        old_before=before.top1(~is_new),
        old_taught=after.top1(~is_new),
        old_trained=together_after.top1(~is_new),
        refused_before=float(before.is_refused[~is_new].mean()),
        refused_taught=float(after.is_refused.mean()),
    )


@dataclass(frozen=True)
class _Scored:
    """What a head makes of clips: `[N]`, whether it is right, and whether it takes them for none of its actions."""

    is_right: np.ndarray
    is_refused: np.ndarray

    @classmethod
    def of(
        cls,
        head: nn.Module,
        clips: LabelledClips,
        indices: np.ndarray,
        features: FeaturesInMemory,
    ) -> _Scored:
        head = that_knows(head)
        logits, _, known_scores = head_outputs(head, clips, indices, features)
        answers = [head.config.id2label[int(label)] for label in logits.argmax(dim=1)]
        names = [clips.label_names[clips.labels[index]] for index in indices]
        is_right = np.array([answer == name for answer, name in zip(answers, names, strict=True)])
        return cls(is_right, known_scores.numpy() < head.config.known_threshold)

    def top1(self, chosen: np.ndarray) -> float:
        return float(self.is_right[chosen].mean())


@dataclass(frozen=True)
class TaughtResult:
    """What teaching has shown.

    Attributes:
        trials: One for each set of classes and seed.
        clips_per_class: By how many clips of each class it was taught.
    """

    trials: Sequence[TaughtTrial]
    clips_per_class: int

    def mean(self, figure: str) -> float:
        """The mean of a figure over the trials."""
        return float(np.mean([getattr(trial, figure) for trial in self.trials]))

    def gain(self, figure: str, other: str) -> tuple[float, float, float]:
        """A figure less another, and the 95 % interval of it when trials are drawn anew."""
        gains = np.array([getattr(trial, figure) - getattr(trial, other) for trial in self.trials])
        drawn = np.random.default_rng(0).integers(len(gains), size=(NUM_RESAMPLES, len(gains)))
        low, high = np.quantile(gains[drawn].mean(axis=1), (0.025, 0.975))
        return float(gains.mean()), float(low), float(high)

    def to_markdown(self) -> str:
        """A table for people."""

        def points(figure: str, other: str) -> str:
            return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * number for number in self.gain(figure, other)))

        def top1(figure: str) -> str:
            return f"{100 * self.mean(figure):.1f} %"

        trained, taught = ("new_trained", "old_trained"), ("new_taught", "old_taught")
        rows = [
            ("clips of", "before", "taught", "trained on all together", "taught less trained", "taught less before"),
            ("---",) * 6,
            ("new classes", "", top1(taught[0]), top1(trained[0]), points(taught[0], trained[0]), ""),
            (
                *("old classes", top1("old_before"), top1(taught[1]), top1(trained[1])),
                *(points(taught[1], trained[1]), points(taught[1], "old_before")),
            ),
        ]
        seconds = [trial.seconds for trial in self.trials]
        notes = (
            f"Top-1; {self.clips_per_class} clips of each new class, {len(self.trials)} trials. Leaving out one "
            f"recording at a time told {top1('held_out')} of the new classes. Of the test clips of known actions "
            f"{100 * self.mean('refused_before'):.1f} % were taken for none before, and "
            f"{100 * self.mean('refused_taught'):.1f} % after. Teaching took {np.median(seconds):.1f} s, at the most "
            f"{max(seconds):.1f}."
        )
        return "\n".join(f"| {' | '.join(row)} |" for row in rows) + f"\n\n{notes}\n"

    def write(self, directory: Path, facts: Mapping[str, Any]) -> None:
        """Write `taught.json` and `taught.md`."""
        record = {**facts, "clips_per_class": self.clips_per_class, "trials": [asdict(trial) for trial in self.trials]}
        write_texts(directory, {"taught.json": json.dumps(record, indent=2) + "\n", "taught.md": self.to_markdown()})
