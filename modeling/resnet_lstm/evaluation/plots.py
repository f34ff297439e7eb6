"""The pictures of a training and an evaluation, as PNG files.

All are drawn through `matplotlib.figure.Figure`, without pyplot: no global state, no display, safe in threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..whole_file import written_whole
from .calibration import Reliability

BLUE, ORANGE, GREY = "#2f6db5", "#e07b39", "#8a8f98"
DOTS_PER_INCH = 150
# Above this many classes the counts in the cells of a confusion matrix can no longer be read.
MOST_CLASSES_WITH_COUNTS = 30
FRAMES_PER_ROW = 8


def plot_confusion_matrix(
    path: str | Path, confusion_matrix: np.ndarray, label_names: Sequence[str], *, title: str = "Confusion matrix"
) -> Path:
    """Draw a confusion matrix: colour is the part of the true class's clips, numbers are clips (up to 30 classes).

    Args:
        path: The PNG file to write.
        confusion_matrix: `[L, L]` clips, true class by predicted class.
        label_names: `[L]`.
        title: The line above the picture.
    """
    matrix = np.asarray(confusion_matrix)
    num_labels = len(label_names)
    if matrix.shape != (num_labels, num_labels):
        raise ValueError(f"confusion matrix of shape {matrix.shape}, {num_labels} label names: they must agree.")
    share = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)

    with_counts = num_labels <= MOST_CLASSES_WITH_COUNTS
    side = max(5.0, 3.2 + num_labels * (0.32 if with_counts else 0.13))
    font = 9 if with_counts else 6.5
    figure = Figure(figsize=(side + 0.6, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set_xticks(range(num_labels), label_names, rotation=90, fontsize=font)
    axes.set_yticks(range(num_labels), label_names, fontsize=font)
    axes.tick_params(length=0)
    axes.set_xlabel("predicted", fontsize=font + 2)
    axes.set_ylabel("true", fontsize=font + 2)
    axes.set_title(title, fontsize=font + 4)
    # Thin lines between the cells: the eye follows a row across many classes.
    axes.set_xticks(np.arange(0.5, num_labels - 1), minor=True)
    axes.set_yticks(np.arange(0.5, num_labels - 1), minor=True)
    axes.grid(which="minor", color="#e6e8eb", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    axes.spines[:].set_color("#c8ccd2")
    if with_counts:
        for row, column in zip(*np.nonzero(matrix), strict=True):
            colour = "white" if share[row, column] > 0.5 else "#1f2933"
            axes.text(column, row, f"{matrix[row, column]}", ha="center", va="center", fontsize=8, color=colour)
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02, format="{x:.0%}")
    bar.set_label("of the true class's clips", fontsize=font + 1)
    bar.ax.tick_params(labelsize=font)
    bar.outline.set_visible(False)
    return save_figure(figure, path)


def plot_training_curves(
    path: str | Path,
    history: Sequence[Mapping[str, Any]],
    *,
    best_epoch: int | None = None,
    start: Mapping[str, float] | None = None,
    title: str = "Training",
) -> Path:
    """Draw the losses and the validation accuracy by epoch, with the best epoch marked.

    Args:
        path: The PNG file to write.
        history: One record per epoch with the keys `epoch`, `train_loss`, `learning_rate` and, where there were
            validation clips, `validation_loss` and `validation_top1` (a fraction).
        best_epoch: The epoch whose weights are kept; by default the first with the highest top-1, or the start where
            it is given.
        start: The validation figures before the first epoch, with the same keys.
        title: The line above the picture.

    Raises:
        ValueError: `history` is empty, or does not hold `best_epoch`.
    """
    if not history:
        raise ValueError("the history has no epoch: train for at least one epoch before drawing its curves.")
    epoch, train_loss, rate = (
        np.array([row[name] for row in history]) for name in ("epoch", "train_loss", "learning_rate")
    )
    if best_epoch is not None and best_epoch not in epoch:
        raise ValueError(f"best_epoch={best_epoch} is not in the history, which holds {epoch[0]} to {epoch[-1]}.")
    validated = [*([{"epoch": epoch[0] - 1, **start}] if start else []), *history]
    validated = [row for row in validated if "validation_loss" in row]
    marker = "o" if len(history) <= 40 else None

    figure = Figure(figsize=(10, 4.2), layout="constrained")
    losses, accuracy = figure.subplots(1, 2)
    figure.suptitle(title, fontsize=13)
    losses.plot(epoch, train_loss, color=GREY, marker=marker, markersize=3.5, label="train")
    losses.set_ylabel("cross entropy")
    accuracy.set_ylabel("validation top-1, %")
    highest_loss = train_loss.max()
    if validated:
        _add_validation(losses, accuracy, validated, best_epoch, marker, has_start=bool(start))
        highest_loss = max(highest_loss, *(row["validation_loss"] for row in validated))
    losses.set_ylim(0, 1.05 * highest_loss)
    for axes in (losses, accuracy):
        axes.set_xlabel("epoch")
        axes.set_xlim((validated or history)[0]["epoch"] - 0.5, epoch[-1] + 0.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.grid(color="#e6e8eb")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=3, frameon=False, columnspacing=1.2)
    _add_learning_rate(accuracy, epoch, rate)
    return save_figure(figure, path)


def _add_validation(
    losses: Axes,
    accuracy: Axes,
    validated: Sequence[Mapping[str, Any]],
    best_epoch: int | None,
    marker: str | None,
    *,
    has_start: bool,
) -> None:
    """The validation figures by epoch, the epoch whose weights are kept marked; the first may be the start."""
    epoch, loss, top1 = (
        np.array([row[name] for row in validated]) for name in ("epoch", "validation_loss", "validation_top1")
    )
    best = 0 if has_start else int(np.argmax(top1))
    if best_epoch is not None:
        best = int(np.argmax(epoch == best_epoch))
    losses.plot(epoch, loss, color=BLUE, marker=marker, markersize=3.5, label="validation")
    accuracy.plot(epoch, 100 * top1, color=BLUE, marker=marker, markersize=3.5, label="top-1")
    label = f"best: {100 * top1[best]:.1f} %"
    accuracy.plot(epoch[best], 100 * top1[best], "*", color=ORANGE, markersize=14, label=label)
    name = "start" if has_start and best == 0 else epoch[best]
    for axes in (losses, accuracy):
        axes.axvline(epoch[best], color=ORANGE, linewidth=1, linestyle="--", label=f"best epoch ({name})")


def _add_learning_rate(axes: Axes, epoch: np.ndarray, rate: np.ndarray) -> None:
    """A second scale on the right: a step in the accuracy is often a step in the rate."""
    rates = axes.twinx()
    rates.step(epoch, rate, where="mid", color=GREY, linewidth=1, linestyle=":")
    rates.set_yscale("log")
    rates.set_ylabel("learning rate (dotted)", color=GREY)
    rates.tick_params(colors=GREY)
    rates.spines["top"].set_visible(False)
    rates.spines["right"].set_color(GREY)


def plot_per_class_f1(path: str | Path, per_class: Sequence[Mapping[str, Any]], *, title: str = "F1 by class") -> Path:
    """Draw F1 of each class that has clips as horizontal bars, best first, with its number of clips.

    Args:
        path: The PNG file to write.
        per_class: One row per class with the keys `label`, `clips` and `f1`, as in `Metrics.to_dict`.
        title: The line above the picture.

    Raises:
        ValueError: No class has a clip.
    """
    rows = sorted((row for row in per_class if row["f1"] is not None), key=lambda row: -row["f1"])
    if not rows:
        raise ValueError("no class has a clip, so there is no F1 to draw.")
    f1 = np.array([row["f1"] for row in rows])
    positions = np.arange(len(rows))

    figure = Figure(figsize=(8, 1.7 + 0.25 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(positions, f1, color=BLUE, height=0.72)
    for position, row in enumerate(rows):
        clips = f"{row['clips']} clip{'' if row['clips'] == 1 else 's'}"
        text = axes.text(row["f1"] + 0.01, position, f"{row['f1']:.2f}  ({clips})", va="center", fontsize=8)
        text.set(color="#4a5560", bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})
    axes.axvline(f1.mean(), color=ORANGE, linewidth=1.2, linestyle="--", label=f"macro F1: {f1.mean():.3f}", zorder=0)
    axes.set_yticks(positions, [row["label"] for row in rows], fontsize=9)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.19)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.set_xlabel("F1")
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_title(title, fontsize=13)
    figure.legend(loc="outside lower right", frameon=False)
    return save_figure(figure, path)


def plot_reliability(path: str | Path, reliability: Reliability, *, title: str = "Reliability") -> Path:
    """Draw how often the model is right against how sure it is; on the diagonal its scores can be taken at their word.

    Args:
        path: The PNG file to write.
        reliability: The clips in bins by score.
        title: The line above the picture.
    """
    some = reliability.clips > 0
    figure = Figure(figsize=(5.2, 5.6), layout="constrained")
    axes, counts = figure.subplots(2, 1, height_ratios=(4, 1), sharex=True)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--")
    axes.plot(reliability.confidence[some], reliability.accuracy[some], color=BLUE, marker="o", markersize=5)
    axes.set_ylabel("part of the clips that are right")
    axes.set_ylim(-0.02, 1.02)
    axes.text(0.02, 0.94, f"expected calibration error {reliability.expected_calibration_error:.3f}", color="#1f2933")
    width = 1 / len(reliability.clips)
    counts.bar((np.arange(len(reliability.clips)) + 0.5) * width, reliability.clips, width=0.9 * width, color=GREY)
    counts.set_ylabel("clips")
    counts.set_xlabel("score of the predicted class")
    counts.set_xlim(0, 1)
    for each in (axes, counts):
        each.grid(color="#e6e8eb")
        each.set_axisbelow(True)
        each.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, fontsize=10)
    return save_figure(figure, path)


def plot_frame_strip(
    path: str | Path,
    frames: np.ndarray,
    shares: np.ndarray,
    seconds: np.ndarray,
    top: Sequence[tuple[str, float]],
    title: str,
) -> Path:
    """Draw a prediction: the frames the model saw, what each of them spoke for, and the best classes.

    Args:
        path: The PNG file to write.
        frames: `[T, H, W, 3]` uint8.
        shares: `[T]` each frame's share in the decision, signed: what it adds to the clip's score.
        seconds: `[T]` when each frame is shown, from the start of the video.
        top: The best classes with their probabilities, best first.
        title: The line above the picture.

    Raises:
        ValueError: `frames`, `shares` and `seconds` have different lengths, or there is no frame.
    """
    frames, shares, seconds = np.asarray(frames), np.asarray(shares), np.asarray(seconds)
    if not len(frames) == len(shares) == len(seconds) or len(frames) == 0:
        raise ValueError(
            f"{len(frames)} frames, {len(shares)} shares, {len(seconds)} times: expected one of each per frame."
        )
    num_columns = min(len(frames), FRAMES_PER_ROW)
    num_rows = -(-len(frames) // num_columns)

    # Sizes in inches; laid out by hand, so that each bar stands under its frame and no frame is stretched.
    frame_width, bars_height, time_height, left, classes_width, gap = 1.05, 0.72, 0.24, 0.2, 3.3, 0.22
    frame_height = frame_width * frames.shape[1] / frames.shape[2]
    row_height = frame_height + time_height + bars_height + gap
    strip_width = num_columns * frame_width
    # Four frames' width at least: the title of a clip of one frame needs the room too.
    strip_room = max(strip_width, 4 * frame_width)
    width, height = left + strip_room + gap + classes_width, max(num_rows * row_height, 2.0) + 0.85
    figure = Figure(figsize=(width, height))

    def add_axes(x: float, y: float, axes_width: float, axes_height: float) -> Axes:
        """Axes whose upper left corner is `x`, `y` inches from that of the figure."""
        return figure.add_axes((x / width, 1 - (y + axes_height) / height, axes_width / width, axes_height / height))

    figure.text(left / width, 1 - 0.18 / height, title, fontsize=13, va="top")
    caption = "bars: each frame's share in the decision, for (blue) or against (orange) the best class"
    figure.text(left / width, 0.1 / height, caption, fontsize=9, color="#4a5560")
    # Room for the numbers above the tallest bar and below the deepest one.
    low, high = min(float(shares.min()), 0.0), max(float(shares.max()), 0.0)
    room = 0.32 * max(high - low, 1e-9)
    limits = (low - room if low < 0 else -0.05 * room, high + room)
    for row in range(num_rows):
        part = slice(row * num_columns, (row + 1) * num_columns)
        y = 0.6 + row * row_height
        strip = add_axes(left, y, strip_width, frame_height)
        _draw_frames(strip, frames[part], num_columns)
        bars = add_axes(left, y + frame_height + time_height, strip_width, bars_height)
        _draw_shares(bars, shares[part], seconds[part], num_columns, limits)
    labels_width = 1.6
    classes = add_axes(
        left + strip_room + gap + labels_width, 0.6, classes_width - labels_width - 0.55, 0.34 * len(top) + 0.1
    )
    _draw_top_classes(classes, top)
    return save_figure(figure, path)


def _draw_frames(axes: Axes, frames: np.ndarray, num_columns: int) -> None:
    for column, frame in enumerate(frames):
        axes.imshow(frame, extent=(column + 0.02, column + 0.98, 0, 1), aspect="auto")
    axes.set_xlim(0, num_columns)
    axes.set_ylim(0, 1)
    axes.axis("off")


def _draw_shares(
    axes: Axes, shares: np.ndarray, seconds: np.ndarray, num_columns: int, limits: tuple[float, float]
) -> None:
    centres = np.arange(len(shares)) + 0.5
    axes.bar(centres, shares, width=0.5, color=[BLUE if share >= 0 else ORANGE for share in shares])
    axes.hlines(0, 0.02, len(shares) - 0.02, color=GREY, linewidth=0.8)
    for centre, share, second in zip(centres, shares, seconds, strict=True):
        above = share >= 0
        axes.annotate(
            f"{share:+.2f}",
            (centre, share),
            (0, 2 if above else -2),
            textcoords="offset points",
            ha="center",
            va="bottom" if above else "top",
            fontsize=9,
            color="#1f2933",
        )
        axes.annotate(
            f"{second:.2f} s",
            (centre, 1),
            (0, 4),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=9,
            color="#4a5560",
        )
    axes.set_xlim(0, num_columns)
    axes.set_ylim(limits)
    axes.axis("off")


def _draw_top_classes(axes: Axes, top: Sequence[tuple[str, float]]) -> None:
    positions = np.arange(len(top))
    scores = [score for _, score in top]
    axes.barh(positions, scores, height=0.62, color=[BLUE, *[GREY] * (len(top) - 1)])
    for position, score in enumerate(scores):
        axes.text(score + 0.03, position, f"{100 * score:.1f} %", va="center", fontsize=9)
    axes.set_yticks(positions, [label for label, _ in top], fontsize=9)
    axes.set_ylim(len(top) - 0.5, -0.5)
    axes.set_xlim(0, 1)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines[["top", "right", "bottom"]].set_visible(False)


def save_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as a PNG file that appears whole."""
    path = Path(path)
    with written_whole(path) as temporary:
        figure.savefig(temporary, format="png", dpi=DOTS_PER_INCH, facecolor="white")
    return path
