"""Pictures of what happens in long videos, and when."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from ..inference import NO_KNOWN_ACTION, Thumbnail, Timeline
from .plots import BLUE, ORANGE, save_figure

_NONE_COLOUR = "#d5d8dc"
_MAX_VIDEOS_DRAWN = 12
_MAX_ACTIONS_DRAWN = 8
_MAX_THUMBNAILS_DRAWN = 12

# A label, and the stretch of it in seconds.
Stretch = tuple[str | None, float, float]


def plot_timeline(path: str | Path, timeline: Timeline, *, title: str = "Timeline") -> Path:
    """Draw a video's thumbnails, below them its segments, and below these the scores of its actions over time.

    Args:
        path: The PNG file to write.
        timeline: The video's timeline.
        title: The line above the picture.
    """
    stretches = [(s.label, s.start_seconds, s.end_seconds) for s in timeline.segments]
    shown = _longest(stretches)
    colours = _colours([label for label, _, _ in stretches])
    figure = Figure(figsize=(12, 5.4), layout="constrained")
    pictures, segments, scores = figure.subplots(3, 1, height_ratios=(1.6, 0.7, 3), sharex=True)
    _draw_thumbnails(pictures, timeline.thumbnails, timeline.total_seconds)
    _draw_stretches(segments, stretches, 0, colours)
    segments.set_yticks([])
    segments.spines[:].set_visible(False)
    for label in shown:
        score = timeline.scores[:, timeline.label_names.index(label)]
        scores.plot(timeline.seconds, score, color=colours[label], label=label, linewidth=1.4)
    scores.set_ylim(-0.02, 1.02)
    scores.set_ylabel("score")
    scores.set_xlim(0, timeline.total_seconds)
    scores.xaxis.set_major_formatter(FuncFormatter(_clock))
    scores.grid(color="#e6e8eb")
    scores.spines[["top", "right"]].set_visible(False)
    _add_legend(figure, [*shown, None], colours)
    figure.suptitle(title, fontsize=13)
    return save_figure(figure, path)


def plot_localisation(
    path: str | Path,
    rows: Sequence[tuple[str, Sequence[Stretch]]],
    average_precision: Mapping[str, float],
    *,
    title: str = "Localisation",
) -> Path:
    """Draw what happens in the first videos above what was said of them, and the average precision of each class.

    Args:
        path: The PNG file to write.
        rows: The videos' names and stretches, the true ones of each video and then the predicted ones.
        average_precision: By class.
        title: The line above the picture.
    """
    drawn = rows[: 2 * _MAX_VIDEOS_DRAWN]
    colours = _colours([label for _, stretches in rows for label, _, _ in stretches])
    height = 1.8 + max(0.36 * len(drawn), 0.26 * len(average_precision))
    figure = Figure(figsize=(15, height), layout="constrained")
    videos, classes = figure.subplots(1, 2, width_ratios=(2.6, 1))
    for row, (_, stretches) in enumerate(drawn):
        _draw_stretches(videos, stretches, row + 0.15 * (row % 2 == 0), colours)
    videos.set_yticks(
        range(len(drawn)), [f"{name} {'said' if i % 2 else 'true'}" for i, (name, _) in enumerate(drawn)]
    )
    videos.tick_params(axis="y", length=0, labelsize=8)
    videos.set_ylim(len(drawn) - 0.4, -0.6)
    videos.set_xlim(0, max(stretches[-1][2] for _, stretches in drawn))
    videos.xaxis.set_major_formatter(FuncFormatter(_clock))
    videos.spines[["top", "right", "left"]].set_visible(False)
    ordered = sorted(average_precision.items(), key=lambda item: -item[1])
    values = np.array([value for _, value in ordered])
    classes.barh(range(len(ordered)), values, color=BLUE, height=0.72)
    classes.axvline(values.mean(), color=ORANGE, linestyle="--", label=f"mAP@0.5: {values.mean():.3f}")
    classes.set_yticks(range(len(ordered)), [label for label, _ in ordered], fontsize=8)
    classes.set_ylim(len(ordered) - 0.4, -0.6)
    classes.set_xlim(0, 1)
    classes.set_xlabel("average precision at IoU 0.5")
    classes.tick_params(axis="y", length=0)
    classes.legend(loc="lower right", frameon=False)
    classes.spines[["top", "right", "left"]].set_visible(False)
    _add_legend(figure, [*sorted(label for label in colours if label is not None), None], colours)
    figure.suptitle(title, fontsize=13)
    return save_figure(figure, path)


def _longest(stretches: Sequence[Stretch]) -> list[str]:
    """The actions that take up most of the time, most first."""
    seconds: dict[str, float] = {}
    for label, start, end in stretches:
        if label is not None:
            seconds[label] = seconds.get(label, 0) + end - start
    return sorted(seconds, key=lambda label: -seconds[label])[:_MAX_ACTIONS_DRAWN]


def _colours(labels: Sequence[str | None]) -> dict[str | None, str]:
    palettes = [matplotlib.colormaps[name] for name in ("tab10", "Set2", "Dark2")]
    # Each has seven colours and then a grey, which is the colour of nothing known.
    palette = [matplotlib.colors.to_hex(colours(index)) for colours in palettes for index in range(7)]
    names = sorted({label for label in labels if label is not None})
    return {None: _NONE_COLOUR, **{label: palette[i % len(palette)] for i, label in enumerate(names)}}


def _draw_stretches(axes: Axes, stretches: Sequence[Stretch], row: float, colours: Mapping[str | None, str]) -> None:
    for label, start, end in stretches:
        axes.barh(row, end - start, left=start, height=0.8, color=colours[label], edgecolor="white", linewidth=0.6)


def _draw_thumbnails(axes: Axes, thumbnails: Sequence[Thumbnail], total_seconds: float) -> None:
    every = max(1, -(-len(thumbnails) // _MAX_THUMBNAILS_DRAWN))
    shown = thumbnails[::every]
    room = total_seconds / max(1, len(shown))
    for number, thumbnail in enumerate(shown):
        extent = ((number + 0.03) * room, (number + 0.97) * room, 0, 1)
        axes.imshow(thumbnail.picture, extent=extent, aspect="auto")
    axes.set_ylim(0, 1)
    axes.axis("off")


def _add_legend(figure: Figure, labels: Sequence[str | None], colours: Mapping[str | None, str]) -> None:
    patches = [Patch(color=colours[label], label=label or NO_KNOWN_ACTION) for label in labels]
    figure.legend(handles=patches, loc="outside lower center", ncols=min(7, len(patches)), frameon=False, fontsize=8)


def _clock(seconds: float, _: int) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
