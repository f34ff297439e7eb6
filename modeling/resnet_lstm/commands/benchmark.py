"""Measure speed on this machine, as ratios of what is measured in the same run, in turns.

    resnet-lstm benchmark runs/ucf101-25 --dataset data/ucf101-25
    resnet-lstm benchmark runs/ucf101-25 --dataset data/ucf101-25 --quick
    resnet-lstm benchmark runs/ucf101-25 --dataset data/ucf101-25 --parts decoding --clips path/to/xvid/clips
    resnet-lstm benchmark runs/ucf101-25 --dataset data/ucf101-25 --parts memory timeline space
    resnet-lstm benchmark runs/ucf101-25 --dataset data/ucf101-25 --parts gpu
    resnet-lstm benchmark runs/ucf101-25 --dataset data/ucf101-25 --parts clips live --peers

Nothing else should run beside it. Backbones are given as multiples of the time that the processor needs for matrix
multiplications of as many operations. Exports of the model (`export`) take part where they are found; other readers
(OpenCV, decord, torchcodec) where they are installed. Writes benchmark.json, benchmark.md and benchmark.png.
"""

from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
import transformers

from .. import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from ..benchmarking import Figure, figures_markdown, write_figures
from ..benchmarking.anytime import time_anytime
from ..benchmarking.clips import load_models, time_clips
from ..benchmarking.decoding import time_decoding
from ..benchmarking.device import time_device
from ..benchmarking.extraction import peak_memory_of_extraction, time_extraction
from ..benchmarking.feeding import time_feeding
from ..benchmarking.head_training import time_epochs
from ..benchmarking.live import time_live, time_timelines
from ..benchmarking.long_video import make_long_video
from ..benchmarking.start import time_space_start, time_start
from ..data import SPLITS, VideoFolder
from ..device_precision import best_device, processor_name
from ..features import UNIFORM, FeatureCache, FeaturesInMemory, clip_files, extract_features
from ..feeding import default_num_workers
from ..inference import find_sources, load_model
from ..publishing import space_folder
from ..training.datasets import FeatureDataset
from .parser import CommandParser
from .shared_options import add_computing_options, add_dataset

DEFAULT_PARTS = ("clips", "live", "decoding", "extraction", "feeding", "training", "start", "anytime")
OTHER_PARTS = ("timeline", "memory", "space", "gpu")
ROUNDS, QUICK_ROUNDS = 15, 2
LONG_VIDEO_SECONDS, LONG_VIDEO_SIZE, TIMELINE_SIZE, TIMELINE_FPS = 600, (1280, 720), (640, 360), 4.0


def make_parser() -> CommandParser:
    """The command's options."""
    parser = CommandParser.of("benchmark", "MODEL --dataset DATASET", __doc__)
    parser.add_argument("model", type=Path, metavar="MODEL", help="directory")
    data = parser.add_argument_group("data")
    add_dataset(data, required=True, may_be_second=True, help="made by `build`")
    data.add_argument("--clips", nargs="*", default=[], metavar="DIR", help="more clips to decode, by folder")
    what = parser.add_argument_group("what to measure")
    what.add_argument(
        "--parts",
        nargs="+",
        choices=(*DEFAULT_PARTS, *OTHER_PARTS),
        default=list(DEFAULT_PARTS),
        metavar="PART",
        help=f"of {', '.join(DEFAULT_PARTS)} (the default), {', '.join(OTHER_PARTS)}",
    )
    what.add_argument("--quick", action="store_true", help="fewer rounds and no long video, in about two minutes")
    what.add_argument("--peers", action="store_true", help="time other networks too")
    result = parser.add_argument_group("result")
    result.add_argument("--output", type=Path, metavar="DIR", help="default: MODEL, whose card then tells the figures")
    add_computing_options(parser, "--cache-dir")
    return parser


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command's arguments; ends the process where they make no sense."""
    args = make_parser().parse_args(arguments)
    args.output = args.output or args.model
    return args


def run(args: argparse.Namespace) -> int:
    """Measure, and print the table."""
    args.dataset = Path(args.dataset)
    rounds = QUICK_ROUNDS if args.quick else ROUNDS
    facts: dict[str, Any] = {
        "machine": {"processor": processor_name(), "threads": torch.get_num_threads()},
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "dataset": args.dataset.name,
    }
    figures: list[Figure] = []
    folder = VideoFolder.open(args.dataset)
    model, processor = load_model(str(args.model), device="cpu")
    files = [clip.path for clip in clip_files(folder, "test")]
    models = load_models(str(args.model)) if {"clips", "live", "timeline"} & set(args.parts) else {}
    if "clips" in args.parts:
        figures += time_clips(models, processor, files, rounds, args.peers)
    if "live" in args.parts:
        figures += time_live(models, processor, files[0], rounds)
    if "timeline" in args.parts:
        figures += time_timelines(models, processor, long_video(args, files, TIMELINE_SIZE), TIMELINE_FPS)
    if "start" in args.parts:
        figures += time_start(args.model, model, processor, files[0], 1 if args.quick else 7)
    if "anytime" in args.parts:
        figures += anytime(args, model, processor, folder, facts)
    if "extraction" in args.parts:
        num_clips, num_rounds = (8, 1) if args.quick else (40, 5)
        clips = clip_files(folder, "test")[:num_clips]
        figures += time_extraction(model.resnet_lstm, processor, clips, num_rounds)
    if "feeding" in args.parts:
        # So many that the start of the processes does not count; of all splits, since the test clips alone are fewer.
        splits = ("test",) if args.quick else SPLITS
        clips = [clip for split in splits for clip in clip_files(folder, split)][: 8 if args.quick else 512]
        workers = default_num_workers("cuda")
        figures += time_feeding(model.resnet_lstm, processor, clips, 1 if args.quick else 5, workers)
    if "gpu" in args.parts:
        if best_device().type != "cuda":
            raise ValueError("part gpu: there is no CUDA GPU.")
        on_gpu, _ = load_model(str(args.model))
        facts["machine"]["gpu"] = torch.cuda.get_device_name(on_gpu.device)
        # The test clips alone are over before all processes that decode have begun.
        clips = [clip for split in SPLITS for clip in clip_files(folder, split)]
        figures += time_device(on_gpu, processor, clips[:32] if args.quick else clips, 1 if args.quick else 5)
    if "training" in args.parts:
        figures += training(args, model, processor, folder, rounds)
    if "decoding" in args.parts:
        figures += decoding(args, files, processor.num_frames, rounds)
    if "space" in args.parts:
        figures += time_space_start(space_folder() / "app.py", args.model, 2 if args.quick else 7)
    if "memory" in args.parts:
        total = sum(len(folder.clips(split)) for split in SPLITS)
        figures += peak_memory_of_extraction(args.dataset, args.model, (50, min(total, 1000)))
    write_figures(figures, facts, args.output)
    print(figures_markdown(figures))
    print(f"figures and picture: {args.output}")
    return 0


def anytime(
    args: argparse.Namespace,
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    folder: VideoFolder,
    facts: dict[str, Any],
) -> list[Figure]:
    chosen = slice(0, None, 8 if args.quick else 1)
    labels = [model.config.label2id[clip.label] for clip in folder.clips("test")]
    files = [clip.path for clip in clip_files(folder, "test")]
    figures, accuracy = time_anytime(model, processor, files[chosen], labels[chosen])
    facts["anytime"] = asdict(accuracy)
    print(
        f"anytime, {accuracy.clips} clips: top-1 {100 * accuracy.top1_anytime:.1f} % for "
        f"{100 * accuracy.frames_read:.1f} % of the frames, {100 * accuracy.top1_full:.1f} % for all; "
        f"{100 * accuracy.agreement:.1f} % of the answers are the same"
    )
    return figures


def decoding(args: argparse.Namespace, files: list[Path], num_frames: int, rounds: int) -> list[Figure]:
    chosen = files[:: max(1, len(files) // 16)]
    figures = time_decoding(f"decoding {num_frames} frames of a clip of the dataset", chosen, num_frames, rounds)
    for source in args.clips:
        others = [Path(name) for name in find_sources([source])][:16]
        part = f"decoding {num_frames} frames of a clip of {Path(source).name}"
        figures += time_decoding(part, others, num_frames, rounds)
    if not args.quick:
        video = long_video(args, files, LONG_VIDEO_SIZE)
        part = f"decoding {num_frames} frames of {LONG_VIDEO_SECONDS // 60} minutes at {LONG_VIDEO_SIZE[1]}p"
        figures += time_decoding(part, [video], num_frames, 3, whole=True)
    return figures


def long_video(args: argparse.Namespace, files: list[Path], size: tuple[int, int]) -> Path:
    name = f"long-{size[1]}p-{LONG_VIDEO_SECONDS}s-{args.dataset.name}.mp4"
    return make_long_video(files, args.cache_dir.parent / name, LONG_VIDEO_SECONDS, size)


def training(
    args: argparse.Namespace,
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    folder: VideoFolder,
    rounds: int,
) -> list[Figure]:
    clips = clip_files(folder, "train")
    cache = FeatureCache.of_model(args.cache_dir, model.resnet_lstm, processor)
    extract_features(model.resnet_lstm, processor, cache, clips, [UNIFORM])
    labels = [model.config.label2id[clip.label] for clip in folder.clips("train")]
    untrained = ResNetLSTMForVideoClassification(model.config)
    dataset = FeatureDataset(clips, labels, FeaturesInMemory(cache))
    return time_epochs(untrained, dataset, [folder.group_of(clip) for clip in folder.clips("train")], rounds)
