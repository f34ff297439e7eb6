"""Teach a trained model classes of your own by a few clips of each, in seconds.

    resnet-lstm teach runs/ucf101-25 --class juggling a.mp4 b.mp4 --class background others/ --output runs/taught
    resnet-lstm teach user/model --replace --class "wave hello" waves/ --class clap claps/ --output runs/gestures
    resnet-lstm teach runs/old --dataset data/ucf101-25 --class juggling clips/ --output runs/taught

The classes that the model knows stay, unless --replace is given; their clips are not needed. A class of a name that it
knows learns from the clips too. Each class takes two clips at the least, five do better. How well the clips are
recognised is told by leaving out one recording at a time. The output is a model like any other: predict, evaluate,
publish it, or teach it again. A model that was trained together with its backbone, or by an earlier version, takes
--dataset.
Exit status: 0 all clips were read, 1 some were not (each is reported, the others are used), 2 nothing could be done.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ..data import open_dataset
from ..features import FeatureCache
from ..teaching import learn_statistics, require_new_directory, teach, write_taught_model
from .loaded_model import load_for
from .parser import CommandParser
from .shared_options import add_computing_options, add_dataset, add_model


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("teach", "MODEL --class NAME CLIP ... --output DIR", __doc__)
    add_model(parser)
    classes = parser.add_argument_group("classes")
    classes.add_argument(
        "--class",
        dest="classes",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "CLIP"),
        help="a class and its clips, folders of clips or URLs; once for each class",
    )
    classes.add_argument("--replace", action="store_true", help="forget the classes that the model knows")
    classes.add_argument(
        "--group-regex", metavar="REGEX", help="what in file names tells clips of one recording (default: none are)"
    )
    add_dataset(classes, help="what MODEL was trained on, if it keeps no statistics of its classes")
    run = parser.add_argument_group("run")
    run.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the taught model goes")
    add_computing_options(parser, "--batch-size", "--num-workers", "--precision", "--cache-dir")
    parser.set_defaults(runtime="torch", int8=False)
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    parser = make_parser()
    args = parser.parse_args(arguments)
    clips_of: dict[str, list[str]] = {}
    for name, *clips in args.classes:
        if not clips:
            parser.error(f"--class {name}: name its clips too")
        clips_of.setdefault(name, []).extend(clips)
    args.classes = clips_of
    return args


def run(args: argparse.Namespace) -> int:
    """Teach, write the model, and return 1 if a clip could not be read."""
    require_new_directory(args.output)
    model, processor = load_for(args)
    cache = FeatureCache.of_model(args.cache_dir, model.resnet_lstm, processor)
    feeding = {"batch_size": args.batch_size, "num_workers": args.num_workers}
    if args.dataset is not None:
        learn_statistics(model, processor, open_dataset(args.dataset), cache, **feeding)
    taught = teach(
        model, processor, args.classes, replace=args.replace, group_regex=args.group_regex, cache=cache, **feeding
    )
    write_taught_model(taught, processor, args.output, args.model)
    print(taught.summary())
    print(f"\nmodel, figures and card: {args.output}")
    if taught.errors:
        num_clips = len(taught.clips) + len(taught.errors)
        print(f"{len(taught.errors)} of {num_clips} clips could not be read and were left out", file=sys.stderr)
    return 1 if taught.errors else 0
