"""The figures of a benchmark: a table, a file, a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure as Picture

from ..evaluation.plots import BLUE, ORANGE, save_figure
from ..whole_file import write_texts


@dataclass(frozen=True)
class Figure:
    """A measured figure, as a ratio to another one of the same run.

    Attributes:
        part: What was compared.
        name: Whose figure it is.
        relative_to: What is 1.
        median: Median of the rounds' ratios.
        low: Their lower quartile.
        high: Their upper quartile.
        seconds: Median seconds a unit on this machine; None where it is no time.
        unit: Of the seconds.
        rounds: How many rounds there were.
    """

    part: str
    name: str
    relative_to: str
    median: float
    low: float
    high: float
    seconds: float | None
    unit: str
    rounds: int

    @classmethod
    def of(
        cls, part: str, name: str, seconds: np.ndarray, reference: str, reference_seconds: np.ndarray, unit: str
    ) -> Figure:
        """The ratio of two contenders' seconds `[rounds]`, round by round."""
        ratio = seconds / reference_seconds
        low, median, high = (float(value) for value in np.quantile(ratio, (0.25, 0.5, 0.75)))
        return cls(part, name, reference, median, low, high, float(np.median(seconds)), unit, len(ratio))


def figures_markdown(figures: Sequence[Figure]) -> str:
    """A table for people."""
    lines: list[tuple[str, ...]] = [("what", "ratio", "quartiles", "to", "seconds", "rounds"), ("---",) * 6]
    part = None
    for figure in figures:
        if figure.part != part:
            part = figure.part
            lines.append((f"**{part}**", "", "", "", "", ""))
        seconds = "" if figure.seconds is None else f"{figure.seconds:.4g} a {figure.unit}"
        spread = f"{figure.low:.2f} - {figure.high:.2f}"
        lines.append((figure.name, f"{figure.median:.2f}", spread, figure.relative_to, seconds, str(figure.rounds)))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def write_figures(figures: Sequence[Figure], facts: Mapping[str, object], directory: Path) -> None:
    """Write `benchmark.json`, `benchmark.md` and `benchmark.png`.

    Args:
        figures: The figures.
        facts: What they rest on: machine, versions, clips.
        directory: Where to write.
    """
    content = {**facts, "figures": [asdict(figure) for figure in figures]}
    write_texts(
        directory,
        {"benchmark.json": json.dumps(content, indent=2) + "\n", "benchmark.md": figures_markdown(figures)},
    )
    plot_figures(figures, directory / "benchmark.png")


def plot_figures(figures: Sequence[Figure], path: Path) -> None:
    """Draw the ratios, a panel for each part; what is 1 is orange."""
    parts = list(dict.fromkeys(figure.part for figure in figures))
    sizes = [sum(figure.part == part for figure in figures) for part in parts]
    picture = Picture(figsize=(8, 0.9 * len(parts) + 0.32 * len(figures)), layout="constrained")
    all_axes = picture.subplots(len(parts), 1, squeeze=False, gridspec_kw={"height_ratios": [s + 1 for s in sizes]})
    for part, axes in zip(parts, all_axes[:, 0], strict=True):
        members = [figure for figure in figures if figure.part == part][::-1]
        rows = range(len(members))
        colours = [ORANGE if figure.name == figure.relative_to else BLUE for figure in members]
        medians = np.array([figure.median for figure in members])
        spread = [medians - [f.low for f in members], [f.high for f in members] - medians]
        axes.barh(rows, medians, color=colours, height=0.6)
        axes.errorbar(medians, rows, xerr=spread, fmt="none", ecolor="#3c4149", capsize=2.5, linewidth=1)
        for row, figure in zip(rows, members, strict=True):
            axes.annotate(f" {figure.median:.2f}", (figure.high, row), fontsize=8, va="center")
        axes.set_yticks(rows, [figure.name for figure in members], fontsize=8)
        axes.set_xlim(0, 1.15 * max(figure.high for figure in members))
        axes.set_title(f"{part} (× {members[0].relative_to})", fontsize=10, loc="left")
        axes.grid(axis="x", color="#e6e8eb")
        axes.set_axisbelow(True)
        axes.spines[["top", "right", "left"]].set_visible(False)
    save_figure(picture, path)
