"""What is published with a model -> the page about it: its figures, its confusions, how it works, its limits."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from engine import read_model_file
from view_parts import in_words

_LIMITS = re.compile(r"^## Limits[^\n]*\n(.*?)(?=^## |\Z)", re.MULTILINE | re.DOTALL)
_MOST_TO_TRY = 30
# Of the confusion matrix, in the units of its picture.
_CELL, _LEFT = 22, 190
_NO_CARD = (
    "The set of actions is closed: any video, of anything, gets one of them, and a score alone is no evidence that it "
    "takes place. Videos show people: classify them only with their consent or another lawful ground."
)
_FIGURES = {"top1": "Right at the first guess", "top5": "Right within the first five", "macro_f1": "Macro F1"}


def about_view(name: str) -> tuple[str, str]:
    """The HTML about a model, and its limits in Markdown, in the card's own words.

    Args:
        name: A directory or a Hub id.
    """
    path = read_model_file(name, "metrics.json")
    metrics: Mapping[str, Any] | None = None if path is None else json.loads(path.read_text("utf-8"))
    parts = [_how_it_works(_config(name).get("num_frames", 16))]
    if metrics is None:
        parts.append('<p class="rl-notice">No figures are published with this model.</p>')
    else:
        parts += [
            _figures(metrics),
            _worth_of_order(metrics),
            _confusion_matrix(metrics["confusion_matrix"], metrics["label_names"]),
        ]
    return f'<div class="rl-about">{"".join(parts)}</div>', f"### Limits\n\n{_limits(name)}"


def known_actions_view(name: str) -> str:
    """One line that tells what a model knows, with the names to unfold; empty where that cannot be read."""
    labels = list(_config(name).get("id2label", {}).values())
    if not labels:
        return ""
    names = "".join(f"<li>{escape(in_words(label))}</li>" for label in labels)
    return f'<details class="rl-known"><summary>The {len(labels)} actions I know</summary><ul>{names}</ul></details>'


def actions_to_try_view(name: str) -> str:
    """The names of what a model knows, for who looks for something to do; empty where they cannot be read."""
    labels = list(_config(name).get("id2label", {}).values())
    if not labels:
        return ""
    names = [in_words(label) for label in labels[:_MOST_TO_TRY]]
    if len(labels) > _MOST_TO_TRY:
        names.append(f"and {len(labels) - _MOST_TO_TRY} more")
    listed = "".join(f"<li>{escape(each)}</li>" for each in names)
    return f'<div class="rl-known"><p>Actions to try:</p><ul>{listed}</ul></div>'


def _config(name: str) -> dict[str, Any]:
    path = read_model_file(name, "config.json")
    return {} if path is None else json.loads(path.read_text("utf-8"))


def _limits(name: str) -> str:
    path = read_model_file(name, "README.md")
    found = None if path is None else _LIMITS.search(path.read_text("utf-8"))
    return found.group(1).strip() if found else _NO_CARD


def _figures(metrics: Mapping[str, Any]) -> str:
    leaky = " The split is leaky: these figures are too high." if metrics["leaky"] else ""
    confidence = f"{100 * metrics['bootstrap']['confidence']:g} %"
    # Of five classes or fewer, all are within the first five.
    shown = {key: words for key, words in _FIGURES.items() if key != "top5" or len(metrics["label_names"]) > 5}
    tiles = "".join(
        f"<div><dt>{words}</dt><dd>{100 * metrics[key]['value']:.1f} %</dd>"
        f'<dd class="rl-interval">{100 * metrics[key]["low"]:.1f} to {100 * metrics[key]["high"]:.1f} %</dd></div>'
        for key, words in shown.items()
    )
    return (
        f'<section class="rl-card"><h2>How good it is</h2><dl class="rl-figures">{tiles}</dl>'
        f'<p class="rl-notice">Measured on {metrics["clips"]} {escape(metrics["split"])} clips of {metrics["groups"]} '
        f"source videos of {escape(metrics['dataset'])}, split {escape(metrics['split_scheme'])}; below each figure "
        f"its {confidence} interval over source videos.{leaky}</p></section>"
    )


def _worth_of_order(metrics: Mapping[str, Any]) -> str:
    """What the model loses where frames come in another order; empty for models that do not tell, or read none."""
    lost = metrics.get("lost")
    if not lost:
        return ""
    rows = "".join(
        f'<tr><th scope="row">{escape(way)}</th><td>{_points(-points["value"])} points</td>'
        f"<td>{_points(-points['high'])} to {_points(-points['low'])}</td></tr>"
        for way, points in lost.items()
    )
    return (
        '<section class="rl-card"><h2>What order is worth</h2><div class="rl-table"><table><thead><tr><th scope="col">'
        'Read</th><th scope="col">Right at the first guess</th><th scope="col">Interval</th></tr></thead>'
        f'<tbody>{rows}</tbody></table></div><p class="rl-notice">The same clips, read in another way. Where an '
        "interval holds 0, these clips do not show that it matters.</p></section>"
    )


def _points(fraction: float) -> str:
    return f"{round(100 * fraction, 1) + 0.0:+.1f}"  # + 0.0: no "-0.0"


def _confusion_matrix(matrix: Sequence[Sequence[int]], labels: Sequence[str]) -> str:
    """A heat map; rows are true classes, columns predicted ones."""
    words = [in_words(label) for label in labels]
    cells = [
        _cell(row, column, count, sum(clips), f"{words[row]} taken for {words[column]}")
        for row, clips in enumerate(matrix)
        for column, count in enumerate(clips)
    ]
    names = [
        f'<text class="rl-row-name" x="{_LEFT - 8}" y="{_middle(row) + 3}">{escape(name)}</text>'
        for row, name in enumerate(words)
    ]
    right, total = sum(clips[row] for row, clips in enumerate(matrix)), sum(map(sum, matrix))
    width, height = _LEFT + _CELL * len(words), _CELL * len(words)
    return (
        '<section class="rl-card"><h2>What it takes for what</h2><div class="rl-scroll" tabindex="0" role="group" '
        f'aria-label="Confusion matrix, scrolls sideways"><svg class="rl-matrix" viewBox="0 0 {width} {height}" '
        f'style="min-width:{min(width, 640)}px;max-width:{2 * width}px" role="img" aria-label="Confusion matrix: '
        f'{right} of {total} clips are on the diagonal, where they belong.">{"".join(names + cells)}</svg></div>'
        '<p class="rl-notice">Rows are what the clips show, columns in the same order what the model said; numbers '
        "are clips.</p></section>"
    )


def _cell(row: int, column: int, count: int, total: int, title: str) -> str:
    part = count / max(1, total)
    kind = f"{'rl-right' if row == column else 'rl-wrong'}{' rl-strong' if part > 0.5 else ''}"
    left, top, side = _LEFT + _CELL * column, _CELL * row, _CELL - 2
    number = f'<text x="{_LEFT + _middle(column) - 1}" y="{_middle(row) + 3}">{count}</text>' if count else ""
    return (
        f'<g class="rl-cell {kind}" style="--part:{part:.2f}"><title>{escape(title)}: {count} of {total}</title>'
        f'<rect x="{left}" y="{top}" width="{side}" height="{side}" rx="3"/>{number}</g>'
    )


def _middle(index: int) -> int:
    return _CELL * index + _CELL // 2


def _how_it_works(num_frames: int) -> str:
    steps = (
        ("Video", "any length, any format"),
        (f"{num_frames} frames", "evenly over the clip"),
        ("ResNet-50", "what is in each frame"),
        ("Change", "what moved since the last"),
        ("LSTM", "in which order"),
        ("Mean", "of what all frames say"),
    )
    boxes = "".join(f"<li><b>{escape(title)}</b><span>{escape(text)}</span></li>" for title, text in steps)
    return (
        f'<section class="rl-card"><h2>How it works</h2><ol class="rl-pipeline">{boxes}</ol>'
        "<p>Each frame says on its own what it speaks for, knowing the frames before it. The answer is the plain mean "
        "of what the frames say, so the share of each frame in the decision is exact, and not a guess made afterwards."
        "</p></section>"
    )
