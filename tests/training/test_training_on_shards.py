from __future__ import annotations

import csv
import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import fsspec
import pytest
import torch
from pyarrow.parquet import ParquetFile
from torch.utils.data import DataLoader

from conftest import SCRIPTS
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.commands import train
from resnet_lstm.data import Clip
from resnet_lstm.features import (
    UNIFORM,
    FeatureCache,
    FeatureShards,
    clip_files,
    extract_features,
    training_views,
)
from resnet_lstm.features.feature_files import (
    MANIFEST_FILE,
    ROW_GROUP_BYTES,
    FeatureFileWriter,
    footer_of,
    manifest,
    manifest_text,
)
from resnet_lstm.training import ResumeError
from resnet_lstm.training.datasets import FeatureDataset
from resnet_lstm.training.window_order import order_of
from resnet_lstm_command import run_command
from shard_fixtures import SameClips

COMMON = ["--num-frames", "6", "--num-views", "2"]
# With row groups of one shard each, this holds two of the four training shards.
SMALL_BUFFER = str(20 * 2 * 6 * 40 * 4 / 2**30)


class Runs:
    """Trains on the same clips, from shards of their features and from a VideoFolder."""

    def __init__(self, clips: SameClips, backbone: Path, root: Path) -> None:
        self.clips, self.backbone, self.root = clips, backbone, root
        self.features = root / "features"
        assert (
            run_command("extract", [*self.dataset_options(clips.shards), "--output", str(self.features), *COMMON]) == 0
        )

    def dataset_options(self, path: Path | str) -> list[str]:
        return ["--dataset", str(path), "--backbone", str(self.backbone), *self.cache]

    def arguments(self, output: str, dataset: Path | str, *options: str) -> list[str]:
        return [
            *self.dataset_options(dataset), "--output", str(self.root / output), *COMMON, "--lstm-hidden-size", "16",
            "--train-batch-size", "8", "--learning-rate", "0.01", "--num-train-epochs", "3",
            "--early-stopping-patience", "0", "--checkpoint-interval-seconds", "0", *options,
        ]  # fmt: skip

    def train(self, output: str, dataset: Path | str, *options: str) -> None:
        assert run_command("train", self.arguments(output, dataset, *options)) == 0

    def resume(self, output: str, dataset: Path, *options: str) -> None:
        train.run(train.parse_arguments(self.arguments(output, dataset, *options, "--resume")))

    @property
    def cache(self) -> list[str]:
        return ["--cache-dir", str(self.root / "cache")]

    def figures(self, output: str, part: str = ".") -> dict[str, object]:
        metrics = json.loads((self.root / output / part / "metrics.json").read_text())
        return {name: value for name, value in metrics.items() if name not in ("model", "dataset")}

    def predictions(self, output: str) -> list[dict[str, str]]:
        with (self.root / output / "predictions.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def runs(same_clips: SameClips, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> Runs:
    return Runs(same_clips, tiny_backbone, tmp_path_factory.mktemp("runs"))


def test_metrics_are_those_of_training_on_a_video_folder(runs: Runs) -> None:
    runs.train("local", runs.clips.folder.root)
    runs.train("streamed", runs.features)
    assert runs.figures("streamed") == runs.figures("local")
    assert runs.figures("streamed", "baseline") == runs.figures("local", "baseline")
    assert runs.predictions("streamed") == runs.predictions("local")
    logs = [(runs.root / output / "training_log.jsonl").read_text().splitlines() for output in ("local", "streamed")]
    for line, other in zip(*logs, strict=True):
        assert {**json.loads(line), "seconds": 0} == {**json.loads(other), "seconds": 0}


def test_all_the_way_from_an_object_store_comes_to_the_same(runs: Runs) -> None:
    store = fsspec.filesystem("memory")
    store.put(str(runs.clips.shards), "/bucket/clips", recursive=True)
    output = runs.root / "features of the store"
    extract = [*runs.dataset_options("memory://bucket/clips/*.tar"), "--output", str(output), *COMMON]
    assert run_command("extract", extract) == 0
    parts = sorted(path.name for path in runs.features.glob("*.parquet"))
    assert sorted(path.name for path in output.glob("*.parquet")) == parts
    store.put(str(output), "/bucket/features", recursive=True)
    options = ("--no-baseline", "--shuffle-buffer", SMALL_BUFFER)
    for name, dataset in (("here", runs.features), ("there", "memory://bucket/features")):
        runs.train(name, dataset, *options)
        evaluation = ["--dataset", str(dataset), "--output", str(runs.root / f"{name} again"), *runs.cache]
        assert run_command("evaluate", [str(runs.root / name), *evaluation]) == 0
    assert runs.figures("there") == runs.figures("here") == runs.figures("there again")
    assert runs.predictions("there") == runs.predictions("here") == runs.predictions("there again")


def test_a_killed_run_that_streams_more_than_its_buffer_resumes_to_the_same_model(runs: Runs) -> None:
    buffer = ("--shuffle-buffer", SMALL_BUFFER)
    runs.train("unbroken", runs.features, *buffer)
    command = [sys.executable, str(SCRIPTS / "train.py"), *runs.arguments("killed", runs.features, *buffer)]
    checkpoint = runs.root / "killed" / "checkpoint.safetensors"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not checkpoint.is_file() and process.poll() is None:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert checkpoint.is_file()
    with pytest.raises(ResumeError, match="buffer_bytes"):
        runs.resume("killed", runs.features)
    runs.resume("killed", runs.features, *buffer)
    assert runs.figures("killed") == runs.figures("unbroken")
    assert runs.predictions("killed") == runs.predictions("unbroken")
    weights = [(runs.root / output / "model.safetensors").read_bytes() for output in ("killed", "unbroken")]
    assert weights[0] == weights[1]


def test_evaluate_reads_shards_and_says_the_same_as_on_clips(runs: Runs) -> None:
    runs.train("evaluated", runs.clips.folder.root, "--no-baseline", "--num-train-epochs", "1")
    model = str(runs.root / "evaluated")
    for name, dataset in (("by-clips", runs.clips.folder.root), ("by-shards", runs.features)):
        output = str(runs.root / name)
        assert run_command("evaluate", [model, "--dataset", str(dataset), "--output", output, *runs.cache]) == 0
    assert runs.figures("by-shards") == runs.figures("by-clips")
    assert runs.predictions("by-shards") == runs.predictions("by-clips")


def test_what_needs_clips_is_refused_on_features(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = runs.arguments("tuned", runs.features, "--unfreeze", "last_stage")
    assert run_command("train", arguments) == 2
    assert "features: holds features and no clips. unfreeze=last_stage needs a VideoFolder." in capsys.readouterr().err
    assert run_command("train", runs.arguments("more", runs.features, "--num-views", "3")) == 2
    assert "holds no view random-2, but uniform, random-1-flip" in capsys.readouterr().err
    assert run_command("train", runs.arguments("clips", runs.clips.shards)) == 2
    assert "clips in shards. Make features of them first: resnet-lstm extract" in capsys.readouterr().err
    assert run_command("train", runs.arguments("frames", runs.features, "--num-frames", "7")) == 2
    assert "processor: num_frames: 6 there, 7 here" in capsys.readouterr().err


def features_of(runs: Runs, buffer_bytes: int) -> FeatureDataset:
    """The training clips, of which the buffer holds so much."""
    shards = FeatureShards.open(runs.features, buffer_bytes)
    labels = [shards.labels.index(clip.label) for clip in shards.clips("train")]
    return FeatureDataset(clip_files(shards, "train"), labels, shards, training_views(2), seed=3)


def test_clips_come_in_another_order_each_epoch_and_each_row_group_once(runs: Runs) -> None:
    buffer_bytes = math.ceil(float(SMALL_BUFFER) * 2**30)
    dataset, again = features_of(runs, buffer_bytes), features_of(runs, buffer_bytes)
    shards = dataset.cache
    assert isinstance(shards, FeatureShards)
    order = order_of(dataset)
    assert order is not None
    assert order_of(features_of(runs, 2**30)) is None
    epochs = []
    for epoch in range(3):
        dataset.set_epoch(epoch)
        again.set_epoch(epoch)
        epochs.append(list(order))
        assert sorted(epochs[-1]) == list(range(len(dataset)))
        assert epochs[-1] == list(order_of(again) or ())
        groups = [shards.row_group(dataset.clips[index].sha256, UNIFORM) for index in epochs[-1]]
        for position in range(len(groups)):
            # Those that have come and will come again have to be held.
            held = set(groups[: position + 1]) & set(groups[position:])
            assert sum(map(shards.row_group_bytes, held)) <= buffer_bytes
        assert len(set(groups[: len(groups) // 3])) > 1
    assert epochs[0] != epochs[1] != epochs[2]


def test_batches_that_stream_are_those_of_the_cache(runs: Runs, tiny_backbone: Path, tmp_path: Path) -> None:
    dataset = features_of(runs, math.ceil(float(SMALL_BUFFER) * 2**30))
    model = ResNetLSTMForVideoClassification.from_backbone(tiny_backbone).resnet_lstm
    processor = ResNetLSTMVideoProcessor(num_frames=6)
    cache = FeatureCache(tmp_path, model, processor, "auto")
    by_content = {clip.sha256: clip for clip in clip_files(runs.clips.folder, "train")}
    files = [by_content[clip.sha256] for clip in dataset.clips]
    extract_features(model, processor, cache, files, dataset.views)
    local = FeatureDataset(files, dataset.labels, cache, dataset.views, dataset.seed)
    for epoch in range(2):
        dataset.set_epoch(epoch)
        local.set_epoch(epoch)
        order = order_of(dataset)
        assert order is not None
        loaders = [DataLoader(source, batch_size=5, sampler=order) for source in (dataset, local)]
        for batch, expected in zip(*loaders, strict=True):
            assert batch.keys() == expected.keys()
            for name, tensor in batch.items():
                assert torch.equal(tensor, expected[name]), name


READ_ALL = """
import resource, sys
from pathlib import Path
from torch.utils.data import DataLoader
from resnet_lstm.features import FeatureShards, UNIFORM, clip_files
from resnet_lstm.training.datasets import FeatureDataset
from resnet_lstm.training.window_order import order_of

shards = FeatureShards.open(Path(sys.argv[1]), int(sys.argv[2]))
labels = [shards.labels.index(clip.label) for clip in shards.clips("train")]
dataset = FeatureDataset(clip_files(shards, "train"), labels, shards, [UNIFORM])
most = []
for epoch in range(2):
    dataset.set_epoch(epoch)
    read = 0
    for number, batch in enumerate(DataLoader(dataset, batch_size=32, sampler=order_of(dataset))):
        read += batch["frame_features"].nbytes
        if number == 12:
            most.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
    most.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)
print(read, most[-1] - most[0])
"""


def test_memory_stays_flat_while_far_more_than_the_buffer_streams(tmp_path: Path) -> None:
    buffer_bytes = ROW_GROUP_BYTES
    generator = torch.Generator().manual_seed(0)
    footers = {}
    for number in range(4):
        name = f"train-{number}.parquet"
        of_file = {"key": {}, "split": "train", "views": ["uniform"], "source": name}
        writer = FeatureFileWriter(tmp_path / name, of_file)
        for clip in range(352):
            file_name = f"{number}-{clip}.mp4"
            features = torch.randn(16, 2048, generator=generator)
            writer.write(Clip(file_name, "ab"[clip % 2], sha256=file_name), "uniform", features)
        writer.close(failed={}, damaged={})
        with ParquetFile(tmp_path / name) as file:
            footers[name] = footer_of(file, name)
    (tmp_path / MANIFEST_FILE).write_text(manifest_text(manifest(footers, {})))
    run = subprocess.run(
        [sys.executable, "-c", READ_ALL, str(tmp_path), str(buffer_bytes)], check=True, capture_output=True, text=True
    )
    read, growth = map(int, run.stdout.split())
    assert read >= 10 * buffer_bytes
    # Far less than what streams: a row group on its way in, twice.
    assert growth <= 3 * ROW_GROUP_BYTES
