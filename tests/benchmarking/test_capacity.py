from __future__ import annotations

from pathlib import Path

import pytest

from resnet_lstm.benchmarking.capacity import ClipCosts, Machines, main, seconds_of, work
from resnet_lstm.data import VideoFolder

COSTS = ClipCosts(decoding=0.08, backbone=0.002, clip_bytes=1e6, feature_bytes=1e6)


def test_what_is_busy_longest_decides() -> None:
    few_cores = Machines(number=1, cores=8, gpus=1, network=1e9, start=5.0)
    assert seconds_of(COSTS, few_cores, 1000) == pytest.approx(5 + 1000 * 0.08 / 8)
    many_cores = Machines(number=1, cores=80, gpus=1, network=1e9)
    assert seconds_of(COSTS, many_cores, 1000) == pytest.approx(1000 * 2e6 / 1e9)
    assert seconds_of(COSTS, Machines(1, 80, 1), 1000) == pytest.approx(1000 * 0.002)


def test_without_a_gpu_the_cores_do_all() -> None:
    assert work(COSTS, Machines(1, 2, 0), 100)["cores"] == pytest.approx(100 * (0.08 + 0.002) / 2)


def test_machines_share_the_clips_and_the_last_one_decides() -> None:
    assert seconds_of(COSTS, Machines(4, 1, 1), 9) == pytest.approx(3 * 0.08)


def test_the_plan_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.count("64 GPUs") == 3


def test_predictions_stand_beside_runs(
    model_dir: Path, tiny_dataset: VideoFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--check", str(model_dir), "--dataset", str(tiny_dataset.root), "--clips", "2", "--rounds", "1"]
    assert main(arguments) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.count("|") == 5]
    assert len(rows) == 6
    with pytest.raises(SystemExit, match="2"):
        main(["--check", str(model_dir)])
