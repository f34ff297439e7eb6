"""How long the features of very many clips take, on which machines, and what that hangs on.

    python -m resnet_lstm.benchmarking.capacity
    python -m resnet_lstm.benchmarking.capacity --check runs/ucf101-25 --dataset data/ucf101-25

The first prints the plan of docs/scale.md, from the costs of a clip that docs/speed.md has. The second measures these
costs on this machine, predicts from them what four extractions take, and runs them.

A clip is read over the network, decoded by a core, taken in and written down by the main process of its GPU, and
passes the backbone there; all of it goes on at once, so that the work which takes its machine longest decides. Where
there is no GPU the backbone's threads are on all cores and wait for each other at each layer: what takes one of the
cores holds up all of them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch

from ..data import VideoFolder
from ..device_precision import processor_name
from ..features import ClipFile, clip_files
from ..feeding import DeviceFeeder, PictureRequest, load_batches, load_pictures
from ..inference import load_model
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .extraction import extract_anew
from .feeding import DeviceNormalises, InstantModel, main_process_seconds
from .turns import Contender, time_in_turns

HOUR = 3600.0


@dataclass(frozen=True)
class ClipCosts:
    """What a clip takes of each thing that clips share.

    Attributes:
        decoding: Seconds of one core.
        backbone: Seconds of one GPU, normalising the pictures included; without GPUs, of one of the cores.
        main: Seconds of one core in the main process, of which each GPU has one: pictures taken in, features written.
        clip_bytes: The file.
        feature_bytes: Its features.
    """

    decoding: float
    backbone: float
    main: float = 0.0
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
        decoders: Processes of each that decode; by default one a core for GPUs, and none without GPUs, where the cores
            decode and compute in turns.
    """

    number: int
    cores: int
    gpus: int
    network: float = float("inf")
    start: float = 0.0
    decoders: int | None = None


def work(costs: ClipCosts, machines: Machines, num_clips: int) -> dict[str, float]:
    """Seconds for which each of the things that clips share is busy, all machines alike."""
    clips = -(-num_clips // machines.number)
    network = clips * (costs.clip_bytes + costs.feature_bytes) / machines.network
    if machines.gpus == 0:
        return {"cores": clips * _on_cores_alone(costs, machines), "network": network}
    return {
        "cores": clips * (costs.decoding + costs.main) / machines.cores,
        "decoders": clips * costs.decoding / (machines.decoders or machines.cores),
        "main processes": clips * costs.main / machines.gpus,
        "GPUs": clips * costs.backbone / machines.gpus,
        "network": network,
    }


def _on_cores_alone(costs: ClipCosts, machines: Machines) -> float:
    """Seconds of a clip where the backbone's threads are on all cores, each of which the others wait for."""
    # The work of the main process is done by one core, before or beside the threads of the backbone.
    computing = costs.backbone / machines.cores + costs.main
    if not machines.decoders:
        return costs.decoding / machines.cores + computing
    # Whoever decodes takes a core from a thread that all others wait for. A decoder begins when a clip is taken from
    # the queue: only where decoding takes longer than the backbone do several hold it up at the same time.
    at_once = min(machines.decoders, machines.cores, max(1.0, costs.decoding / computing)) if computing else 1.0
    return costs.decoding / at_once + computing


def seconds_of(costs: ClipCosts, machines: Machines, num_clips: int) -> float:
    """How long the features of so many clips take."""
    return machines.start + max(work(costs, machines, num_clips).values())


def cores_that_help(costs: ClipCosts) -> float:
    """How many cores a GPU it takes until something else is busy longer than they are."""
    return (costs.decoding + costs.main) / max(costs.backbone, costs.main)


# docs/speed.md: 16 processes decode a clip of UCF-101 in 0.0056 s; an H100's share of a batch is 0.0015 s; the main
# process of a Xeon spends 0.0045 s. A clip is 0.5 MB, and its features are 16 frames of 6,656 numbers of 4 bytes.
H100_COSTS = ClipCosts(
    decoding=16 * 0.005608, backbone=0.001464, main=0.004496, clip_bytes=0.5e6, feature_bytes=16 * 6656 * 4
)
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
        "| clips | on | hours | longest busy | GPUs busy | cores a GPU that help | features |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for dataset, num_clips in DATASETS.items():
        for name, machines in MACHINES.items():
            busy = work(H100_COSTS, machines, num_clips)
            longest = max(busy, key=lambda thing: busy[thing])
            share = busy["GPUs"] / seconds_of(H100_COSTS, machines, num_clips)
            cells = [
                f"{dataset} ({num_clips:,})",
                name,
                f"{seconds_of(H100_COSTS, machines, num_clips) / HOUR:,.2f}",
                longest,
                f"{share:.0%}",
                f"{cores_that_help(H100_COSTS):.0f}",
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


NUM_DECODERS = 2
IN_TURNS, SINGLE = "the best precision", "float32"
BESIDE, INSTANT = "the best precision, 2 processes decode", "a device that takes no time, 2 processes decode"


def check_markdown(model_name: str, clips: Sequence[ClipFile], num_rounds: int) -> str:
    """Predicted and measured seconds of four extractions, as a table; costs and runs are timed in turns.

    Args:
        model_name: A directory or a Hub id; computed on the CPU.
        clips: All of them are extracted by each; more than `NUM_DECODERS`.
        num_rounds: How many times.
    """
    seconds = measured(model_name, clips, num_rounds)
    predicted = predictions(seconds, torch.get_num_threads(), len(clips))
    lines = ["| extraction | predicted | measured | predicted of measured |", "| --- | --- | --- | --- |"]
    for name, foretold in predicted.items():
        lines.append(f"| {name} | {foretold:.1f} s | {seconds[name]:.1f} s | {foretold / seconds[name]:.2f} |")
    return "\n".join(lines)


def predictions(seconds: Mapping[str, float], num_cores: int, num_clips: int) -> dict[str, float]:
    """Seconds of the four extractions, by what their parts take.

    Args:
        seconds: Of `measured`.
        num_cores: On which the backbone has a thread each.
        num_clips: That are extracted.
    """
    main = seconds["main process"]
    in_turns = ClipCosts(num_cores * seconds["decoding in turns"], num_cores * seconds["backbone"], main)
    single = replace(in_turns, backbone=num_cores * seconds["backbone, float32"])
    beside = replace(in_turns, decoding=seconds["decoding"])
    instant = replace(beside, backbone=0.0)

    alone = Machines(1, num_cores, 0, start=seconds["start"])
    fed = Machines(1, num_cores, 1, decoders=NUM_DECODERS)
    started = max(0.0, seconds["start of processes"] - seconds_of(instant, fed, NUM_DECODERS))
    return {
        IN_TURNS: seconds_of(in_turns, alone, num_clips),
        SINGLE: seconds_of(single, alone, num_clips),
        BESIDE: seconds_of(beside, replace(alone, start=started, decoders=NUM_DECODERS), num_clips),
        INSTANT: seconds_of(instant, replace(fed, start=started), num_clips),
    }


def measured(model_name: str, clips: Sequence[ClipFile], num_rounds: int) -> dict[str, float]:
    """Seconds of four extractions, and of what they are predicted from, timed in turns; see `check_markdown`."""
    best, processor = load_model(model_name, device="cpu")
    single, _ = load_model(model_name, precision="fp32", device="cpu")
    instant, on_device = InstantModel(best.config), DeviceNormalises.from_dict(processor.to_dict())
    num_cores = torch.get_num_threads()
    pictures, feeder = load_pictures(clips[0].path, processor).pictures, DeviceFeeder(processor, best.device)
    backbones = {"backbone": best.resnet_lstm, "backbone, float32": single.resnet_lstm}
    runs = {
        IN_TURNS: Run(best.resnet_lstm, processor, 0),
        SINGLE: Run(single.resnet_lstm, processor, 0),
        BESIDE: Run(best.resnet_lstm, processor, NUM_DECODERS),
    }
    fed = Run(instant, on_device, NUM_DECODERS)
    busy: dict[int, list[float]] = {NUM_DECODERS: [], len(clips): []}

    def decode(number: int) -> None:
        torch.set_num_threads(1)
        for clip in clips:
            load_pictures(clip.path, processor)
        torch.set_num_threads(num_cores)

    def decode_in_turns(number: int) -> None:
        requests = (PictureRequest(clip.path) for clip in clips)
        for _ in load_batches(processor, requests, batch_size=1, num_workers=0):
            pass

    @torch.inference_mode()
    def compute(model: ResNetLSTMModel, number: int) -> None:
        for _ in clips:
            model.extract_frame_features(feeder.pixel_values([pictures], mirrored=[False]))

    def feed(num_clips: int, number: int) -> None:
        with main_process_seconds(busy[num_clips]):
            fed.extract(clips[:num_clips])

    contenders = [
        Contender("decoding", decode, per=len(clips)),
        Contender("decoding in turns", decode_in_turns, per=len(clips)),
        *(Contender(name, partial(compute, model), per=len(clips)) for name, model in backbones.items()),
        Contender("start", lambda number: Run(instant, on_device, 0).extract([])),
        Contender("start of processes", partial(feed, NUM_DECODERS)),
        *(Contender(name, lambda number, run=run: run.extract(clips)) for name, run in runs.items()),  # type: ignore[misc]
        Contender(INSTANT, partial(feed, len(clips))),
    ]
    seconds = {name: float(np.median(times)) for name, times in time_in_turns(contenders, num_rounds, "runs").items()}
    of_all, of_few = (float(np.median(busy[number][-num_rounds:])) for number in (len(clips), NUM_DECODERS))
    # What the start costs the main process is no clip's.
    seconds["main process"] = max(0.0, of_all - of_few) / (len(clips) - NUM_DECODERS)
    return seconds


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
    if min(args.clips, len(clips)) <= NUM_DECODERS:
        parser.error(f"--check: needs more than {NUM_DECODERS} clips")
    chosen = clips[:: max(1, len(clips) // args.clips)][: args.clips]
    how = f"{processor_name()}, {torch.get_num_threads()} threads, {len(chosen)} clips, {args.rounds} rounds"
    sys.stdout.write(f"{how}\n\n{check_markdown(args.check, chosen, args.rounds)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
