"""Mutated clips through the decoder and the processor: each must give frames or the one error, in time and in memory.

    python tests/fuzz.py --minutes 60
    python tests/fuzz.py --minutes 10 --clips path/to/real/clips --keep findings/

A finding is kept as a file, and its number makes it again: `--first NUMBER --cases 1`.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import multiprocessing
import resource
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from tqdm.auto import tqdm

from hostile_videos import CONTAINERS_AND_CODECS, mutated, write_stream

# Of computing; on a machine that has much else to do, waiting for the processor is no hang.
HANG_SECONDS = 10
_STUCK_SECONDS = 120
MEMORY_BYTES = 2 * 2**30
_NUM_FRAMES = 24
_CLIP_SUFFIXES = (".avi", ".mp4", ".webm", ".mkv", ".mov")


@dataclass
class Findings:
    """What came of the cases.

    Attributes:
        outcomes: How many gave frames, and how many which error.
        hangs: The numbers of those that computed for longer than `HANG_SECONDS`, or did nothing for minutes.
        crashes: Of those that took their process down, with its exit status.
        uncaught: Of those that raised something else than the one error, with what.
        largest_bytes: The most memory that a process came to hold.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    hangs: list[int] = field(default_factory=list)
    crashes: dict[int, int | None] = field(default_factory=dict)
    uncaught: dict[int, str] = field(default_factory=dict)
    largest_bytes: int = 0

    @property
    def num_cases(self) -> int:
        """How many were tried."""
        return sum(self.outcomes.values())

    def __bool__(self) -> bool:
        return bool(self.hangs or self.crashes or self.uncaught)

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count} {outcome}" for outcome, count in self.outcomes.most_common())
        lines = [f"{self.num_cases} cases: {outcomes}", f"largest process: {self.largest_bytes / 2**20:.0f} MiB"]
        lines += [f"hangs: {self.hangs}", f"crashes: {self.crashes}", f"uncaught: {self.uncaught}"]
        return "\n".join(lines)


def seeds(clips: Path | None = None) -> list[bytes]:
    """The files that are mutated: one of each container and codec, and real ones where a folder is given."""
    generator = np.random.default_rng(0)
    pictures = list(generator.integers(0, 255, (_NUM_FRAMES, 6, 8, 3), np.uint8).repeat(8, 1).repeat(8, 2))
    large = [picture.repeat(2, 0).repeat(2, 1) for picture in pictures]
    files = []
    with TemporaryDirectory() as folder:
        for suffix, codec in CONTAINERS_AND_CODECS:
            path = Path(folder) / f"clip{suffix}"
            shown = large if codec == "libsvtav1" else pictures
            write_stream(path, codec, shown, options={"g": "8"})
            files.append(path.read_bytes())
    if clips is not None:
        found = sorted(path for path in clips.rglob("*") if path.suffix in _CLIP_SUFFIXES)
        files += [path.read_bytes() for path in found[:: max(1, len(found) // len(files))]]
    return files


def case(files: Sequence[bytes], number: int) -> bytes:
    """The mutated file of a number."""
    return mutated(files[number % len(files)], np.random.default_rng(number))


def _work(connection: Connection, files: Sequence[bytes]) -> None:
    from resnet_lstm import ResNetLSTMVideoProcessor, VideoDecodingError, probe_video

    logging.disable()
    used_bytes = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used_bytes + MEMORY_BYTES,) * 2)
    processor = ResNetLSTMVideoProcessor(size={"height": 32, "width": 32})
    connection.send(("ready", 0))
    for number in iter(connection.recv, None):
        computed = int(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (computed + HANG_SECONDS + 1, resource.RLIM_INFINITY))
        content = case(files, number)
        try:
            probe_video(content)
            frames = processor(content, return_tensors="np")["pixel_values"]
            outcome = "gave frames" if frames.shape == (1, 16, 3, 32, 32) else f"! shape {frames.shape}"
        except VideoDecodingError as error:
            message = str(error)
            outcome = "gave the error" if message.startswith("<") and "\n" not in message else f"! message {message}"
        except BaseException as error:
            outcome = f"! {type(error).__name__}: {error}"
        connection.send((outcome, _most_held_bytes()))


def _most_held_bytes() -> int:
    """The most memory that this process held; `getrusage` counts what its parent held when it was started too."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM:"))
    return 1024 * int(line.split()[1])


class _Worker:
    """A process that tries one case after the other, and is replaced when it hangs or dies."""

    def __init__(self, files: Sequence[bytes]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(theirs, files), daemon=True)
        self.process.start()
        theirs.close()
        self.connection.recv()

    def try_case(self, number: int) -> tuple[str, int]:
        """The outcome and the process's memory.

        Raises:
            TimeoutError: There is none in time.
            EOFError: The process has died.
        """
        self.connection.send(number)
        if not self.connection.poll(_STUCK_SECONDS):
            raise TimeoutError
        try:
            outcome: tuple[str, int] = self.connection.recv()
        except EOFError:
            self.process.join()
            if self.process.exitcode == -signal.SIGXCPU:
                raise TimeoutError from None
            raise
        return outcome

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()


def fuzz(
    files: Sequence[bytes], numbers: Iterator[int], *, num_workers: int = 1, keep: Path | None = None
) -> Findings:
    """Try the cases of some numbers.

    Args:
        files: What is mutated, see `seeds`.
        numbers: Which; they may end at any time.
        num_workers: Processes.
        keep: A folder for the files of findings.
    """
    findings, lock = Findings(), threading.Lock()

    def note(number: int, outcome: str) -> None:
        findings.outcomes["was found" if outcome.startswith("!") else outcome] += 1
        if outcome.startswith("!") and keep is not None:
            keep.mkdir(parents=True, exist_ok=True)
            (keep / f"{number}.bin").write_bytes(case(files, number))

    def work() -> None:
        worker = _Worker(files)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            try:
                outcome, num_bytes = worker.try_case(number)
            except (TimeoutError, EOFError, ConnectionError) as error:
                worker.end()
                status = worker.process.exitcode
                worker = _Worker(files)
                with lock:
                    if isinstance(error, TimeoutError):
                        findings.hangs.append(number)
                    else:
                        findings.crashes[number] = status
                    note(number, "! hang or crash")
                continue
            with lock:
                findings.largest_bytes = max(findings.largest_bytes, num_bytes)
                note(number, outcome)
                if outcome.startswith("!"):
                    findings.uncaught[number] = outcome[2:]
        worker.end()

    threads = [threading.Thread(target=work) for _ in range(num_workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return findings


def _until(end: float, numbers: Iterator[int]) -> Iterator[int]:
    return itertools.takewhile(lambda _: time.monotonic() < end, numbers)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60, help="how long (%(default)s)")
    parser.add_argument("--cases", type=int, help="how many at most")
    parser.add_argument("--first", type=int, default=0, help="number of the first case (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="processes (%(default)s)")
    parser.add_argument("--clips", type=Path, help="a folder of real clips, which are mutated too")
    parser.add_argument("--keep", type=Path, help="a folder for what is found")
    args = parser.parse_args()
    numbers = itertools.count(args.first) if args.cases is None else iter(range(args.first, args.first + args.cases))
    started = time.monotonic()
    numbers = _until(started + 60 * args.minutes, numbers)
    shown = iter(tqdm(numbers, total=args.cases, unit="case", mininterval=1))
    findings = fuzz(seeds(args.clips), shown, num_workers=args.workers, keep=args.keep)
    sys.stdout.write(f"{findings}\n{findings.num_cases / (time.monotonic() - started):.1f} cases a second\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
