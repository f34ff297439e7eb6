"""Full and read-only disks, outputs and caches that two processes share, and a clock that was put back."""

from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from clip_trees import file_bytes, make_clip
from resnet_lstm.data import VideoFolder
from resnet_lstm.whole_file import held, leased
from resnet_lstm_command import main

Run = Callable[..., str]


class SmallDisk:
    """A file system of its own, in memory.

    Attributes:
        path: Where it is mounted.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir()
        self._mount("size=1m")

    def become(self, options: str) -> None:
        """Change its size, or make it read-only."""
        self._mount(f"remount,{options}")

    def leave_room(self, num_bytes: int) -> None:
        """Leave so much of it free."""
        usage = shutil.disk_usage(self.path)
        self.become(f"size={usage.used + num_bytes}")

    def _mount(self, options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.path)]
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    """A disk that the test may fill."""
    try:
        disk = SmallDisk(tmp_path / "disk")
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount a tmpfs")
    yield disk
    # Lazily: OpenVINO keeps a model that it has read mapped for as long as it likes.
    subprocess.run(["umount", "--lazy", str(disk.path)], check=True)


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command; gives what it wrote on stdout, or where it must end with 2, on stderr."""

    def run_(*arguments: object, status: int = 0) -> str:
        found = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert found == status, err
        return err if status else out

    return run_


def extraction(folder: VideoFolder, backbone: Path, cache: Path) -> list[object]:
    options = ("--num-frames", "4", "--precision", "fp32")
    return ["extract", "--dataset", folder.root, "--backbone", backbone, *options, "--cache-dir", cache]


def is_full(error: str, path: Path) -> bool:
    return "No space left on device" in error and str(path) in error and "Make room and run it again" in error


def test_a_build_on_a_full_disk(disk: SmallDisk, run: Run, tmp_path: Path) -> None:
    for number in range(12):
        make_clip(tmp_path / "clips" / ("cook", "wash up")[number % 2] / f"{number}.mp4")
    build = ("build", "--from-folders", tmp_path / "clips", "--overwrite", "--output")
    run(*build, tmp_path / "whole")
    expected = file_bytes(tmp_path / "whole")
    run(*build, disk.path / "out")
    disk.leave_room(20_000)
    # What is there stays until the new one is whole.
    assert is_full(run(*build, disk.path / "out", status=2), disk.path / "out.incomplete")
    assert [path.name for path in disk.path.iterdir()] == ["out"]
    assert file_bytes(disk.path / "out") == expected
    disk.become("size=1m")
    run(*build, disk.path / "out")
    assert file_bytes(disk.path / "out") == expected


def test_an_extraction_on_a_full_disk(
    disk: SmallDisk, run: Run, tiny_dataset: VideoFolder, tiny_backbone: Path, tmp_path: Path
) -> None:
    run(*extraction(tiny_dataset, tiny_backbone, tmp_path / "whole"))
    disk.leave_room(40_000)
    assert is_full(run(*extraction(tiny_dataset, tiny_backbone, disk.path), status=2), disk.path)
    expected, there = file_bytes(tmp_path / "whole"), file_bytes(disk.path)
    assert 0 < len(there) < len(expected)
    assert there.items() <= expected.items()
    disk.become("size=1m")
    assert "were there already" in run(*extraction(tiny_dataset, tiny_backbone, disk.path))
    assert file_bytes(disk.path) == expected


def test_a_training_on_a_full_disk(
    disk: SmallDisk, run: Run, tiny_dataset: VideoFolder, tiny_backbone: Path, tmp_path: Path
) -> None:
    options = ("--num-frames", "4", "--lstm-hidden-size", "8", "--num-train-epochs", "2", "--no-baseline", "--resume")
    train = ["train", "--dataset", tiny_dataset.root, "--backbone", tiny_backbone, *options]
    train += ["--num-workers", "0", "--cache-dir", tmp_path / "cache", "--output"]
    run(*train, tmp_path / "whole" / "out")
    for num_bytes in (10_000, 600_000):  # not enough for a checkpoint, and for the model
        disk.leave_room(num_bytes)
        assert is_full(run(*train, disk.path / "out", status=2), disk.path / "out")
    disk.become("size=8m")
    assert "model, figures and card" in run(*train, disk.path / "out")
    for name in ("metrics.json", "model.safetensors", "predictions.csv"):
        assert (disk.path / "out" / name).read_bytes() == (tmp_path / "whole" / "out" / name).read_bytes()
    assert file_bytes(disk.path / "out").keys() == file_bytes(tmp_path / "whole" / "out").keys()


def test_an_export_on_a_full_disk(disk: SmallDisk, run: Run, trained_dir: Path, tiny_dataset: VideoFolder) -> None:
    model = disk.path / "model"
    disk.become("size=8m")
    shutil.copytree(trained_dir, model)
    before = file_bytes(model)
    disk.leave_room(10_000)
    export = ("export", model, "--dataset", tiny_dataset.root, "--checked-clips", "1", "--format", "openvino")
    error = run(*export, status=2)
    assert f"{model}/openvino/" in error
    assert "Is there room for it?" in error
    assert file_bytes(model) == before


def test_a_disk_that_may_only_be_read(
    disk: SmallDisk, run: Run, tiny_dataset: VideoFolder, tiny_backbone: Path, trained_dir: Path
) -> None:
    disk.become("size=8m")
    model = Path(shutil.copytree(trained_dir, disk.path / "model"))
    disk.become("ro")
    clip = next(tiny_dataset.root.rglob("*.mp4"))
    target = disk.path / "out"
    for command in (
        ("build", "--from-folders", clip.parents[2] / "train", "--output", target),
        extraction(tiny_dataset, tiny_backbone, target),
        ("train", "--dataset", tiny_dataset.root, "--backbone", tiny_backbone, "--output", target),
        ("export", model, "--format", "openvino"),
        ("predict", model, clip, "--csv", target),
    ):
        error = run(*command, status=2)
        assert "Read-only file system" in error
        assert str(disk.path) in error.splitlines()[-1]
    assert "answers" not in run("predict", model, clip)


def test_two_processes_on_one_output(
    run: Run, tiny_dataset: VideoFolder, tiny_backbone: Path, trained_dir: Path, tmp_path: Path
) -> None:
    make_clip(tmp_path / "clips" / "jump" / "1.mp4")
    out, model = tmp_path / "out", trained_dir / "openvino"
    for place, command in (
        (tmp_path / "out.incomplete", ("build", "--from-folders", tmp_path / "clips", "--output", out)),
        (out, ("train", "--dataset", tiny_dataset.root, "--backbone", tiny_backbone, "--output", out)),
        (model, ("export", trained_dir, "--format", "openvino", "--dataset", tiny_dataset.root)),
    ):
        place.mkdir()
        with held(place):
            assert f"{place}: another process is writing it. Wait until it has ended" in run(*command, status=2)
        assert list(place.iterdir()) == []


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="this system does not fork")
def test_what_was_held_is_free_though_a_process_was_forked_meanwhile(tmp_path: Path) -> None:
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
    with held(tmp_path), leased(tmp_path / "file") as ours:
        assert ours
        child.start()
    try:
        with held(tmp_path), leased(tmp_path / "file") as ours:
            assert ours
    finally:
        child.kill()
        child.join()


# Starts the command when as many others stand at the same gate.
AT_A_GATE = """
import sys, time
from pathlib import Path
from resnet_lstm.commands import extract, train
from resnet_lstm_command import main
gate, name, number, *arguments = sys.argv[1:]
(Path(gate) / name).touch()
while len(list(Path(gate).iterdir())) < int(number):
    time.sleep(0.01)
sys.exit(main(arguments))
"""


def test_jobs_at_the_same_time_fill_one_cache(
    run: Run, tiny_dataset: VideoFolder, tiny_backbone: Path, tmp_path: Path
) -> None:
    gate, cache, output = tmp_path / "gate", tmp_path / "shared", tmp_path / "model"
    gate.mkdir()
    extract = [*map(str, extraction(tiny_dataset, tiny_backbone, cache))]
    train = ["train", *extract[1:], "--output", str(output), "--num-train-epochs", "1", "--no-baseline"]
    commands = {"one": extract, "two": extract, "three": [*train, "--num-workers", "0"]}
    jobs = {
        name: subprocess.Popen(
            [sys.executable, "-c", AT_A_GATE, gate, name, str(len(commands)), *command],
            stdout=subprocess.PIPE,
            text=True,
        )
        for name, command in commands.items()
    }
    said = {name: job.communicate()[0] for name, job in jobs.items()}
    assert [job.returncode for job in jobs.values()] == [0, 0, 0]
    assert (output / "model.safetensors").is_file()
    for name in ("one", "two"):
        # Made here, or by one of the others and found there.
        counts = re.findall(r"(\d+) extracted, (\d+) were there already", said[name])
        assert [sum(map(int, split)) for split in counts] == [32, 4, 4]
    run(*extraction(tiny_dataset, tiny_backbone, tmp_path / "alone"))
    assert file_bytes(cache) == file_bytes(tmp_path / "alone")


def test_a_clock_that_was_put_back(run: Run, tiny_dataset: VideoFolder, tiny_backbone: Path, tmp_path: Path) -> None:
    for number in range(4):
        make_clip(tmp_path / "clips" / ("cook", "wash up")[number % 2] / f"{number}.mp4")
    build = ("build", "--from-folders", tmp_path / "clips", "--overwrite", "--output", tmp_path / "out")
    run(*build)
    run(*extraction(tiny_dataset, tiny_backbone, tmp_path / "cache"))
    before = file_bytes(tmp_path)
    in_a_year = time.time() + 365 * 86_400
    for path in tmp_path.rglob("*"):
        os.utime(path, (in_a_year, in_a_year))
    run(*build)
    assert "train: 0 extracted" in run(*extraction(tiny_dataset, tiny_backbone, tmp_path / "cache"))
    assert file_bytes(tmp_path) == before
