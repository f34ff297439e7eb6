"""Jobs killed at random moments: what is there stays whole, and the re-run ends as if nothing had happened.

    python tests/kills.py --kills 50
    python tests/kills.py --kills 10 --jobs train export --seed 3

A job is a command in a process of its own, which is killed, told to end or interrupted three times in a row, from
nothing or over what it made before, and is then run to its end. That must come out as in a run that nobody disturbed:
the same bytes of a dataset, a feature cache and an export, the same metrics of a model, the same published files, and
no temporary file beside them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from transformers import ResNetConfig, ResNetModel, set_seed

from clip_trees import file_bytes
from hub_processes import TOKEN, hub_environment
from loopback_hub import LoopbackHub, running_hub
from published_models import write_trained_model
from resnet_lstm import ResNetLSTMConfig, ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import build_from_folders
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.inference.exports import Export, locate_export
from resnet_lstm.training import is_finished
from resnet_lstm_command import run_command

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
REPOSITORY = "someone/killed"
# An interrupted command may end what it is at; one that a signal does not reach is killed, and counted.
_SECONDS_TO_END = 30
_SECONDS_TO_FINISH = 300

Outcome = Mapping[str, bytes]


@dataclass(frozen=True)
class Job:
    """A command that is killed.

    Attributes:
        arguments: Its name, and what follows.
        clear: Makes it as if the command had never been run.
        outcome: What it has made, without what differs between two runs that nobody disturbs.
        is_whole: Whether what a killed command leaves is fit for use, or is not there, given what shall come out.
    """

    arguments: Sequence[str]
    clear: Callable[[], None]
    outcome: Callable[[], Outcome]
    is_whole: Callable[[Outcome], bool]


@dataclass
class Findings:
    """What came of the kills of a job.

    Attributes:
        kills: How many processes were sent which signal.
        too_late: How many had ended before.
        reruns: How many runs to the end were compared.
        differences: What differed, or was not whole, each with the number of its round.
        stuck: The rounds in which a process did not end on a signal.
        seconds: Of all of it.
    """

    kills: Counter[str] = field(default_factory=Counter)
    too_late: int = 0
    reruns: int = 0
    differences: list[str] = field(default_factory=list)
    stuck: list[int] = field(default_factory=list)
    seconds: float = 0.0

    def __bool__(self) -> bool:
        return bool(self.differences or self.stuck)

    def __str__(self) -> str:
        kills = ", ".join(f"{count} {name}" for name, count in sorted(self.kills.items()))
        lines = [
            f"{kills}, {self.too_late} too late; {self.reruns} re-runs, {self.seconds:.0f} s",
            f"differences: {len(self.differences)}",
        ]
        return "\n  ".join([*lines, *self.differences, f"stuck: {self.stuck}"])


class CommandServer:
    """A process of one thread in which all is loaded, and which forks for each command.

    A fork of a process with threads may wait for ever for a lock that one of them held, and hear no signal.
    """

    def __init__(self, environment: Mapping[str, str], log: Path) -> None:
        threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        alone = {**threads, "JE_ARROW_MALLOC_CONF": "background_thread:false"}
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [sys.executable, __file__, "--serve"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                bufsize=0,  # else `select` would not know of a line that was read with the one before
                env={**environment, **alone},
            )
        assert self._answer(_SECONDS_TO_FINISH) == b"ready\n", log.read_text()

    def start(self, arguments: Sequence[str]) -> int:
        """Start a command; gives its process."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(list(arguments)).encode() + b"\n")
        return int(self._answer(_SECONDS_TO_FINISH))

    def wait(self, seconds: float) -> int | None:
        """The exit status of the command that was started, negative for a signal; None if it still runs then."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            return None
        return int(self._answer(_SECONDS_TO_FINISH))

    def _answer(self, seconds: float) -> bytes:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            raise TimeoutError("the server of commands does not answer")
        return self._process.stdout.readline()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def serve() -> None:
    """Run what is asked for on stdin, each command in a fork; answer its process and then its exit status."""
    for name in ("build", "extract", "train", "export", "publish"):
        import_module(f"resnet_lstm.commands.{name}")
    assert len(list(Path("/proc/self/task").iterdir())) == 1, "this process has threads, and may not be forked"
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.dup2(os.open(os.devnull, os.O_RDWR), 0)
            os.dup2(2, 1)
            status = 3
            with contextlib.suppress(KeyboardInterrupt):
                status = run_command(name, arguments)
            sys.stdout.flush()
            os._exit(status)
        sys.stdout.write(f"{process}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])}\n")
        sys.stdout.flush()


class World:
    """What the jobs work on, and where.

    Args:
        folder: For all files.
        hub: What is published to.
    """

    def __init__(self, folder: Path, hub: LoopbackHub) -> None:
        self.folder, self.hub = folder, hub
        self.clips = write_generated_clips(
            folder / "clips", 8, classes=["brighten", "darken"], size=(32, 32), num_frames=8
        )
        self.dataset = build_from_folders(self.clips, folder / "dataset").root
        set_seed(0)
        self.backbone = folder / "backbone"
        sizes: dict[str, Any] = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"}
        ResNetModel(ResNetConfig(**sizes)).save_pretrained(self.backbone)
        self.out = folder / "out"
        self.model = self.out / "model"
        model = ResNetLSTMForVideoClassification.from_backbone(
            self.backbone, id2label={0: "brighten", 1: "darken"}, num_frames=4, lstm_hidden_size=8
        )
        processor = ResNetLSTMVideoProcessor(size={"height": 32, "width": 32}, num_frames=4)
        write_trained_model(self.model, model.eval(), processor)
        self.jobs = {
            "build": self._build(),
            "extract": self._extract(),
            "train": self._train(),
            "export": self._export(),
            "publish": self._publish(),
        }

    def environment(self) -> dict[str, str]:
        """Of the processes: temporary files go where they are looked for."""
        temporary = self.folder / "tmp"
        temporary.mkdir()
        return hub_environment(
            self.hub.url,
            self.folder / "home",
            HF_TOKEN=TOKEN,
            HF_HUB_DISABLE_XET="1",
            HF_HUB_DISABLE_PROGRESS_BARS="1",
            TMPDIR=str(temporary),
            CI="true",  # else OpenVINO reports each step of a conversion to its makers, or tries to
            RESNET_LSTM_CACHE=str(self.out / "cache"),
        )

    def _build(self) -> Job:
        target = self.out / "built"
        return Job(
            ("build", "--from-folders", str(self.clips), "--output", str(target), "--overwrite"),
            lambda: _remove(self.out, "built*"),
            lambda: _files(self.out, "built*"),
            lambda expected: not target.exists() or _files(self.out, "built") == expected,
        )

    def _extract(self) -> Job:
        return Job(
            ("extract", "--dataset", str(self.dataset), "--backbone", str(self.backbone), "--num-frames", "4"),
            lambda: _remove(self.out, "cache"),
            lambda: _files(self.out, "cache"),
            lambda expected: _visible(_files(self.out, "cache")).items() <= expected.items(),
        )

    def _train(self) -> Job:
        target = self.out / "trained"
        arguments = ("--num-frames", "4", "--lstm-hidden-size", "8", "--num-train-epochs", "3", "--num-workers", "0")
        return Job(
            (
                *("train", "--dataset", str(self.dataset), "--output", str(target), "--backbone", str(self.backbone)),
                *(*arguments, "--checkpoint-interval-seconds", "0", "--train-batch-size", "4", "--resume"),
            ),
            lambda: _remove(self.out, "trained*"),
            lambda: _without_times(_files(self.out, "trained*")),
            lambda expected: (
                not is_finished(target) or _visible(_without_times(_files(self.out, "trained"))) == expected
            ),
        )

    def _export(self) -> Job:
        return Job(
            (
                *("export", str(self.model), "--format", "openvino", "--dataset", str(self.dataset)),
                *("--checked-clips", "1"),
            ),
            lambda: _remove(self.model, "openvino"),
            lambda: _files(self.model, "openvino"),
            lambda expected: not self._is_exported() or _visible(_files(self.model, "openvino")) == expected,
        )

    def _is_exported(self) -> bool:
        config = ResNetLSTMConfig.from_pretrained(self.model)
        try:
            return locate_export(str(self.model), Export("openvino"), config).is_file()
        except (FileNotFoundError, ValueError):  # what a user of the model is told
            return False

    def _publish(self) -> Job:
        return Job(
            ("publish", "model", str(self.model), "--repo", REPOSITORY),
            self.hub.reset,
            lambda: self.hub.content(REPOSITORY),
            lambda expected: not self.hub.repositories or self.hub.content(REPOSITORY) in ({}, expected),
        )


def _files(root: Path, pattern: str) -> dict[str, bytes]:
    return {
        f"{found.name}/{name}": content
        for found in sorted(root.glob(pattern))
        for name, content in file_bytes(found).items()
    }


def _visible(files: dict[str, bytes]) -> dict[str, bytes]:
    """Without what nobody reads, since it is temporary."""
    return {name: content for name, content in files.items() if "/." not in name}


def _remove(root: Path, pattern: str) -> None:
    for found in root.glob(pattern):
        shutil.rmtree(found)


def _without_times(files: dict[str, bytes]) -> dict[str, bytes]:
    """The files of a model, without the seconds that its training took, which are written down in some of them."""
    return {
        name: re.sub(rb"(seconds(?: of training)?\W+)[\d.]+|card_sha256.*", rb"\1", content)
        if Path(name).suffix in (".json", ".jsonl", ".md")
        else content
        for name, content in files.items()
    }


def kill_job(server: CommandServer, job: Job, num_kills: int, generator: np.random.Generator) -> Findings:
    """Kill a job so many times, three in a row."""
    findings, began = Findings(), time.monotonic()
    job.clear()
    started = time.monotonic()
    server.start(job.arguments)
    status = server.wait(_SECONDS_TO_FINISH)
    seconds = time.monotonic() - started
    if status != 0:
        raise ValueError(f"{job.arguments}: ends with {status} even if nobody disturbs it.")
    expected = job.outcome()
    number = 0
    while findings.kills.total() < num_kills:
        if generator.integers(2):
            job.clear()
        for kind in generator.permutation(SIGNALS)[: num_kills - findings.kills.total()]:
            process = server.start(job.arguments)
            if server.wait(float(generator.uniform(0, seconds))) is not None:
                findings.too_late += 1
                job.clear()
                continue
            os.kill(process, kind)
            findings.kills[signal.Signals(kind).name] += 1
            if server.wait(_SECONDS_TO_END) is None:
                findings.stuck.append(number)
                os.kill(process, signal.SIGKILL)
                server.wait(_SECONDS_TO_END)
            if not job.is_whole(expected):
                findings.differences.append(f"round {number}: not whole after {signal.Signals(kind).name}")
        server.start(job.arguments)
        status = server.wait(_SECONDS_TO_FINISH)
        findings.reruns += 1
        difference = _difference(job.outcome(), expected) if status == 0 else f"the re-run ends with {status}"
        if difference:
            findings.differences.append(f"round {number}: {difference}")
            job.clear()
        number += 1
    findings.seconds = time.monotonic() - began
    return findings


def _difference(now: Outcome, expected: Outcome) -> str:
    names = sorted(name for name in now.keys() | expected.keys() if now.get(name) != expected.get(name))
    return ", ".join(
        f"{name} {'is missing' if name not in now else 'differs' if name in expected else 'is left over'}"
        for name in names
    )


@contextlib.contextmanager
def running_world(folder: Path) -> Iterator[tuple[World, CommandServer]]:
    """A world and its server, for as long as the block lasts."""
    with running_hub(folder / "hub") as hub:
        world = World(folder, hub)
        server = CommandServer(world.environment(), Path(os.environ.get("KILLS_LOG", folder / "log.txt")))
        try:
            yield world, server
        finally:
            server.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=50, help="of each job (%(default)s)")
    parser.add_argument("--jobs", nargs="+", help="which (all)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (%(default)s)")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve()
        return 0
    found = False
    with TemporaryDirectory() as folder, running_world(Path(folder)) as (world, server):
        for name in args.jobs or world.jobs:
            findings = kill_job(server, world.jobs[name], args.kills, np.random.default_rng(args.seed))
            sys.stdout.write(f"{name}: {findings}\n")
            sys.stdout.flush()
            found |= bool(findings)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
