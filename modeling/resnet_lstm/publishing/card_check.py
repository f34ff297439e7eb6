"""Does a model card say what the figures beside it say?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ..evaluation.report import figure_names, percent
from .errors import PublishingError

# What a card shows of a measurement: percentages, intervals, differences in points, and decimals alone in a cell.
_FIGURES = (
    re.compile(r"([+-]?\d+(?:\.\d+)?) ?%"),
    re.compile(r"\[([+-]?\d+\.\d+), [+-]?\d+\.\d+\]"),
    re.compile(r"\[[+-]?\d+\.\d+, ([+-]?\d+\.\d+)\]"),
    re.compile(r"([+-]?\d+\.\d+) points"),
    re.compile(r"(\d+\.\d+) apart"),
    re.compile(r"(?<=\| )([+-]?\d+\.\d+)(?= \|)"),
)
_CODE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)


def check_model_card(card: Any, metrics: Mapping[str, Any], *others: Mapping[str, Any] | None) -> None:
    """Hold a card against the figures that it must have been written from.

    Args:
        card: The `ModelCard`.
        metrics: The model's `metrics.json`. The metadata must hold its top-1, top-5 and macro F1 to the fourth
            decimal, the text its top-1 with the interval.
        others: What else the text may take figures from: the baseline's metrics, the settings, measured speed.

    Raises:
        PublishingError: A figure of the card is in none of these, or one of the metrics is not in the card.
    """
    problems = [*_wrong_metadata(card, metrics)]
    top1 = metrics["top1"]
    headline = f"{percent(top1['value'])} [{100 * top1['low']:.1f}, {100 * top1['high']:.1f}]"
    if headline not in card.text:
        problems.append(f"the top-1 of metrics.json, {headline}, is not in its text")
    known = list(_numbers([metrics, *others]))
    problems += [
        f"its figure {figure} is in none of the files of figures"
        for figure in figures_of(card.text)
        if not _is_known(figure, known)
    ]
    if problems:
        more = f" (and {len(problems) - 3} more)" if len(problems) > 3 else ""
        raise PublishingError(
            f"README.md does not match metrics.json: {'; '.join(problems[:3])}{more}. Remove README.md to have it "
            "written anew, or correct it."
        )


def figures_of(text: str) -> list[str]:
    """The measurements that a card's text shows, code left out, each once and as it is written."""
    text = _CODE.sub("", text)
    return list(dict.fromkeys(figure for pattern in _FIGURES for figure in pattern.findall(text)))


def _wrong_metadata(card: Any, metrics: Mapping[str, Any]) -> Iterator[str]:
    shown = {result.metric_name: result.metric_value for result in card.data.eval_results or ()}
    for key, name in figure_names(len(metrics["label_names"])).items():
        name = f"{name} (leaky split)" if metrics["leaky"] else name
        value = round(metrics[key]["value"], 4)
        if shown.get(name) != value:
            yield f"its metadata has {shown.get(name, 'no figure')} for {name}, metrics.json {value}"


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, Mapping):
        value = value.values()
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return
    if isinstance(value, (int, float)):
        yield value
    elif isinstance(value, Iterable):
        for each in value:
            yield from _numbers(each)


def _is_known(figure: str, known: Iterable[float]) -> bool:
    """Whether a figure is one of the numbers, as it is or as a percentage, rounded to the figure's decimals."""
    text = figure.removeprefix("+")
    decimals = len(text.partition(".")[2])
    return any(text in (f"{number:.{decimals}f}", f"{100 * number:.{decimals}f}") for number in known)
