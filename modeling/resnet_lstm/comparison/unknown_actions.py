"""How well it can be told that a clip shows none of a model's actions: classes are left out of training in turn, and
their clips are the unknown ones.

Every model is trained by a recipe on some of the classes and scores clips of all, of groups that it has not seen. A
method gives each clip a number, the higher the more known; how well that number parts known from unknown clips is the
area under its ROC curve.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from safetensors.numpy import load_file, save_file
from sklearn.metrics import roc_auc_score
from torch import nn
from tqdm.auto import tqdm

from ..evaluation.plots import save_figure
from ..features import UNIFORM, FeaturesInMemory
from ..known_score import logit_signs
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..whole_file import write_texts, written_whole
from .cross_validation import SCORING_BATCH_SIZE, Fold, LabelledClips, train_head_on_fold, training_key
from .recipes import Recipe

BASELINE_METHOD = "largest score"
OUR_METHOD = "known score"
NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class ScoredClips:
    """What a model that some classes were left out of makes of clips of all classes.

    Attributes:
        logits: `[N, L']`, divided by the temperature; L' classes were trained on.
        clip_features: `[N, H]`, the mean over the frames of what the head reads.
        known_scores: `[N]`.
        train_features: `[M, H]`, the `clip_features` of the training clips.
        train_labels: `[M]`.
    """

    logits: torch.Tensor
    clip_features: torch.Tensor
    known_scores: torch.Tensor
    train_features: torch.Tensor
    train_labels: torch.Tensor


def _nearest_class_mean(clips: ScoredClips) -> torch.Tensor:
    labels = clips.train_labels.unique()
    means = torch.stack([clips.train_features[clips.train_labels == label].mean(dim=0) for label in labels])
    return _cosines(clips.clip_features, means).amax(dim=1)


def _fifth_nearest_clip(clips: ScoredClips) -> torch.Tensor:
    return _cosines(clips.clip_features, clips.train_features).topk(5, dim=1).values[:, -1]


def _cosines(features: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
    """`[N, M]`."""
    return F.normalize(features, dim=1) @ F.normalize(others, dim=1).T


# Each gives every clip a number `[N]`, the higher the more known.
METHODS: dict[str, Callable[[ScoredClips], torch.Tensor]] = {
    BASELINE_METHOD: lambda clips: clips.logits.log_softmax(dim=1).amax(dim=1),
    "entropy of the scores": lambda clips: logit_signs(clips.logits)[0],
    "largest logit": lambda clips: clips.logits.amax(dim=1),
    "energy (log-sum-exp of the logits)": lambda clips: clips.logits.logsumexp(dim=1),
    "nearest class mean, by cosine": _nearest_class_mean,
    "fifth-nearest training clip, by cosine": _fifth_nearest_clip,
    OUR_METHOD: lambda clips: clips.known_scores,
}


@dataclass(frozen=True)
class UnknownTrial:
    """How a model that some classes were left out of took clips of all classes.

    Attributes:
        values: `[N]` for each of `METHODS`.
        is_known: `[N]`, whether the clip's class was trained on.
        is_refused: `[N]`, whether the model takes the clip for none of its actions.
        labels: `[N]`, the clips' label ids, those that were left out included.
        predicted: `[N]`, the label ids of the best answers.
    """

    values: dict[str, np.ndarray]
    is_known: np.ndarray
    is_refused: np.ndarray
    labels: np.ndarray
    predicted: np.ndarray


def class_folds(labels: np.ndarray, num_folds: int, seed: int = 0) -> list[np.ndarray]:
    """The label ids in folds, drawn at random: each class is left out once."""
    return np.array_split(np.random.default_rng(seed).permutation(np.unique(labels)), num_folds)


def leave_out_classes(
    name: str,
    recipe: Recipe,
    clips: LabelledClips,
    folds: Sequence[Fold],
    left_out: Sequence[np.ndarray],
    seed: int,
    features: FeaturesInMemory,
    backbone: str,
    output_dir: Path,
) -> list[UnknownTrial]:
    """Train a recipe without each set of classes on each fold. What an earlier call has trained is read.

    Args:
        name: The recipe's name.
        recipe: What to train; it must give models that tell what they know.
        clips: The clips; their features must be in the cache in all views that the recipe trains on.
        folds: Of `group_folds`.
        left_out: Of `class_folds`.
        seed: Of the training.
        features: The clips' features.
        backbone: What made them.
        output_dir: Where the trials are kept, one file for each.

    Raises:
        ValueError: A model does not tell what it knows: the recipe does not, or the training clips are too few.
    """
    trials = []
    pairs = [(fold, classes) for classes in left_out for fold in folds]
    for fold, classes in tqdm(pairs, desc=f"{name}, classes left out", unit="training"):
        known_clips, known_fold = without_classes(clips, fold, classes)
        key = training_key(recipe, known_clips, known_fold, seed, features)
        path = output_dir / f"{name}-unknown" / f"{key}.safetensors"
        tensors = load_file(path) if path.is_file() else {}
        if not METHODS.keys() | {"predicted"} <= tensors.keys():
            tensors = _trial(recipe, known_clips, known_fold, fold.test, seed, features, backbone)
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as temporary:
                save_file(tensors, temporary)
        trained = np.setdiff1d(np.arange(len(clips.label_names)), classes)
        trials.append(
            UnknownTrial(
                values={method: tensors[method] for method in METHODS},
                is_known=tensors["is_known"],
                is_refused=tensors["is_refused"],
                labels=clips.labels[fold.test],
                predicted=trained[tensors["predicted"]],
            )
        )
    return trials


def without_classes(clips: LabelledClips, fold: Fold, classes: np.ndarray) -> tuple[LabelledClips, Fold]:
    """The clips with labels for the other classes alone, and the fold without the clips of these classes.

    The clips themselves stay, so that indices mean what they did; a clip of a class that is left out has the label -1.
    """
    kept = [label for label in range(len(clips.label_names)) if label not in classes]
    new_labels = np.full(len(clips.label_names), -1)
    new_labels[kept] = np.arange(len(kept))
    labels = new_labels[clips.labels]
    known = replace(clips, labels=labels, label_names=[clips.label_names[label] for label in kept])
    return known, Fold(*(indices[labels[indices] >= 0] for indices in (fold.train, fold.validation, fold.test)))


def _trial(
    recipe: Recipe,
    clips: LabelledClips,
    fold: Fold,
    test: np.ndarray,
    seed: int,
    features: FeaturesInMemory,
    backbone: str,
) -> dict[str, np.ndarray]:
    """`is_known`, `is_refused`, `predicted` and the values of `METHODS`, each `[N]`, of the clips `test`."""
    head, _ = train_head_on_fold(recipe, clips, fold, seed, features, backbone)
    head = that_knows(head)
    train = np.concatenate([fold.train, fold.validation])
    _, train_features, _ = head_outputs(head, clips, train, features)
    scored = ScoredClips(
        *head_outputs(head, clips, test, features), train_features, torch.from_numpy(clips.labels[train])
    )
    values = {name: method(scored).contiguous().numpy() for name, method in METHODS.items()}
    return {
        **values,
        "is_known": clips.labels[test] >= 0,
        "is_refused": scored.known_scores.numpy() < head.config.known_threshold,
        "predicted": scored.logits.argmax(dim=1).numpy(),
    }


def that_knows(head: nn.Module) -> ResNetLSTMForVideoClassification:
    """The head, if it tells what it knows.

    Raises:
        ValueError: It does not.
    """
    if not isinstance(head, ResNetLSTMForVideoClassification) or head.config.known_threshold is None:
        raise ValueError("the trained model does not tell what it knows: take the default recipe, and more clips.")
    return head


@torch.inference_mode()
def head_outputs(
    head: ResNetLSTMForVideoClassification, clips: LabelledClips, indices: np.ndarray, features: FeaturesInMemory
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits, clip features and known scores of some clips."""
    head.eval()
    parts = []
    for start in range(0, len(indices), SCORING_BATCH_SIZE):
        some = [clips.files[index].sha256 for index in indices[start : start + SCORING_BATCH_SIZE]]
        outputs = head(frame_features=torch.stack([features.load(sha256, UNIFORM) for sha256 in some]))
        parts.append((outputs.logits, outputs.clip_features, outputs.known_score))
    logits, clip_features, known_scores = (torch.cat(part) for part in zip(*parts, strict=True))
    return logits, clip_features, known_scores


@dataclass(frozen=True)
class UnknownRow:
    """How well a method tells known clips from unknown ones.

    Attributes:
        method: Its name.
        auroc: Area under the ROC curve, mean over the trials; 0.5 is chance.
        gain: `auroc` less the baseline's.
        gain_low: The 95 % interval of `gain` begins here: the trials of a set of classes are drawn together.
        gain_high: It ends here.
    """

    method: str
    auroc: float
    gain: float
    gain_low: float
    gain_high: float


@dataclass(frozen=True)
class LeftOutClass:
    """What models that a class was left out of make of its clips.

    Attributes:
        label: Its name.
        clips: How often a test clip of it was scored.
        auroc: Area under the ROC curve, clips of known actions against these, mean over the trials.
        refused: The part of them that is taken for none of the actions.
        taken_for: What the most of the others are taken for; empty if there are none.
        taken_for_share: The part of all of them that is.
    """

    label: str
    clips: int
    auroc: float
    refused: float
    taken_for: str
    taken_for_share: float

    @classmethod
    def of(cls, label: int, trials: Sequence[UnknownTrial], label_names: Sequence[str]) -> LeftOutClass:
        """Of the trials that a class was left out of."""
        areas, refused, answers = [], [], []
        for trial in trials:
            mine = trial.labels == label
            compared = mine | trial.is_known
            areas.append(roc_auc_score(trial.is_known[compared], trial.values[OUR_METHOD][compared]))
            refused.append(trial.is_refused[mine])
            answers.append(trial.predicted[mine & ~trial.is_refused])
        of_clips = np.concatenate(refused)
        counts = np.bincount(np.concatenate(answers), minlength=len(label_names))
        return cls(
            label_names[label],
            clips=len(of_clips),
            auroc=float(np.mean(areas)),
            refused=float(of_clips.mean()),
            taken_for=label_names[int(counts.argmax())] if counts.any() else "",
            taken_for_share=float(counts.max() / len(of_clips)),
        )


@dataclass(frozen=True)
class UnknownResult:
    """What leaving out classes has shown.

    Attributes:
        rows: Of `METHODS`.
        classes: Of the classes that were left out and have test clips, those that pass most easily first.
        known_refused: The part of known test clips below the models' thresholds, mean over the trials.
        unknown_refused: The same of unknown ones.
        trials: How many models were trained.
    """

    rows: list[UnknownRow]
    classes: list[LeftOutClass]
    known_refused: float
    unknown_refused: float
    trials: int

    @classmethod
    def of(
        cls, trials: Sequence[UnknownTrial], num_class_folds: int, label_names: Sequence[str], seed: int = 0
    ) -> UnknownResult:
        """Score all methods on trials from `leave_out_classes`."""
        areas = {
            name: np.array([roc_auc_score(trial.is_known, trial.values[name]) for trial in trials]).reshape(
                num_class_folds, -1
            )
            for name in METHODS
        }
        generator = np.random.default_rng(seed)
        rows = []
        for name, of_method in areas.items():
            gains = of_method - areas[BASELINE_METHOD]  # [class folds, group folds]
            drawn = generator.integers(num_class_folds, size=(NUM_RESAMPLES, num_class_folds))
            low, high = np.quantile(gains.mean(axis=1)[drawn].mean(axis=1), (0.025, 0.975))
            rows.append(UnknownRow(name, float(of_method.mean()), float(gains.mean()), float(low), float(high)))
        without: dict[int, list[UnknownTrial]] = {}
        for trial in trials:
            for label in np.unique(trial.labels[~trial.is_known]):
                without.setdefault(int(label), []).append(trial)
        classes = [LeftOutClass.of(label, of_label, label_names) for label, of_label in without.items()]
        return cls(
            rows,
            sorted(classes, key=lambda left_out: left_out.auroc),
            known_refused=float(np.mean([trial.is_refused[trial.is_known].mean() for trial in trials])),
            unknown_refused=float(np.mean([trial.is_refused[~trial.is_known].mean() for trial in trials])),
            trials=len(trials),
        )

    def to_markdown(self) -> str:
        """Tables for people."""
        lines = ["| method | AUROC | less the largest score, points |", "| --- | --- | --- |"]
        for row in self.rows:
            gain = f"{100 * row.gain:+.1f} [{100 * row.gain_low:+.1f}, {100 * row.gain_high:+.1f}]"
            lines.append(f"| {row.method} | {row.auroc:.3f} | {'' if row.method == BASELINE_METHOD else gain} |")
        lines.append("")
        lines.append(
            f"At the models' own thresholds {100 * self.known_refused:.1f} % of the clips of known actions and "
            f"{100 * self.unknown_refused:.1f} % of the others are taken for none of the actions."
        )
        lines += ["", "| left out | clips | AUROC | refused | mostly taken for |", "| --- | --- | --- | --- | --- |"]
        for left_out in self.classes:
            taken_for = f"{left_out.taken_for} ({100 * left_out.taken_for_share:.0f} %)" if left_out.taken_for else ""
            lines.append(
                f"| {left_out.label} | {left_out.clips} | {left_out.auroc:.3f} | {100 * left_out.refused:.0f} % "
                f"| {taken_for} |"
            )
        return "\n".join(lines) + "\n"

    def write(self, directory: Path, facts: dict[str, Any], title: str) -> None:
        """Write `unknown.json`, `unknown.csv`, `unknown.md` and `unknown.png`."""
        rows = [vars(row) for row in self.rows]
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        record = {**facts, **vars(self), "rows": rows, "classes": [vars(left_out) for left_out in self.classes]}
        write_texts(
            directory,
            {
                "unknown.json": json.dumps(record, indent=2) + "\n",
                "unknown.csv": text.getvalue(),
                "unknown.md": self.to_markdown(),
            },
        )
        _plot(self.rows, directory / "unknown.png", title)


def _plot(rows: Sequence[UnknownRow], path: Path, title: str) -> None:
    figure = Figure(figsize=(7.5, 0.45 * len(rows) + 1.6), layout="constrained")
    axes = figure.add_subplot()
    ordered = sorted(rows, key=lambda row: row.auroc)
    colours = ["#2563eb" if row.method == OUR_METHOD else "#a8b3c2" for row in ordered]
    bars = axes.barh([row.method for row in ordered], [row.auroc for row in ordered], color=colours)
    axes.bar_label(bars, fmt="%.3f", padding=4)
    axes.set_xlim(0.5, 1)
    axes.set_xlabel("area under the ROC curve, known against unknown (0.5: chance)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=11)
    save_figure(figure, path)
