"""The sections of a model card that tell what the model scored."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..evaluation.intervals import FEW_GROUPS
from ..evaluation.report import few_groups_sentence, figure_names, leakage_sentence, percent, split_words
from .facts import ModelFacts
from .markdown import literal, table

RELIABILITY = "reliability.png"


def figures(metrics: Mapping[str, Any], baseline: Mapping[str, Any] | None) -> str:
    """The section of the figures, the baseline's beside them; of `EvaluationReport.to_dict()` each."""
    bootstrap = metrics["bootstrap"]
    models = [(metrics["model"], metrics)]
    if baseline is not None:
        models.append((f"{baseline['model']} (order-blind baseline)", baseline))
    names = figure_names(len(metrics["label_names"]))
    header = ("model", *names.values(), "balanced accuracy", "loss", "calibration error", "measured on")
    rows = [
        (
            model,
            *(_with_interval(report[name]) for name in names),
            percent(report["balanced_accuracy"]),
            f"{report['loss']:.3f}",
            f"{report['calibration_error']:.3f}",
            split_of(report),
        )
        for model, report in models
    ]
    paragraphs = [
        f"## Figures\n\n{table(header, rows)}",
        f"{metrics['clips']} clips of {metrics['groups']} groups. In brackets: "
        f"{100 * bootstrap['confidence']:g} % intervals from {bootstrap['resamples']} bootstrap draws of whole groups "
        f"(seed {bootstrap['seed']}). Leakage: {leakage_sentence(metrics['leakage'])}.",
    ]
    if metrics["groups"] < FEW_GROUPS:
        paragraphs.append(few_groups_sentence(metrics["groups"]))
    if baseline is not None and "difference" in baseline:
        paragraphs.append(_difference(baseline["difference"]["top1"]))
    if metrics.get("lost"):  # reports of earlier versions do not tell it
        paragraphs.append(_lost(metrics["lost"]))
    return "\n\n".join(paragraphs)


def _difference(top1: Mapping[str, float]) -> str:
    points = {end: f"{100 * top1[end]:+.1f}" for end in ("value", "low", "high")}
    if top1["low"] > 0:
        verdict = "reading the change between frames and their order helps"
    elif top1["high"] < 0:
        verdict = "the model is worse than the baseline, which reads each frame alone"
    else:
        verdict = "the interval holds 0, so these clips do not show that reading change and order helps"
    return (
        f"Model minus baseline on the same clips, top-1: {points['value']} points "
        f"[{points['low']}, {points['high']}]; {verdict}."
    )


def _lost(lost: Mapping[str, Mapping[str, float]]) -> str:
    """What the order of the frames, and the LSTM, are worth to a model (`EvaluationReport.lost`), in words."""
    ways = [
        f"{way} {100 * points['value']:.1f} points [{100 * points['low']:.1f}, {100 * points['high']:.1f}]"
        for way, points in lost.items()
    ]
    nothing = " An interval that holds 0 shows no loss." if any(_holds_0(points) for points in lost.values()) else ""
    return f"What reading order is worth on these clips, in top-1 that is lost: {', '.join(ways)}.{nothing}"


def _holds_0(points: Mapping[str, float]) -> bool:
    return points["low"] <= 0 <= points["high"]


def per_class(metrics: Mapping[str, Any]) -> str:
    """The section of the figures by class."""
    names = ("precision", "recall", "f1", "top5_recall")
    top5 = figure_names(len(metrics["label_names"]))["top5"]
    rows = [
        (
            literal(row["label"]),
            row["clips"],
            row["groups"],
            *("none" if row[name] is None else percent(row[name]) for name in names),
        )
        for row in metrics["per_class"]
    ]
    header = ("class", "clips", "groups", "precision", "recall", "F1", f"{top5} recall")
    return f"""## By class

On the {split_of(metrics)}.

{table(header, rows)}"""


def picture(name: str, title: str) -> str:
    """A picture beside the card."""
    return f"![{title}]({name})"


def _by_chance(metrics: Mapping[str, Any]) -> str:
    # Reports of earlier versions do not tell it.
    by_chance = metrics.get("calibration_error_by_chance")
    return "" if by_chance is None else f"; true probabilities would be {by_chance:.3f} apart by chance"


def calibration(metrics: Mapping[str, Any], model_facts: ModelFacts, has_picture: bool) -> str:
    """The section of how far a score can be taken for a probability."""
    paragraphs = [
        "## Calibration",
        "A score is meant to be a probability: of the clips with a score of four fifths, four in five should be "
        f"right. On the {split_of(metrics)} the two are {metrics['calibration_error']:.3f} apart on average (expected "
        f"calibration error{_by_chance(metrics)}), and the loss is {metrics['loss']:.3f} nats.",
    ]
    if model_facts.get("temperature", 1.0) != 1.0:
        paragraphs.append(
            f"The logits are divided by a temperature of {model_facts['temperature']:.3f}, which was chosen without "
            "the clips above."
        )
    if has_picture:
        paragraphs.append(picture(RELIABILITY, "How often the model is right, by how sure it is"))
    return "\n\n".join(paragraphs)


def split_of(metrics: Mapping[str, Any]) -> str:
    """The split that a report is of, in words."""
    return split_words(metrics["split"], metrics["split_scheme"], leaky=metrics["leaky"])


def _with_interval(figure: Mapping[str, float]) -> str:
    return f"{percent(figure['value'])} [{100 * figure['low']:.1f}, {100 * figure['high']:.1f}]"
