"""How accuracy grows with the number of training clips a class."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from ..evaluation import compute_metrics
from ..evaluation.plots import save_figure
from ..whole_file import write_texts
from .cross_validation import Fold, LabelledClips


@dataclass(frozen=True)
class FewClipsPoint:
    """What a recipe reaches with so many training clips a class.

    Attributes:
        recipe: Its name.
        clips_per_class: At most so many; a class that has fewer gives all it has. None stands for all.
        top1_of_seeds: `[S]`, over all clips; each seed draws other training clips.
        macro_f1_of_seeds: `[S]`.
    """

    recipe: str
    clips_per_class: int | None
    top1_of_seeds: list[float]
    macro_f1_of_seeds: list[float]

    @classmethod
    def of(cls, recipe: str, clips_per_class: int | None, logits: np.ndarray, clips: LabelledClips) -> FewClipsPoint:
        """The point of some scores `[S, N, L]`."""
        metrics = [compute_metrics(of_seed, clips.labels, clips.groups, clips.label_names) for of_seed in logits]
        return cls(recipe, clips_per_class, [each.top1 for each in metrics], [each.macro_f1 for each in metrics])


def reduced_folds(folds: Sequence[Fold], clips: LabelledClips, clips_per_class: int, seed: int) -> list[Fold]:
    """The folds with so many training clips of each class, from as many groups as possible, and none to validate.

    Args:
        folds: Of `group_folds`.
        clips: The clips.
        clips_per_class: How many to keep.
        seed: Draws them; a larger number keeps those of a smaller one.
    """
    reduced = []
    for fold in folds:
        generator = np.random.default_rng(seed)
        there = np.concatenate([fold.train, fold.validation])
        kept: list[int] = []
        for label in np.unique(clips.labels[there]):
            order = generator.permutation(there[clips.labels[there] == label])
            turn: dict[str, int] = {}
            turns = []
            for index in order:
                group = clips.groups[index]
                turn[group] = turn.get(group, 0) + 1
                turns.append(turn[group])
            # One clip of each group, then a second one of each, ...
            kept.extend(order[np.argsort(turns, kind="stable")][:clips_per_class])
        reduced.append(Fold(np.sort(np.array(kept)), fold.validation[:0], fold.test))
    return reduced


def write_few_clips(points: Sequence[FewClipsPoint], directory: Path, title: str) -> None:
    """Write `few_clips.json`, `few_clips.csv`, `few_clips.md` and `few_clips.png`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("recipe", "clips_per_class", "top1", "macro_f1"))
    for point in points:
        row = (np.mean(point.top1_of_seeds), np.mean(point.macro_f1_of_seeds))
        writer.writerow((point.recipe, point.clips_per_class or "all", *(f"{figure:.4f}" for figure in row)))
    write_texts(
        directory,
        {
            "few_clips.json": json.dumps([asdict(point) for point in points], indent=2) + "\n",
            "few_clips.csv": text.getvalue(),
            "few_clips.md": few_clips_markdown(points),
        },
    )
    _plot(points, directory / "few_clips.png", title)


def few_clips_markdown(points: Sequence[FewClipsPoint]) -> str:
    """Top-1 / macro F1 in %, recipes by clips a class."""
    sizes = list(dict.fromkeys(point.clips_per_class for point in points))
    cells: dict[str, dict[int | None, str]] = {}
    for point in points:
        figures = (100 * np.mean(point.top1_of_seeds), 100 * np.mean(point.macro_f1_of_seeds))
        cells.setdefault(point.recipe, {})[point.clips_per_class] = " / ".join(f"{figure:.1f}" for figure in figures)
    lines = [("recipe", *(str(size or "all") for size in sizes)), ("---",) * (len(sizes) + 1)]
    lines += [(f"`{recipe}`", *(of_recipe.get(size, "") for size in sizes)) for recipe, of_recipe in cells.items()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _plot(points: Sequence[FewClipsPoint], path: Path, title: str) -> None:
    by_recipe = {name: [p for p in points if p.recipe == name] for name in dict.fromkeys(p.recipe for p in points)}
    sizes = list(dict.fromkeys(point.clips_per_class for point in points))
    figure = Figure(figsize=(7, 4.4), layout="constrained")
    axes = figure.add_subplot()
    for recipe, of_recipe in by_recipe.items():
        positions = [sizes.index(point.clips_per_class) for point in of_recipe]
        seeds = np.array([point.top1_of_seeds for point in of_recipe]) * 100  # [points, S]
        (line,) = axes.plot(positions, seeds.mean(axis=1), marker="o", markersize=4, label=recipe)
        axes.fill_between(positions, seeds.min(axis=1), seeds.max(axis=1), color=line.get_color(), alpha=0.15)
    axes.set_xticks(range(len(sizes)), [str(size or "all") for size in sizes])
    axes.set_xlabel("training clips a class, at most")
    axes.set_ylabel("top-1, %; shaded: between the seeds")
    axes.grid(color="#e6e8eb")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    axes.set_title(title, fontsize=11)
    save_figure(figure, path)
