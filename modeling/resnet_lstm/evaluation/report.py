"""The report of an evaluation: the figures, how sure they are, and how honest the split behind them is."""

from __future__ import annotations

import csv
import io
import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ..whole_file import written_whole
from .calibration import Reliability, calibration_error_by_chance, reliability
from .intervals import FEW_GROUPS, Interval, bootstrap_over_groups, paired_difference
from .metrics import TOP_K, Metrics, checked_predictions, compute_metrics, log_probabilities
from .plots import plot_confusion_matrix, plot_per_class_f1, plot_reliability

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class EvaluationReport:
    """What a model scored on a split, with all that is needed to judge the score.

    Attributes:
        model_name: The model.
        dataset_name: The dataset.
        split: The split that was scored, for example `"test"`.
        split_scheme: How the splits were made, for example `"by group"` or `"random"`.
        leaky: Whether clips of one group, or the same clip, stand on both sides of the split.
        leakage: What the split was found to share with the training clips (`Leakage.to_dict()`); None when nobody
            looked.
        label_names: `[L]`.
        metrics: The figures.
        intervals: The intervals of `top1`, `top5` and `macro_f1`.
        confidence: The part of such intervals that shall hold the true figure.
        num_resamples: How many draws are behind the intervals.
        seed: Seed of these draws.
        logits: `[N, L]`.
        labels: `[N]` the true classes.
        groups: `[N]`.
        file_names: `[N]`.
        lost: How much less `top1` is where the model reads the clips in another way, such as `"with frames shuffled"`
            or `"without the LSTM"`; what it is worth that it reads them as it does.
    """

    model_name: str
    dataset_name: str
    split: str
    split_scheme: str
    leaky: bool
    leakage: Mapping[str, Any] | None
    label_names: Sequence[str]
    metrics: Metrics
    intervals: Mapping[str, Interval]
    confidence: float
    num_resamples: int
    seed: int
    logits: np.ndarray
    labels: np.ndarray
    groups: Sequence[str]
    file_names: Sequence[str]
    lost: Mapping[str, Interval] = field(default_factory=dict)

    @cached_property
    def reliability(self) -> Reliability:
        """How the clips' scores and their being right go together."""
        return reliability(self.logits, self.labels)

    @cached_property
    def calibration_error_by_chance(self) -> float:
        """The calibration error that true probabilities would have on these clips."""
        return calibration_error_by_chance(self.logits)

    def to_dict(self) -> dict[str, Any]:
        """The report ready for JSON, without the clips: figures are fractions, the loss is in nats."""
        figures = {
            name: {"value": interval.value, "low": interval.low, "high": interval.high}
            for name, interval in self.intervals.items()
        }
        return {
            "model": self.model_name,
            "dataset": self.dataset_name,
            "split": self.split,
            "split_scheme": self.split_scheme,
            "leaky": self.leaky,
            "leakage": None if self.leakage is None else dict(self.leakage),
            **self.metrics.to_dict(),
            **figures,
            "calibration_error": self.reliability.expected_calibration_error,
            "calibration_error_by_chance": self.calibration_error_by_chance,
            "lost": {way: interval.to_dict() for way, interval in self.lost.items()},
            "bootstrap": {
                "unit": "group",
                "confidence": self.confidence,
                "resamples": self.num_resamples,
                "seed": self.seed,
            },
            "label_names": list(self.label_names),
        }

    def write(self, directory: str | Path) -> Path:
        """Write the report's files, each replaced whole.

        `metrics.json` (`to_dict`), `per_class.csv`, `confusion_matrix.csv` (rows are true classes), `predictions.csv`
        (one row per clip), `confusion_matrix.png`, `per_class_f1.png` and `reliability.png`.

        Args:
            directory: Where to write; made if need be.

        Returns:
            `directory`.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        report = self.to_dict()
        classes = report["per_class"]
        split = self._split_words()
        matrix_header = [f"true \\ predicted, {split}", *self.label_names]
        matrix_rows = ([name, *row] for name, row in zip(self.label_names, report["confusion_matrix"], strict=True))
        title = f"{self.model_name}\n{split}\n{leakage_words(self.leakage)}"

        _write_text(
            directory / "per_class.csv", _csv([*classes[0], "split"], ([*row.values(), split] for row in classes))
        )
        _write_text(directory / "confusion_matrix.csv", _csv(matrix_header, matrix_rows))
        predictions = list(self._predictions())
        _write_text(directory / "predictions.csv", _csv(predictions[0], (row.values() for row in predictions)))
        plot_confusion_matrix(
            directory / "confusion_matrix.png", self.metrics.confusion_matrix, self.label_names, title=title
        )
        plot_per_class_f1(directory / "per_class_f1.png", classes, title=title)
        plot_reliability(directory / "reliability.png", self.reliability, title=title)
        # Last, so that a new metrics.json tells that all the rest is new too.
        _write_text(
            directory / "metrics.json", json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        )
        logger.info("wrote the evaluation of %s to %s", self.model_name, directory)
        return directory

    def summary(self) -> str:
        """A few lines for the terminal; each figure stands beside the split that it was measured on."""
        metrics, split = self.metrics, self._split_words()
        rows = [("", "value", f"{100 * self.confidence:g} % interval", "on")]
        for name, label in figure_names(len(self.label_names)).items():
            figure = self.intervals[name]
            rows.append((label, percent(figure.value), f"{percent(figure.low)} to {percent(figure.high)}", split))
        rows.append(("balanced accuracy", percent(metrics.balanced_accuracy), "", split))
        rows.append(("loss", f"{metrics.loss:.3f}", "", split))
        error, by_chance = self.reliability.expected_calibration_error, self.calibration_error_by_chance
        rows.append(("calibration error", f"{error:.3f}", f"{by_chance:.3f} by chance", split))
        for way, points in self.lost.items():
            interval = f"{100 * points.low:+.1f} to {100 * points.high:+.1f} points"
            rows.append((f"lost {way}", f"{100 * points.value:+.1f} points", interval, split))
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        ]
        return "\n".join(
            [
                f"{self.model_name} on {self.dataset_name}: {metrics.clips} clips of {metrics.groups} groups, "
                f"{len(self.label_names)} classes",
                *table,
                f"leakage: {leakage_sentence(self.leakage)}",
                *([few_groups_sentence(metrics.groups)] if metrics.groups < FEW_GROUPS else []),
            ]
        )

    def _split_words(self) -> str:
        return split_words(self.split, self.split_scheme, leaky=self.leaky)

    def _predictions(self) -> Iterable[dict[str, Any]]:
        """One row per clip; scores are probabilities."""
        probabilities = np.exp(log_probabilities(self.logits))  # [N, L]
        predicted = self.logits.argmax(axis=1)
        for clip, (file_name, group) in enumerate(zip(self.file_names, self.groups, strict=True)):
            label, guess = int(self.labels[clip]), int(predicted[clip])
            yield {
                "file_name": file_name,
                "label": self.label_names[label],
                "predicted": self.label_names[guess],
                "correct": label == guess,
                "score_of_predicted": round(float(probabilities[clip, guess]), 6),
                "score_of_label": round(float(probabilities[clip, label]), 6),
                "group": group,
                "split": self._split_words(),
            }


def evaluate_predictions(
    logits: np.ndarray,
    labels: Sequence[int] | np.ndarray,
    groups: Sequence[str],
    file_names: Sequence[str],
    label_names: Sequence[str],
    *,
    split: str,
    split_scheme: str,
    leaky: bool,
    leakage: Mapping[str, Any] | None,
    model_name: str,
    dataset_name: str,
    num_resamples: int = 2000,
    seed: int = 0,
    confidence: float = 0.95,
    altered_logits: Mapping[str, np.ndarray] | None = None,
) -> EvaluationReport:
    """Score the predictions of a split.

    Args:
        logits: `[N, L]` scores before the softmax.
        labels: `[N]` the true classes.
        groups: `[N]` the group (source video) of each clip.
        file_names: `[N]` the clips, as in the dataset's metadata.
        label_names: `[L]` the names of the classes.
        split: The split scored, for example `"test"`.
        split_scheme: How the splits were made.
        leaky: Whether that scheme lets one group stand on both sides.
        leakage: What the split was found to share with the training clips (`Leakage.to_dict()`), or None. Where it
            counts any clip, the split is leaky whatever its scheme promised.
        model_name: The model, for the report.
        dataset_name: The dataset, for the report.
        num_resamples: Draws behind the intervals.
        seed: Seed of these draws.
        confidence: The part of such intervals that shall hold the true figure.
        altered_logits: `[N, L]` each: what the model says where it reads the clips in another way.

    Raises:
        ValueError: The arguments disagree in length, a logit is not finite or a label is out of range.
    """
    logits, labels = checked_predictions(logits, labels, groups)
    if len(file_names) != len(logits):
        raise ValueError(f"{len(logits)} rows of logits, {len(file_names)} file names: expected one per clip.")
    found = leakage or {}
    draws: dict[str, Any] = {"num_resamples": num_resamples, "seed": seed, "confidence": confidence}
    return EvaluationReport(
        model_name=model_name,
        dataset_name=dataset_name,
        split=split,
        split_scheme=split_scheme,
        leaky=leaky or bool(found.get("shared_group") or found.get("same_bytes")),
        leakage=leakage,
        label_names=label_names,
        metrics=compute_metrics(logits, labels, groups, label_names),
        intervals=bootstrap_over_groups(logits, labels, groups, **draws),
        confidence=confidence,
        num_resamples=num_resamples,
        seed=seed,
        logits=logits,
        labels=labels,
        groups=groups,
        file_names=file_names,
        lost={
            way: paired_difference(logits, altered, labels, groups, **draws)["top1"]
            for way, altered in (altered_logits or {}).items()
        },
    )


def figure_names(num_labels: int) -> dict[str, str]:
    """The figures that have an interval, by key, as a reader knows them; top-5 of three classes is top-3."""
    return {"top1": "top-1", "top5": f"top-{min(TOP_K, num_labels)}", "macro_f1": "macro F1"}


def split_words(split: str, split_scheme: str, *, leaky: bool) -> str:
    """The words that stand beside a figure, for example `test split (random, leaky)`."""
    return f"{split} split ({split_scheme}{', leaky' if leaky else ''})"


def leakage_sentence(leakage: Mapping[str, Any] | None) -> str:
    """What the split was found to share with the training clips (`Leakage.to_dict()`), in words."""
    if leakage is None:
        return "not checked"
    if leakage["groups_known"]:
        groups = f"{leakage['shared_group']} share a group with a training clip"
    else:
        groups = "their groups are not known, so shared source videos cannot be ruled out"
    return (
        f"of {leakage['num_clips']} {leakage['split']} clips, {leakage['same_bytes']} equal a training clip byte for "
        f"byte; {groups}"
    )


def leakage_words(leakage: Mapping[str, Any] | None) -> str:
    """The same in the few words that fit a picture."""
    if leakage is None:
        return "leakage not checked"
    if leakage["shared_group"] is None:
        return f"groups unknown, {leakage['same_bytes']} copies of training clips"
    return f"{leakage['shared_group']} of {leakage['num_clips']} clips share a group with training"


def few_groups_sentence(num_groups: int) -> str:
    """What to tell the reader of an interval that rests on fewer than `FEW_GROUPS` groups."""
    return f"Only {num_groups} group{'' if num_groups == 1 else 's'} stand behind the intervals: read them as rough."


def percent(fraction: float) -> str:
    """A fraction as a reader sees it everywhere: 0.7717 -> `77.2 %`."""
    return f"{100 * fraction:.1f} %"


def _csv(header: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return text.getvalue()


def _write_text(path: Path, text: str) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
