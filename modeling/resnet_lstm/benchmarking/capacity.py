"""How long the features of very many clips take, on which machines, and what that hangs on.

    python -m resnet_lstm.benchmarking.capacity
    python -m resnet_lstm.benchmarking.capacity --check runs/ucf101-25 --dataset data/ucf101-25

The first prints the plan of docs/scale.md, from the costs of a clip that docs/speed.md has. The second measures these
costs on this machine, predicts from them what four extractions take, and runs them.

A clip is read over the network, decoded by a core, and passes the backbone on a GPU, or on the cores where there is
none. All of it goes on at once, so that the work which takes its machine longest decides.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from ..data import VideoFolder
from ..device_precision import processor_name
from ..features import ClipFile, clip_files
from ..feeding import DeviceFeeder, load_pictures
from ..inference import load_model
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .extraction import extract_anew
from .feeding import DeviceNormalises, InstantModel
from .turns import Contender, time_in_turns

HOUR = 3600.0


@dataclass(frozen=True)
class ClipCosts:
    """What a clip takes of each thing that clips share.

    Attributes:
        decoding: Seconds of one core.
        backbone: Seconds of one GPU, normalising the pictures included; without GPUs, of one core.
        clip_bytes: The file.
        feature_bytes: Its features.
    """

    decoding: float
    backbone: float
    clip_bytes: float = 0.0
    feature_bytes: float = 0.0


@dataclass(frozen=True)
class Machines:
    """Machines that are alike.

    Attributes:
        number: How many.
        cores: Of each.
        gpus: Of each; 0 where the cores do the backbone's work too.
        network: Bytes a second that each reads and writes.
        start: Seconds until the first clip is begun.
    """

    number: int
    cores: int
    gpus: int
    network: float = float("inf")
    start: float = 0.0


def work(costs: ClipCosts, machines: Machines, num_clips: int) -> dict[str, float]:
    """Seconds for which each of the things that clips share is busy, all machines alike."""
    clips = -(-num_clips // machines.number)
    decoding = clips * costs.decoding / machines.cores
    network = clips * (costs.clip_bytes + costs.feature_bytes) / machines.network
    if machines.gpus == 0:
        return {"cores": decoding + clips * costs.backbone / machines.cores, "network": network}
    return {"decoding": decoding, "GPU": clips * costs.backbone / machines.gpus, "network": network}


def seconds_of(costs: ClipCosts, machines: Machines, num_clips: int) -> float:
    """How long the features of so many clips take."""
    return machines.start + max(work(costs, machines, num_clips).values())


# docs/speed.md: 16 processes decode a clip of UCF-101 in 0.0056 s; an H100's share of a batch is 0.0015 s. A clip is
# 0.5 MB, and its features are 16 frames of 6,656 numbers of 4 bytes.
H100_COSTS = ClipCosts(decoding=16 * 0.005608, backbone=0.001464, clip_bytes=0.5e6, feature_bytes=16 * 6656 * 4)
# 16 cores a GPU, as those were measured with, 25 Gbit/s, and a minute until all have started.
MACHINES = {
    "1 GPU": Machines(1, 16, 1, 25e9 / 8, 60.0),
    "8 GPUs": Machines(1, 128, 8, 25e9 / 8, 60.0),
    "64 GPUs": Machines(8, 128, 8, 25e9 / 8, 60.0),
}
DATASETS = {"UCF-101": 13_320, "Kinetics-400": 240_000, "100 M clips": 100_000_000}


def plan_markdown() -> str:
    """The plan as a table."""
    lines = [
        "| clips | on | hours | longest busy | GPUs busy | cores a GPU to keep it busy | features |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for dataset, num_clips in DATASETS.items():
        for name, machines in MACHINES.items():
            busy = work(H100_COSTS, machines, num_clips)
            longest = max(busy, key=lambda thing: busy[thing])
            share = busy["GPU"] / seconds_of(H100_COSTS, machines, num_clips)
            cells = [
                f"{dataset} ({num_clips:,})",
                name,
                f"{seconds_of(H100_COSTS, machines, num_clips) / HOUR:,.2f}",
                longest,
                f"{share:.0%}",
                f"{H100_COSTS.decoding / H100_COSTS.backbone:.0f}",
                f"{num_clips * H100_COSTS.feature_bytes / 1e12:,.3f} TB",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@dataclass(frozen=True)
class Run:
    """An extraction whose time is predicted and measured.

    Attributes:
        model: Its backbone, in the precision to compute in.
        processor: Its processor.
        num_workers: Processes that decode; 0 for none.
    """

    model: ResNetLSTMModel
    processor: ResNetLSTMVideoProcessor
    num_workers: int

    def extract(self, clips: Sequence[ClipFile]) -> None:
        """Extract clips, none of them cached."""
        extract_anew(self.model, self.processor, clips, batch_size=1, num_workers=self.num_workers)


def check_markdown(model_name: str, clips: Sequence[ClipFile], num_rounds: int) -> str:
    """Predicted and measured seconds of four extractions, as a table; costs and runs are timed in turns.

    Args:
        model_name: A directory or a Hub id; computed on the CPU.
        clips: All of them are extracted by each.
        num_rounds: How many times.
    """
    best, processor = load_model(model_name, device="cpu")
    single, _ = load_model(model_name, precision="fp32", device="cpu")
    instant, on_device = InstantModel(best.config), DeviceNormalises.from_dict(processor.to_dict())
    num_cores = torch.get_num_threads()
    pictures, feeder = load_pictures(clips[0].path, processor).pictures, DeviceFeeder(processor, best.device)
    backbones = {"auto": best.resnet_lstm, "fp32": single.resnet_lstm}
    runs = {
        "the best precision": Run(backbones["auto"], processor, 0),
        "float32": Run(backbones["fp32"], processor, 0),
        "the best precision, 2 processes decode": Run(backbones["auto"], processor, 2),
        "a device that takes no time, 2 processes decode": Run(instant, on_device, 2),
    }

    def decode(number: int) -> None:
        torch.set_num_threads(1)
        for clip in clips:
            load_pictures(clip.path, processor)
        torch.set_num_threads(num_cores)

    @torch.inference_mode()
    def compute(model: ResNetLSTMModel, number: int) -> None:
        for _ in clips:
            model.extract_frame_features(feeder.pixel_values([pictures], mirrored=[False]))

    def extract(run: Run, number: int) -> None:
        run.extract(clips)

    contenders = [
        Contender("decoding", decode, per=len(clips)),
        *(Contender(name, partial(compute, model), per=len(clips)) for name, model in backbones.items()),
        Contender("start", lambda number: Run(instant, on_device, 2).extract(clips[:1])),
        *(Contender(name, partial(extract, run)) for name, run in runs.items()),
    ]
    seconds = {name: float(np.median(times)) for name, times in time_in_turns(contenders, num_rounds, "runs").items()}
    costs = ClipCosts(decoding=seconds["decoding"], backbone=num_cores * seconds["auto"])
    cores = Machines(1, num_cores, 0)
    started = replace(cores, start=seconds["start"])
    predicted = {
        "the best precision": seconds_of(costs, cores, len(clips)),
        "float32": seconds_of(replace(costs, backbone=num_cores * seconds["fp32"]), cores, len(clips)),
        "the best precision, 2 processes decode": seconds_of(costs, started, len(clips)),
        "a device that takes no time, 2 processes decode": seconds_of(
            replace(costs, backbone=0.0), replace(started, cores=2), len(clips)
        ),
    }
    lines = ["| extraction | predicted | measured | predicted of measured |", "| --- | --- | --- | --- |"]
    for name, foretold in predicted.items():
        lines.append(f"| {name} | {foretold:.1f} s | {seconds[name]:.1f} s | {foretold / seconds[name]:.2f} |")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the plan, or check what it rests on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", metavar="MODEL", help="compare predictions with runs of this model")
    parser.add_argument("--dataset", metavar="DIR", help="of whose test clips --check extracts")
    parser.add_argument("--clips", type=int, default=40, help="how many (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often (%(default)s)")
    args = parser.parse_args(arguments)
    if args.check is None:
        sys.stdout.write(f"{plan_markdown()}\n")
        return 0
    if args.dataset is None:
        parser.error("--check: name the clips by --dataset")
    clips = clip_files(VideoFolder.open(args.dataset), "test")
    chosen = clips[:: max(1, len(clips) // args.clips)][: args.clips]
    how = f"{processor_name()}, {torch.get_num_threads()} threads, {len(chosen)} clips, {args.rounds} rounds"
    sys.stdout.write(f"{how}\n\n{check_markdown(args.check, chosen, args.rounds)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
