"""Compare heads and training recipes by cross-validation over groups, on one set of cached features.

    resnet-lstm compare --dataset data/ucf101-25 --output comparison
    resnet-lstm compare --dataset data/ucf101-25 --output comparison --recipes mean-of-frames resnet-lstm
    resnet-lstm compare --dataset data/ucf101-25 --output comparison --few-clips

Every clip is scored by models that have not seen its group. The test split stays closed unless --splits names it.
Trainings that are done are kept in --output: run it again to go on, or to add recipes. Writes comparison.json,
comparison.csv, comparison.md and gains.png; with --few-clips, accuracy by the number of training clips a class:
few_clips.json, few_clips.csv, few_clips.md and few_clips.png; with --unknown, how well clips of classes that were left
out of training are told from the others, and what each of them is taken for: unknown.json, unknown.csv, unknown.md and
unknown.png; with --background, what clips of none of the actions to learn from are worth for that: background.json and
background.md; with --teach, how well such classes are taught by five clips each: taught.json and taught.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from .. import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from ..comparison import (
    BASELINE,
    RECIPES,
    BackgroundResult,
    CrossValidation,
    FewClipsPoint,
    Fold,
    LabelledClips,
    TaughtResult,
    UnknownResult,
    class_folds,
    compare,
    cross_validate,
    few_clips_markdown,
    group_folds,
    learn_background,
    leave_out_classes,
    plot_gains,
    reduced_folds,
    teach_left_out_classes,
    to_markdown,
    write_few_clips,
    write_table,
)
from ..data import SPLITS, open_dataset
from ..device_precision import best_device
from ..features import FeatureCache, FeaturesInMemory, extract_features, training_views
from .parser import CommandParser, positive
from .shared_options import add_backbone, add_computing_options, add_dataset

FEW_CLIPS = (1, 2, 5, 10, 20)
NUM_CLASS_FOLDS = 5
TAUGHT_CLIPS = 5
WITHOUT_LSTM = "no-lstm"


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("compare", "--dataset DATASET --output DIR", __doc__)
    parser.epilog = "recipes:\n" + "\n".join(f"  {name:15} {recipe.description}" for name, recipe in RECIPES.items())
    data = parser.add_argument_group("data")
    add_dataset(data, required=True)
    data.add_argument(
        "--splits", nargs="+", default=["train", "validation"], choices=SPLITS, metavar="SPLIT", help="which"
    )
    add_backbone(data)
    comparison = parser.add_argument_group("comparison")
    comparison.add_argument(
        "--recipes",
        nargs="+",
        default=list(RECIPES),
        choices=RECIPES,
        metavar="NAME",
        help="by default all, see below",
    )
    comparison.add_argument(
        "--baseline", default=BASELINE, choices=RECIPES, metavar="NAME", help="what gains are over"
    )
    comparison.add_argument("--few-clips", action="store_true", help="train on 1, 2, 5, 10, 20 and all clips a class")
    comparison.add_argument("--unknown", action="store_true", help="leave classes out in turn, and tell their clips")
    comparison.add_argument(
        "--background", action="store_true", help="leave classes out in turn, others being the background"
    )
    comparison.add_argument("--teach", action="store_true", help="leave classes out in turn, and teach them")
    comparison.add_argument("--num-folds", type=positive, default=5, metavar="N", help="folds over groups")
    comparison.add_argument("--num-seeds", type=positive, default=3, metavar="N", help="trainings of each fold")
    comparison.add_argument("--output", type=Path, required=True, metavar="DIR", help="where figures and trainings go")
    add_computing_options(parser, "--precision", "--cache-dir")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    if args.few_clips + args.unknown + args.background + args.teach > 1:
        parser.error("--few-clips, --unknown, --background and --teach are comparisons of their own: choose one")
    if args.unknown or args.background or args.teach:
        # The LSTM has no part in it, and takes most of a training's time.
        args.recipes = [WITHOUT_LSTM]
    elif args.baseline not in args.recipes:
        args.recipes.insert(0, args.baseline)
    return args


@dataclass(frozen=True)
class _Comparison:
    """What all comparisons are made of."""

    args: argparse.Namespace
    clips: LabelledClips
    folds: list[Fold]
    features: FeaturesInMemory

    @property
    def seeds(self) -> range:
        return range(self.args.num_seeds)

    @property
    def title(self) -> str:
        groups = len(set(self.clips.groups))
        return f"{len(self.clips)} clips of {groups} groups, {self.args.num_folds} folds, {self.args.num_seeds} seeds"

    @property
    def facts(self) -> dict[str, Any]:
        return {
            "dataset": Path(self.args.dataset).name,
            "splits": self.args.splits,
            "clips": len(self.clips),
            "groups": len(set(self.clips.groups)),
            "folds": self.args.num_folds,
            "seeds": self.args.num_seeds,
        }

    def scores(self, name: str, folds: Sequence[Fold], seeds: Sequence[int]) -> CrossValidation:
        """What a recipe scores on folds."""
        args = self.args
        return cross_validate(name, RECIPES[name], self.clips, folds, seeds, self.features, args.backbone, args.output)


def run(args: argparse.Namespace) -> int:
    """Train all that is not trained yet, and print the table."""
    clips = LabelledClips.of(open_dataset(args.dataset), args.splits)
    model = ResNetLSTMForVideoClassification.from_backbone(args.backbone).resnet_lstm.to(best_device())
    processor = ResNetLSTMVideoProcessor()
    cache = FeatureCache(args.cache_dir, model, processor, args.precision)
    num_views = max(RECIPES[name].num_views for name in args.recipes)
    extract_features(model, processor, cache, clips.files, training_views(num_views))
    comparison = _Comparison(args, clips, group_folds(clips, args.num_folds), FeaturesInMemory(cache))
    if args.unknown:
        print(_leave_classes_out(comparison))
    elif args.background:
        print(_learn_backgrounds(comparison))
    elif args.teach:
        print(_teach_classes(comparison))
    elif args.few_clips:
        print(_train_on_few_clips(comparison))
    else:
        print(_compare_recipes(comparison))
        print(f"figures and picture: {args.output}")
    return 0


def _leave_classes_out(comparison: _Comparison) -> str:
    args, clips = comparison.args, comparison.clips
    trials = []
    for seed in comparison.seeds:
        left_out = class_folds(clips.labels, NUM_CLASS_FOLDS, seed)
        trials += leave_out_classes(
            *(WITHOUT_LSTM, RECIPES[WITHOUT_LSTM], clips, comparison.folds, left_out),
            *(seed, comparison.features, args.backbone, args.output),
        )
    result = UnknownResult.of(trials, NUM_CLASS_FOLDS * args.num_seeds, clips.label_names)
    result.write(args.output, comparison.facts, f"{comparison.title},\na fifth of the classes left out of each")
    return result.to_markdown()


def _learn_backgrounds(comparison: _Comparison) -> str:
    args, clips, folds = comparison.args, comparison.clips, comparison.folds
    trials = []
    for seed in comparison.seeds:
        sets = class_folds(clips.labels, NUM_CLASS_FOLDS, seed)
        for number, left_out in enumerate(tqdm(sets, desc="backgrounds", unit="set")):
            background = sets[(number + 1) % len(sets)]
            trials.append(
                learn_background(
                    WITHOUT_LSTM,
                    RECIPES[WITHOUT_LSTM],
                    clips,
                    folds[number % len(folds)],
                    left_out,
                    background,
                    seed,
                    comparison.features,
                    args.backbone,
                    args.output,
                )
            )
    result = BackgroundResult(trials)
    result.write(args.output, comparison.facts)
    return result.to_markdown()


def _teach_classes(comparison: _Comparison) -> str:
    args, clips, folds = comparison.args, comparison.clips, comparison.folds
    taught = TaughtResult(
        [
            teach_left_out_classes(
                *(WITHOUT_LSTM, RECIPES[WITHOUT_LSTM], clips, folds[number % len(folds)], classes, TAUGHT_CLIPS),
                *(seed, comparison.features, args.backbone, args.output),
            )
            for seed in comparison.seeds
            for number, classes in enumerate(class_folds(clips.labels, NUM_CLASS_FOLDS, seed))
        ],
        TAUGHT_CLIPS,
    )
    taught.write(args.output, comparison.facts)
    return taught.to_markdown()


def _train_on_few_clips(comparison: _Comparison) -> str:
    args, clips, folds = comparison.args, comparison.clips, comparison.folds
    points = []
    for size in (*FEW_CLIPS, None):
        for name in args.recipes:
            of_seeds = [
                comparison.scores(name, folds if size is None else reduced_folds(folds, clips, size, seed), [seed])
                for seed in comparison.seeds
            ]
            logits = np.concatenate([of_seed.logits["as filmed"] for of_seed in of_seeds])
            points.append(FewClipsPoint.of(name, size, logits, clips))
    write_few_clips(points, args.output, comparison.title)
    return few_clips_markdown(points)


def _compare_recipes(comparison: _Comparison) -> str:
    args = comparison.args
    results = {name: comparison.scores(name, comparison.folds, comparison.seeds) for name in args.recipes}
    rows = compare(results, RECIPES, comparison.clips, args.baseline)
    write_table(rows, {**comparison.facts, "baseline": args.baseline}, args.output)
    plot_gains(args.output / "gains.png", rows, args.baseline, comparison.title)
    return to_markdown(rows)
