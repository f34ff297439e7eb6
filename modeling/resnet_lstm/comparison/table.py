"""What cross-validation found, side by side: JSON, CSV and Markdown."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..evaluation import Interval, compute_metrics, in_points, paired_difference, share_of_gain
from ..evaluation.calibration import reliability
from ..evaluation.report import percent
from ..whole_file import write_texts
from .cross_validation import CrossValidation, LabelledClips
from .recipes import Recipe


@dataclass(frozen=True)
class Row:
    """One recipe's figures. Accuracies are fractions of all clips, every one scored once for each seed.

    Attributes:
        name: The recipe.
        description: In a few words.
        top1: Of all clips.
        macro_f1: Over all classes.
        top1_of_seeds: `[S]`, of each seed alone.
        gain: `top1` and `macro_f1` less the baseline's on the same clips, with intervals over groups; None for the
            baseline itself.
        order: `top1` less that with the frames `shuffled` and `reversed`, with intervals.
        share_of_gain: How much of the gain in top-1 shuffling takes; None where no gain is certain.
        calibration_error: Expected calibration error with the temperatures of the validation clips.
        uncalibrated_error: The same without.
        parameters: Weights that were trained.
        training_seconds: Median over the trainings.
        kept_epochs: Those that the LSTM was trained for in the end, mean over the trainings; 0 where it got no say.
        head_milliseconds: What the head takes for a frame, the backbone not counted.
    """

    name: str
    description: str
    top1: float
    macro_f1: float
    top1_of_seeds: list[float]
    gain: dict[str, Interval] | None
    order: dict[str, Interval]
    share_of_gain: Interval | None
    calibration_error: float
    uncalibrated_error: float
    parameters: int
    training_seconds: float
    kept_epochs: float
    head_milliseconds: float

    def to_dict(self) -> dict[str, Any]:
        """The row ready for JSON."""
        return {
            **vars(self),
            "gain": self.gain and {name: interval.to_dict() for name, interval in self.gain.items()},
            "order": {name: interval.to_dict() for name, interval in self.order.items()},
            "share_of_gain": self.share_of_gain and self.share_of_gain.to_dict(),
        }


def compare(
    results: Mapping[str, CrossValidation],
    recipes: Mapping[str, Recipe],
    clips: LabelledClips,
    baseline: str,
) -> list[Row]:
    """The figures of each recipe, in the order of `results`.

    Seeds are repetitions of the same clips: they are averaged over, and a group is drawn with all of them.
    """
    rows = []
    for name, result in results.items():
        num_seeds = len(result.seconds)
        labels, groups = np.tile(clips.labels, num_seeds), clips.groups * num_seeds
        logits = {order: np.concatenate(list(of_seeds)) for order, of_seeds in result.logits.items()}  # [S * N, L]
        as_filmed = logits["as filmed"]
        baseline_logits = np.concatenate(list(results[baseline].logits["as filmed"]))
        metrics = compute_metrics(as_filmed, labels, groups, clips.label_names)
        gain = None
        if name != baseline:
            difference = paired_difference(as_filmed, baseline_logits, labels, groups)
            gain = {figure: difference[figure] for figure in ("top1", "macro_f1")}
        rows.append(
            Row(
                name=name,
                description=recipes[name].description,
                top1=metrics.top1,
                macro_f1=metrics.macro_f1,
                top1_of_seeds=[
                    float((of_seed.argmax(axis=1) == clips.labels).mean()) for of_seed in result.logits["as filmed"]
                ],
                gain=gain,
                order={
                    order: paired_difference(as_filmed, logits[order], labels, groups)["top1"]
                    for order in ("shuffled", "reversed")
                },
                share_of_gain=share_of_gain(as_filmed, logits["shuffled"], baseline_logits, labels, groups),
                calibration_error=reliability(
                    np.concatenate(list(result.calibrated_logits)), labels
                ).expected_calibration_error,
                uncalibrated_error=reliability(as_filmed, labels).expected_calibration_error,
                parameters=result.parameters,
                training_seconds=float(np.median(result.seconds)),
                kept_epochs=float(result.kept_epochs.mean()),
                head_milliseconds=result.head_milliseconds,
            )
        )
    return rows


def to_markdown(rows: Sequence[Row]) -> str:
    """A table for people; the differences are in points."""
    header = (
        "recipe", "top-1", "macro F1", "gain in top-1", "gain in macro F1", "lost when shuffled", "lost when reversed",
        "ECE (before)", "parameters", "training, epochs kept", "a frame",
    )  # fmt: skip
    lines = [header, ("---",) * len(header), *(_cells(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _cells(row: Row) -> tuple[str, ...]:
    gain = row.gain or {}
    return (
        f"`{row.name}`: {row.description}",
        percent(row.top1),
        percent(row.macro_f1),
        *(in_points(gain[figure]) if gain else "" for figure in ("top1", "macro_f1")),
        *(in_points(row.order[order]) for order in ("shuffled", "reversed")),
        f"{row.calibration_error:.3f} ({row.uncalibrated_error:.3f})",
        f"{row.parameters / 1e6:.2f} M",
        f"{row.training_seconds:.0f} s, {row.kept_epochs:.1f}",
        f"{row.head_milliseconds:.2f} ms",
    )


def write_table(rows: Sequence[Row], facts: Mapping[str, Any], directory: Path) -> None:
    """Write `comparison.json`, `comparison.csv` and `comparison.md`.

    Args:
        rows: The figures.
        facts: What they rest on: dataset, folds, seeds.
        directory: Where to write.
    """
    records = [row.to_dict() for row in rows]
    flat = [_flat(record) for record in records]
    text = io.StringIO()
    writer = csv.DictWriter(text, flat[-1].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows(flat)
    write_texts(
        directory,
        {
            "comparison.json": json.dumps({**facts, "rows": records}, indent=2) + "\n",
            "comparison.csv": text.getvalue(),
            "comparison.md": to_markdown(rows),
        },
    )


def _flat(record: Mapping[str, Any]) -> dict[str, Any]:
    """One level deep: an interval becomes three columns."""
    flat = {
        name: value
        for name, value in record.items()
        if name not in ("gain", "order", "share_of_gain", "top1_of_seeds")
    }
    for kind, figures in (("gain", ("top1", "macro_f1")), ("lost", ("shuffled", "reversed"))):
        intervals = record["gain" if kind == "gain" else "order"] or {}
        for figure in figures:
            interval = intervals.get(figure) or {}
            for end in ("value", "low", "high"):
                flat[f"{kind}_{figure}_{end}"] = interval.get(end, "")
    return flat
