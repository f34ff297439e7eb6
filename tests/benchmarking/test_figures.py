from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from resnet_lstm.benchmarking import Contender, Figure, figures_markdown, ratios, time_in_turns, write_figures


def test_contenders_take_turns_and_the_warm_up_does_not_count() -> None:
    calls: list[tuple[str, int]] = []

    def contender(name: str) -> Contender:
        return Contender(name, lambda number: calls.append((name, number)))

    seconds = time_in_turns([contender("a"), contender("b")], num_rounds=2)
    assert calls == [("a", 0), ("b", 0), ("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert {name: times.shape for name, times in seconds.items()} == {"a": (2,), "b": (2,)}


def test_a_ratio_is_taken_round_by_round() -> None:
    # The machine slows down threefold; the ratio does not.
    seconds = {"limit": np.array([1.0, 2.0, 3.0]), "ours": np.array([2.0, 4.0, 6.0])}
    limit, ours = ratios("part", seconds, "limit")
    assert (limit.median, limit.low, limit.high) == (1, 1, 1)
    assert (ours.median, ours.low, ours.high) == (2, 2, 2)
    assert (ours.seconds, ours.relative_to, ours.rounds) == (4, "limit", 3)


@pytest.fixture
def figures() -> list[Figure]:
    of_clips = ratios("a clip", {"limit": np.array([1.0, 1.0]), "ours": np.array([1.1, 1.3])}, "limit")
    return [*of_clips, Figure("memory", "1000 clips", "50 clips", 1.02, 1.02, 1.02, None, "", 1)]


def test_the_table_has_every_figure_under_its_part(figures: list[Figure]) -> None:
    lines = figures_markdown(figures).splitlines()
    assert [line.split("|")[1].strip() for line in lines] == [
        "what", "---", "**a clip**", "limit", "ours", "**memory**", "1000 clips",
    ]  # fmt: skip
    assert "| ours | 1.20 | 1.15 - 1.25 | limit | 1.2 a clip | 2 |" in lines


def test_figures_are_written_with_what_they_rest_on(figures: list[Figure], tmp_path: Path) -> None:
    write_figures(figures, {"dataset": "mine"}, tmp_path / "benchmark")
    written = json.loads((tmp_path / "benchmark" / "benchmark.json").read_text())
    assert written["dataset"] == "mine"
    assert [Figure(**figure) for figure in written["figures"]] == figures
    assert (tmp_path / "benchmark" / "benchmark.png").read_bytes().startswith(b"\x89PNG")
