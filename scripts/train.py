"""Train a classifier on a dataset and score it once on the test split.

    accelerate launch scripts/train.py --dataset data/ucf101-25 --output runs/ucf101-25
    python scripts/train.py --dataset data/mine --output runs/mine --num-views 4 --learning-rate 5e-4
    python scripts/train.py --dataset user/mine --output runs/mine
    python scripts/train.py --dataset data/mine --output runs/mine --resume
    python scripts/train.py --dataset data/mine --output runs/tuned --unfreeze last_stage

The backbone is frozen: its features are computed once and kept, the classifier is fitted to them in closed form, and
the LSTM learns what that leaves. With --unfreeze the backbone is then tuned, and kept so if it does better on the
validation clips. The output directory holds all that
`pipeline("video-classification", model=DIR, trust_remote_code=True)` needs, and the figures.
"""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from accelerate import PartialState
from huggingface_hub.errors import StrictDataclassError
from transformers import HfArgumentParser

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import open_dataset
from resnet_lstm.device_precision import PRECISIONS
from resnet_lstm.features import default_cache_dir
from resnet_lstm.training import RunOptions, TrainingSettings, TuningSettings, is_finished, train_classifier


@dataclass
class Arguments:
    """Data, model and places."""

    dataset: str = field(metadata={"help": "Made by build_dataset.py, any VideoFolder, or the Hub id of one."})
    output: Path = field(metadata={"help": "Where the model goes."})
    backbone: str = field(
        default=os.environ.get("RESNET50_PATH", "microsoft/resnet-50"),
        metadata={"help": "Directory or Hub id of a ResNet in the layout of microsoft/resnet-50."},
    )
    train_backbone: bool = field(default=False, metadata={"help": "The same as --unfreeze all."})
    num_frames: int = field(default=16, metadata={"help": "Frames of a clip."})
    num_lstm_layers: int = field(default=1, metadata={"help": "0 leaves the LSTM out."})
    lstm_hidden_size: int = field(default=256, metadata={"help": "Units of an LSTM layer."})
    temporal_change: bool = field(
        default=True, metadata={"help": "Also read what has changed since the frame before."}
    )
    dropout: float = field(default=0.5, metadata={"help": "Dropout of the head."})
    num_views: int = field(default=1, metadata={"help": "Cached views of each training clip, to augment by."})
    baseline: bool = field(default=True, metadata={"help": "Also train the order-blind baseline, to stand beside it."})
    cache_dir: Path = field(default_factory=default_cache_dir, metadata={"help": "Where features are kept."})
    extraction_batch_size: int | None = field(
        default=None, metadata={"help": "Clips at a time through the frozen backbone (1 on a CPU, 32 on a GPU)."}
    )
    num_workers: int | None = field(default=None, metadata={"help": "Processes that decode."})
    precision: str = field(default="auto", metadata={"help": "auto, fp32, bf16 or fp16.", "choices": PRECISIONS})
    report_to: list[str] = field(
        default_factory=lambda: ["none"], metadata={"help": "Trackers: tensorboard, trackio, wandb, or none."}
    )
    resume: bool = field(default=False, metadata={"help": "Go on with the run that was begun in --output."})
    overwrite: bool = field(default=False, metadata={"help": "Replace what is in --output."})


def main(arguments: list[str] | None = None) -> int:
    parser = HfArgumentParser((Arguments, TrainingSettings, TuningSettings), description=__doc__)
    args, settings, tuning, unknown = parser.parse_args_into_dataclasses(arguments, return_remaining_strings=True)
    if unknown:
        parser.error(f"unknown arguments: {' '.join(unknown)}")
    if args.resume and is_finished(args.output):
        print(f"{args.output}: finished already")
        return 0
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)

    if args.train_backbone:
        tuning.unfreeze = "all"
    try:
        trained = train_classifier(
            open_dataset(args.dataset),
            args.output,
            partial(ResNetLSTMForVideoClassification.from_backbone, args.backbone),
            ResNetLSTMVideoProcessor(num_frames=args.num_frames),
            settings,
            RunOptions(
                cache_dir=args.cache_dir,
                num_views=args.num_views,
                extraction_batch_size=args.extraction_batch_size,
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
        )
    except (OSError, ValueError, StrictDataclassError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if PartialState().is_main_process:
        result = trained.result
        best = "none was better than the start" if result.best_epoch is None else f"the best was {result.best_epoch}"
        print(f"trained {len(result.history)} epochs in {result.seconds:.1f} s; {best}")
        if trained.tuning is not None:
            print("\n".join(f"{name}: {value}" for name, value in trained.tuning.in_words().items()))
        for report in (trained.report, trained.baseline):
            if report is not None:
                print(f"\n{report.summary()}")
        print(f"\nmodel, figures and card: {args.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
