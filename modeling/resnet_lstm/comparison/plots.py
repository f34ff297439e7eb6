"""The pictures of a comparison."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from ..evaluation.plots import BLUE, GREY, ORANGE, save_figure
from .table import Row


def plot_gains(path: Path, rows: Sequence[Row], baseline: str, title: str) -> Path:
    """Draw each recipe's gain over the baseline with its interval, best first.

    Args:
        path: The PNG file to write.
        rows: The figures.
        baseline: The recipe that the others are compared with.
        title: The line above the picture.
    """
    shown = sorted((row for row in rows if row.gain), key=lambda row: -row.top1)
    figure = Figure(figsize=(9, 1.6 + 0.42 * max(len(shown), 2)), layout="constrained")
    axes = figure.add_subplot()
    for kind, colour, shift in (("top1", BLUE, -0.13), ("macro_f1", ORANGE, 0.13)):
        intervals = [row.gain[kind] for row in shown if row.gain]
        values = [100 * interval.value for interval in intervals]
        axes.errorbar(
            values,
            [position + shift for position in range(len(shown))],
            xerr=[
                [value - 100 * interval.low for value, interval in zip(values, intervals, strict=True)],
                [100 * interval.high - value for value, interval in zip(values, intervals, strict=True)],
            ],
            fmt="o",
            markersize=5,
            color=colour,
            capsize=2.5,
            label={"top1": "top-1", "macro_f1": "macro F1"}[kind],
        )
    axes.axvline(0, color=GREY, linewidth=1)
    axes.set_yticks(range(len(shown)), [row.name for row in shown])
    axes.set_ylim(len(shown) - 0.5, -0.5)
    axes.set_xlabel(f"points above {baseline}, 95 % interval over groups")
    axes.grid(axis="x", color="#e6e8eb")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=12)
    figure.legend(loc="outside lower right", frameon=False, ncols=2)
    return save_figure(figure, path)
