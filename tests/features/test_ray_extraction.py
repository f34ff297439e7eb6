"""What Ray promises: a worker that dies is started anew, and its shard is computed all the same."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from clip_trees import file_bytes
from conftest import SCRIPTS
from shard_fixtures import SameClips

HAS_RAY = importlib.util.find_spec("ray") is not None


def command(clips: SameClips, backbone: Path, output: Path, *options: str) -> list[str]:
    return [
        sys.executable, str(SCRIPTS / "extract_features.py"), "--dataset", str(clips.shards), "--output", str(output),
        "--backbone", str(backbone), "--num-workers", "0", "--num-views", "6", *options,
    ]  # fmt: skip


def writers(output: Path) -> dict[int, str]:
    """The processes that are at a file, each with its name, by the names under which they write."""
    found = {}
    for path in output.glob(".*.parquet.*"):
        name, _, process = path.name.rpartition(".")
        if process.isdecimal():
            found[int(process)] = name
    return found


@pytest.mark.skipif(not HAS_RAY, reason="Ray is not installed")
def test_a_worker_is_killed_and_the_features_are_those_of_one_process(
    same_clips: SameClips, tiny_backbone: Path, tmp_path: Path
) -> None:
    output = tmp_path / "by-ray"
    # One thread each, as a worker has it that shares two cores.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command(same_clips, tiny_backbone, output, "--ray-workers", "2"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        while not list(output.glob("*.parquet")) and process.poll() is None:
            time.sleep(0.01)
        while not (at_work := writers(output)) and process.poll() is None:
            time.sleep(0.001)
        killed = next(iter(at_work))
        os.kill(killed, signal.SIGKILL)
        printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "shards extracted by 2 workers" in printed
    alone = tmp_path / "alone"
    subprocess.run(command(same_clips, tiny_backbone, alone), check=True, capture_output=True, env=environment)
    whole = {name: content for name, content in file_bytes(output).items() if not name.startswith(".")}
    assert whole == file_bytes(alone)


@pytest.mark.skipif(HAS_RAY, reason="Ray is installed")
def test_without_ray_the_way_to_it_is_told(same_clips: SameClips, tiny_backbone: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        command(same_clips, tiny_backbone, tmp_path / "out", "--ray-workers", "2"),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 2
    assert "pip install 'resnet-lstm[ray]'" in run.stderr
    assert "Traceback" not in run.stderr
