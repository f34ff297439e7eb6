from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from resnet_lstm.benchmarking.capacity import ClipCosts, Machines, main, predictions, seconds_of, work
from resnet_lstm.data import VideoFolder

COSTS = ClipCosts(decoding=0.08, backbone=0.002, main=0.0004, clip_bytes=1e6, feature_bytes=1e6)


def test_what_is_busy_longest_decides() -> None:
    few_cores = Machines(number=1, cores=8, gpus=1, network=1e9, start=5.0)
    assert seconds_of(COSTS, few_cores, 1000) == pytest.approx(5 + 1000 * 0.0804 / 8)
    many_cores = Machines(number=1, cores=80, gpus=1, network=1e9)
    assert seconds_of(COSTS, many_cores, 1000) == pytest.approx(1000 * 2e6 / 1e9)
    assert seconds_of(COSTS, Machines(1, 80, 1), 1000) == pytest.approx(1000 * 0.002)
    assert seconds_of(COSTS, Machines(1, 80, 1, decoders=4), 1000) == pytest.approx(1000 * 0.08 / 4)


def test_a_gpu_takes_no_more_than_its_main_process_gives_it() -> None:
    costs = replace(COSTS, main=0.004)
    assert seconds_of(costs, Machines(1, 80, 1), 1000) == pytest.approx(1000 * 0.004)
    assert seconds_of(costs, Machines(1, 80, 4), 1000) == pytest.approx(1000 * 0.084 / 80)


def test_without_a_gpu_decoding_and_the_backbone_have_all_cores_in_turns_and_the_main_process_one() -> None:
    assert work(COSTS, Machines(1, 2, 0), 100)["cores"] == pytest.approx(100 * ((0.08 + 0.002) / 2 + 0.0004))


def test_a_decoder_beside_the_backbone_holds_up_all_of_its_threads() -> None:
    costs = ClipCosts(decoding=0.02, backbone=2 * 0.1, main=0.004)
    beside = Machines(1, 2, 0, decoders=2)
    assert seconds_of(costs, beside, 10) == pytest.approx(10 * (0.02 + 0.1 + 0.004))
    assert seconds_of(costs, beside, 10) > seconds_of(costs, Machines(1, 2, 0), 10)
    # Where the backbone is waiting for clips, both decode.
    assert seconds_of(replace(costs, decoding=1.0), beside, 10) == pytest.approx(10 * (1.0 / 2 + 0.1 + 0.004))


def test_machines_share_the_clips_and_the_last_one_decides() -> None:
    assert seconds_of(COSTS, Machines(4, 1, 1), 9) == pytest.approx(3 * 0.0804)


def test_what_is_measured_of_the_parts_counts_where_it_is() -> None:
    seconds = {
        "decoding": 0.02, "decoding in turns": 0.012, "backbone": 0.1, "backbone, float32": 0.4,
        "main process": 0.004, "start": 0.2, "start of processes": 0.5,
    }  # fmt: skip
    predicted = list(predictions(seconds, num_cores=2, num_clips=20).values())
    started = 0.5 - 2 * 0.012  # two clips were extracted
    assert predicted == pytest.approx(
        [
            0.2 + 20 * (0.012 + 0.1 + 0.004),
            0.2 + 20 * (0.012 + 0.4 + 0.004),
            started + 20 * (0.02 + 0.1 + 0.004),
            started + 20 * (0.02 + 0.004) / 2,
        ]
    )


def test_the_plan_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert capsys.readouterr().out.count("64 GPUs") == 3


def test_predictions_stand_beside_runs(
    model_dir: Path, tiny_dataset: VideoFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--check", str(model_dir), "--dataset", str(tiny_dataset.root), "--clips", "4", "--rounds", "1"]
    assert main(arguments) == 0
    rows = [line for line in capsys.readouterr().out.splitlines() if line.count("|") == 5]
    assert len(rows) == 6
    for too_few in (arguments[:2], [*arguments, "--clips", "2"]):
        with pytest.raises(SystemExit, match="2"):
            main(too_few)
