"""Go the whole path in two minutes, with no dataset and no download: generate clips, train, evaluate, predict.

    resnet-lstm demo --output demo_output

The classes differ in nothing but the order of their frames: grow and shrink, brighten and darken, green to red and
red to green. A model that is blind to order can tell the pair that a clip is of, and then has to guess: 50 %.
"""

from __future__ import annotations

import argparse
import shutil
import time
from pathlib import Path

from .. import ResNetLSTMConfig, ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from ..data import build_from_folders
from ..data.generated_clips import PAIRS, write_generated_clips
from ..evaluation import plot_frame_strip
from ..inference import ClipPrediction, predict_clips
from ..training import RunOptions, TrainingSettings, train_classifier
from .parser import CommandParser, positive

# Without the movement to the left and right: a network this small averages over all places.
CLASSES = [label for pair in PAIRS[:3] for label in pair]
TINY_RESNET = {"embedding_size": 16, "hidden_sizes": [16, 32, 64], "depths": [1, 1, 1], "layer_type": "basic"}
SETTINGS = TrainingSettings(
    num_train_epochs=10,
    train_batch_size=8,
    learning_rate=3e-3,
    backbone_learning_rate=3e-3,
    label_smoothing=0.0,
    early_stopping_patience=5,
    flip=False,  # it would turn "move left" into "move right"
)


def build_model(**config: object) -> ResNetLSTMForVideoClassification:
    tiny = ResNetLSTMConfig(backbone_config=TINY_RESNET, **{**config, "lstm_hidden_size": 64, "dropout": 0.1})
    model = ResNetLSTMForVideoClassification(tiny)
    model.unfreeze_backbone(batch_norm=True)
    return model


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("demo", "", __doc__)
    parser.add_argument("--output", type=Path, default=Path("demo_output"), metavar="DIR", help="where it all goes")
    parser.add_argument("--clips-per-class", type=positive, default=80, metavar="N", help="how many are generated")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    return make_parser().parse_args(arguments)


def run(args: argparse.Namespace) -> int:
    """Generate, train, evaluate, predict."""
    started = time.monotonic()
    clips, dataset, model_dir = args.output / "clips", args.output / "dataset", args.output / "model"
    marker = args.output / ".made-by-the-demo"
    if args.output.is_dir() and any(args.output.iterdir()) and not marker.is_file():
        raise ValueError(f"{args.output}: holds other files. Choose a new folder for the demo.")
    args.output.mkdir(parents=True, exist_ok=True)
    marker.touch()
    for folder in (clips, dataset, model_dir):
        shutil.rmtree(folder, ignore_errors=True)

    write_generated_clips(clips, args.clips_per_class, classes=CLASSES)
    folder = build_from_folders(clips, dataset)
    trained = train_classifier(
        folder,
        model_dir,
        build_model,
        ResNetLSTMVideoProcessor(size={"height": 32, "width": 32}),
        SETTINGS,
        RunOptions(cache_dir=args.output / "cache", num_workers=2),
    )
    clip = folder.path("test", folder.clips("test")[0])
    prediction = next(predict_clips(trained.model, trained.processor, [clip]))
    assert isinstance(prediction, ClipPrediction)  # noqa: S101 - a clip that was just written can be read
    names = trained.model.config.id2label
    top = [(names[label], float(prediction.scores[label])) for label in prediction.top_k(3)]
    strip = plot_frame_strip(
        args.output / "prediction.png",
        prediction.frames,
        prediction.frame_shares(),
        prediction.seconds,
        top,
        title=f"{clip.name}: {top[0][0]}",
    )

    assert trained.report is not None  # noqa: S101 - there is a test split
    assert trained.baseline is not None  # noqa: S101
    print(f"\n{trained.report.summary()}\n\n{trained.baseline.summary()}\n")
    print(f"one clip       {clip}: {top[0][0]} ({100 * top[0][1]:.1f} %)")
    print(f"its frames     {strip}")
    print(f"dataset        {dataset}")
    print(f"model          {model_dir} (card, figures and pictures inside)")
    print(f"took           {time.monotonic() - started:.0f} s")
    return 0
