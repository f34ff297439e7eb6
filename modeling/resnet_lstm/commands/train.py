"""Train a classifier on a dataset and score it once on the test split.

    resnet-lstm train --dataset data/mine --output runs/mine
    resnet-lstm train --dataset user/mine --output runs/mine --num-views 4 --learning-rate 5e-4
    resnet-lstm train --dataset data/mine --output runs/mine --resume
    resnet-lstm train --config runs/mine/train.yaml --output runs/again
    resnet-lstm train --dataset data/mine --output runs/tuned --unfreeze last_stage
    accelerate launch -m resnet_lstm train --dataset data/mine --output runs/mine

The backbone is frozen. With --unfreeze it is then tuned, and kept so if it does better on the validation clips, which
few source videos seldom allow. The output is a model for pipeline("video-classification"), with its figures,
and train.yaml, which repeats the run.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import TypeVar

from accelerate import PartialState

from .. import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from ..training import (
    RunOptions,
    TrainedClassifier,
    TrainingSettings,
    TuningSettings,
    is_finished,
    train_classifier,
)
from .config_file import arguments_of, config_text
from .parser import CommandParser, add_fields, add_switch, positive
from .shared_options import (
    add_backbone,
    add_computing_options,
    add_dataset,
    add_shuffle_buffer,
    open_clips_or_features,
)

_Settings = TypeVar("_Settings", TrainingSettings, TuningSettings)

CONFIG_FILE = "train.yaml"
# What a run does not share with its repetition: its place, its state, and what it is carried out with.
_OF_THIS_RUN_ALONE = {
    "output",
    "config",
    "help_all",
    "train_backbone",
    "resume",
    "overwrite",
    "cache_dir",
    "num_workers",
    "batch_size",
}


def make_parser(*, with_advanced: bool = False) -> CommandParser:
    """The command's options; `with_advanced` shows in its help also those that few need."""
    parser = CommandParser.of("train", "--dataset DATASET --output DIR", __doc__)
    data = parser.add_argument_group("data")
    add_dataset(data, required=True)
    data.add_argument("--num-frames", type=positive, default=16, metavar="N", help="frames of a clip")
    data.add_argument(
        "--num-views", type=positive, default=1, metavar="N", help="cached views of a clip, to augment by"
    )
    add_shuffle_buffer(data, is_shown=with_advanced)
    model = parser.add_argument_group("model")
    add_backbone(model)
    # The same as --unfreeze all.
    add_switch(model, "--train-backbone", default=False, help=argparse.SUPPRESS)
    model.add_argument("--num-lstm-layers", type=int, default=1, metavar="N", help="0 leaves the LSTM out")
    model.add_argument("--lstm-hidden-size", type=int, default=256, metavar="N", help="units of an LSTM layer")
    model.add_argument("--dropout", type=float, default=0.5, metavar="X", help="dropout of the head")
    add_switch(model, "--temporal-change", default=True, help="read each frame alone, no change")
    add_switch(model, "--baseline", default=True, help="train no order-blind model beside it")
    add_fields(parser.add_argument_group("training"), TrainingSettings, with_advanced=with_advanced)
    add_fields(parser.add_argument_group("tuning"), TuningSettings, with_advanced=with_advanced)
    run = parser.add_argument_group("run")
    run.add_argument("--help-all", action="store_true", help="show the options that few need, too")
    run.add_argument("--output", type=Path, required=True, metavar="DIR", help="where the model goes")
    run.add_argument("--config", type=Path, metavar="FILE", help="YAML or JSON with options; these go first")
    add_switch(run, "--resume", default=False, help="go on with the run begun in --output")
    add_switch(run, "--overwrite", default=False, help="replace what is in --output")
    run.add_argument("--report-to", nargs="+", default=["none"], metavar="NAME", help="tensorboard, trackio, wandb")
    add_computing_options(parser, "--batch-size", "--num-workers", "--precision", "--cache-dir")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments, after those of its config file; ends the process where they make no sense."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if "--help-all" in arguments:
        arguments = ["--help"]
        parser = make_parser(with_advanced=True)
    else:
        parser = make_parser()
    config = CommandParser(add_help=False)
    config.add_argument("--config", type=Path)
    path = config.parse_known_args(arguments)[0].config
    if path is None:
        return parser.parse_args(arguments)
    try:
        return parser.parse_args([*arguments_of(path), *arguments])
    except (OSError, ValueError) as error:
        parser.error(str(error))


def run(args: argparse.Namespace) -> int:
    """Train, and print the figures."""
    if args.resume and is_finished(args.output):
        print(f"{args.output}: finished already")
        return 0

    if args.train_backbone:
        args.unfreeze = "all"
    tuning = _settings(TuningSettings, args)
    repeated = {name: value for name, value in vars(args).items() if name not in _OF_THIS_RUN_ALONE}
    trained = train_classifier(
        open_clips_or_features(args),
        args.output,
        partial(ResNetLSTMForVideoClassification.from_backbone, args.backbone),
        ResNetLSTMVideoProcessor(num_frames=args.num_frames),
        _settings(TrainingSettings, args),
        RunOptions(
            cache_dir=args.cache_dir,
            num_views=args.num_views,
            extraction_batch_size=args.batch_size,
            num_workers=args.num_workers,
            precision=args.precision,
            report_to=tuple(name for name in args.report_to if name != "none"),
            resume=args.resume,
            overwrite=args.overwrite,
        ),
        head={
            "num_lstm_layers": args.num_lstm_layers,
            "lstm_hidden_size": args.lstm_hidden_size,
            "temporal_change": args.temporal_change,
            "dropout": args.dropout,
        },
        base_model=None if Path(args.backbone).exists() else args.backbone,
        train_baseline=args.baseline and tuning.unfreeze == "none",
        tuning=tuning,
        texts={CONFIG_FILE: config_text(CONFIG_FILE, "train", repeated)},
    )
    if PartialState().is_main_process:
        _print_result(trained, args.output)
    return 0


def _settings(settings_type: type[_Settings], args: argparse.Namespace) -> _Settings:
    return settings_type(**{field.name: getattr(args, field.name) for field in fields(settings_type)})


def _print_result(trained: TrainedClassifier, output: Path) -> None:
    result = trained.result
    best = "no epoch was clearly better than the start"
    if result.best_epoch is not None:
        best = f"the best was {result.best_epoch}"
    print(f"trained {len(result.history)} epochs in {result.seconds:.1f} s; {best}")
    if trained.tuning is not None:
        print("\n".join(f"{name}: {value}" for name, value in trained.tuning.in_words().items()))
    for report in (trained.report, trained.baseline):
        if report is not None:
            print(f"\n{report.summary()}")
    print(f"\nmodel, figures and card: {output}")
