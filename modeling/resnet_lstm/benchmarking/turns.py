"""Timing things in turns, A B C A B C ..., so that a machine that grows slower slows all of them alike."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from tqdm.auto import tqdm

from .figures import Figure


@dataclass(frozen=True)
class Contender:
    """Something to be timed.

    Attributes:
        name: What people call it.
        run: Does it once; told the number of the round, so that all contenders of a round can work on the same clip.
        per: How many units (clips, frames) one run does; its seconds are divided by them.
    """

    name: str
    run: Callable[[int], object]
    per: float = 1.0


def time_in_turns(
    contenders: Sequence[Contender], num_rounds: int, description: str = "", warm_up: bool = True
) -> dict[str, np.ndarray]:
    """Seconds a unit of each contender, `[num_rounds]`.

    Args:
        contenders: Run in this order in each round.
        num_rounds: How many rounds count.
        description: Shown beside the progress.
        warm_up: Run each once before, uncounted.
    """
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    total = (num_rounds + warm_up) * len(contenders)
    with tqdm(total=total, unit="run", desc=description, leave=False) as bar:
        for number in range(-1 if warm_up else 0, num_rounds):
            for contender in contenders:
                gc.collect()
                started = time.perf_counter()
                contender.run(max(number, 0))
                took = time.perf_counter() - started
                if number >= 0:
                    seconds[contender.name].append(took / contender.per)
                bar.update()
    return {name: np.array(times) for name, times in seconds.items()}


def ratios(part: str, seconds: dict[str, np.ndarray], reference: str, unit: str = "clip") -> list[Figure]:
    """Each contender as a multiple of one of them, round by round.

    Args:
        part: What was compared, for the table.
        seconds: Of `time_in_turns`.
        reference: The name of the contender that is 1.
        unit: What the seconds are for.
    """
    return [Figure.of(part, name, times, reference, seconds[reference], unit) for name, times in seconds.items()]
