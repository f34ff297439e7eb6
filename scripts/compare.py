"""Compare heads and training recipes by cross-validation over groups, on one set of cached features.

    python scripts/compare.py --dataset data/ucf101-25 --output comparison
    python scripts/compare.py --dataset data/ucf101-25 --output comparison --recipes mean-of-frames resnet-lstm
    python scripts/compare.py --dataset data/ucf101-25 --output comparison --few-clips
    python scripts/compare.py --dataset data/ucf101-25 --output comparison --unknown

Every clip is scored by models that have not seen its group. The test split stays closed unless --splits names it.
Trainings that are done are kept in OUTPUT: run it again to go on, or to add recipes. Writes comparison.json,
comparison.csv, comparison.md and gains.png; with --few-clips, accuracy by the number of training clips a class, into
few_clips.json, few_clips.csv, few_clips.md and few_clips.png; with --unknown, how well clips of classes that were left
out of training are told from the others, into unknown.json, unknown.csv, unknown.md and unknown.png.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.comparison import (
    BASELINE,
    DEFAULT,
    RECIPES,
    CrossValidation,
    FewClipsPoint,
    Fold,
    LabelledClips,
    UnknownResult,
    class_folds,
    compare,
    cross_validate,
    few_clips_markdown,
    group_folds,
    leave_out_classes,
    plot_gains,
    reduced_folds,
    to_markdown,
    write_few_clips,
    write_table,
)
from resnet_lstm.data import SPLITS, VideoFolder
from resnet_lstm.device_precision import PRECISIONS, best_device
from resnet_lstm.features import (
    FeatureCache,
    FeaturesInMemory,
    default_cache_dir,
    extract_features,
    training_views,
)

FEW_CLIPS = (1, 2, 5, 10, 20)
NUM_CLASS_FOLDS = 5


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    recipes = "\n".join(f"  {name:18} {recipe.description}" for name, recipe in RECIPES.items())
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=f"recipes:\n{recipes}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--dataset", type=Path, required=True, metavar="DIR", help="made by build_dataset.py")
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the figures go")
    parser.add_argument(
        "--recipes", nargs="+", default=list(RECIPES), choices=RECIPES, metavar="NAME", help="see below"
    )
    parser.add_argument("--baseline", default=BASELINE, choices=RECIPES, metavar="NAME", help="default: %(default)s")
    parser.add_argument(
        "--few-clips", action="store_true", help="train on 1, 2, 5, 10, 20 and all clips of each class"
    )
    parser.add_argument(
        "--unknown", action="store_true", help="leave classes out in turn, and tell their clips from the others"
    )
    parser.add_argument("--num-folds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--num-seeds", type=int, default=3, help="trainings of each fold (default: %(default)s)")
    parser.add_argument(
        "--splits", nargs="+", default=["train", "validation"], choices=SPLITS, help="default: train validation"
    )
    parser.add_argument(
        "--backbone",
        default=os.environ.get("RESNET50_PATH", "microsoft/resnet-50"),
        metavar="DIR_OR_ID",
        help="as for extract_features.py",
    )
    parser.add_argument("--cache-dir", type=Path, default=default_cache_dir(), help="default: %(default)s")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto", help="of the backbone (default: auto)")
    args = parser.parse_args(arguments)
    if args.few_clips and args.unknown:
        parser.error("--few-clips and --unknown are two comparisons: choose one")
    if args.unknown:
        args.recipes = [DEFAULT]
    elif args.baseline not in args.recipes:
        args.recipes.insert(0, args.baseline)
    return args


def main(arguments: list[str] | None = None) -> int:
    args = parse_arguments(arguments)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    try:
        clips = LabelledClips.of(VideoFolder.open(args.dataset), args.splits)
        folds = group_folds(clips, args.num_folds)
        model = ResNetLSTMForVideoClassification.from_backbone(args.backbone).resnet_lstm.to(best_device())
        processor = ResNetLSTMVideoProcessor()
        cache = FeatureCache(args.cache_dir, model, processor, args.precision)
        num_views = max(RECIPES[name].num_views for name in args.recipes)
        extract_features(model, processor, cache, clips.files, training_views(num_views))
        features = FeaturesInMemory(cache)
        seeds = range(args.num_seeds)
        title = (
            f"{len(clips)} clips of {len(set(clips.groups))} groups, {args.num_folds} folds, {args.num_seeds} seeds"
        )

        def scores(name: str, folds: Sequence[Fold], seeds: Sequence[int]) -> CrossValidation:
            return cross_validate(name, RECIPES[name], clips, folds, seeds, features, args.backbone, args.output)

        facts = {
            "dataset": args.dataset.name,
            "splits": args.splits,
            "clips": len(clips),
            "groups": len(set(clips.groups)),
            "folds": args.num_folds,
            "seeds": args.num_seeds,
        }
        if args.unknown:
            trials = []
            for seed in seeds:
                left_out = class_folds(clips.labels, NUM_CLASS_FOLDS, seed)
                trials += leave_out_classes(
                    DEFAULT, RECIPES[DEFAULT], clips, folds, left_out, seed, features, args.backbone, args.output
                )
            result = UnknownResult.of(trials, NUM_CLASS_FOLDS * args.num_seeds)
            result.write(args.output, facts, f"{title},\na fifth of the classes left out of each")
            print(result.to_markdown())
            return 0
        if args.few_clips:
            points = []
            for size in (*FEW_CLIPS, None):
                for name in args.recipes:
                    of_seeds = [
                        scores(name, folds if size is None else reduced_folds(folds, clips, size, seed), [seed])
                        for seed in seeds
                    ]
                    logits = np.concatenate([of_seed.logits["as filmed"] for of_seed in of_seeds])
                    points.append(FewClipsPoint.of(name, size, logits, clips))
            write_few_clips(points, args.output, title)
            print(few_clips_markdown(points))
            return 0
        results = {name: scores(name, folds, seeds) for name in args.recipes}
        rows = compare(results, RECIPES, clips, args.baseline)
        write_table(rows, {**facts, "baseline": args.baseline}, args.output)
        plot_gains(args.output / "gains.png", rows, args.baseline, title)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(to_markdown(rows))
    print(f"figures and picture: {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
