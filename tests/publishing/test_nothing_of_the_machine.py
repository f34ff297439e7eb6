"""What is saved and published tells nothing of the machine that it was made on, and others may read it."""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import resnet_lstm
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import VideoFolder, build_from_folders
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.exporting import ExportSettings, export_model
from resnet_lstm.inference import EXPORT_FORMATS, Export
from resnet_lstm.publishing import prepare_dataset, prepare_model
from resnet_lstm.whole_file import written_whole
from resnet_lstm_command import main

REPO = "someone/tiny"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> VideoFolder:
    """Generated clips, and one that cannot be read."""
    root = tmp_path_factory.mktemp("data")
    clips = write_generated_clips(root / "clips", 10, classes=["brighten", "darken"], size=(32, 32), num_frames=8)
    (clips / "darken" / "broken.mp4").write_bytes(b"no video")
    return build_from_folders(clips, root / "dataset")


@pytest.fixture(scope="module")
def run(tiny_backbone: Path, dataset: VideoFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run by command, evaluated and exported too."""
    root = tmp_path_factory.mktemp("run")
    directory, cache = root / "model", ["--cache-dir", str(root / "cache")]
    options = ["--backbone", str(tiny_backbone), "--num-frames", "4", "--num-train-epochs", "2"]
    data = ["--dataset", str(dataset.root), *cache]
    assert main(["train", *options, *data, "--report-to", "tensorboard", "--output", str(directory)]) == 0
    assert main(["evaluate", str(directory), *data, "--split", "validation"]) == 0
    for format in EXPORT_FORMATS:
        for int8 in (False, True):
            export_model(directory, Export(format, int8), dataset, ExportSettings(calibration_clips=2))
    return directory


def local_paths(*others: Path) -> list[str]:
    """Of the interpreter, the package and the working directory, and others."""
    package = Path(resnet_lstm.__file__).parent
    return [str(path) for path in (*others, package, Path.cwd(), Path.home(), Path(sys.prefix)) if path.parts[1:]]


def mentions(files: Mapping[str, bytes], paths: list[str]) -> list[tuple[str, str]]:
    return [(name, path) for name, content in files.items() for path in paths if path.encode() in content]


def content_of(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_no_file_of_a_run_holds_a_local_path(run: Path, tiny_backbone: Path, dataset: VideoFolder) -> None:
    files = content_of(run)
    assert {"config.json", "train.yaml", "onnx/model.onnx", "openvino/openvino_model.xml"} <= files.keys()
    assert mentions(files, local_paths(tiny_backbone, dataset.root.parent, run.parent)) == []


def test_no_published_file_of_a_model_or_a_dataset_holds_a_local_path(
    run: Path, tiny_backbone: Path, dataset: VideoFolder
) -> None:
    paths = local_paths(tiny_backbone, dataset.root.parent, run.parent)
    for publication in (
        prepare_model(run, REPO, dataset="someone/actions"),
        prepare_dataset(dataset.root, REPO, with_clips=True, license="cc-by-4.0"),
    ):
        files = {
            name: content if isinstance(content, bytes) else content.read_bytes()
            for name, content in publication.files.items()
        }
        assert mentions(files, paths) == []


def test_a_local_path_in_an_older_configuration_is_left_out(trained_dir: Path) -> None:
    path = trained_dir / "config.json"
    config = json.loads(path.read_text())
    config["backbone_config"]["_name_or_path"] = "/home/someone/weights"
    path.write_text(json.dumps(config))
    published = prepare_model(trained_dir, REPO).files["config.json"]
    assert isinstance(published, bytes)
    del config["backbone_config"]["_name_or_path"]
    assert json.loads(published) == config


@pytest.fixture(params=[0o022, 0o027, 0o002], ids=oct)
def mode(request: pytest.FixtureRequest) -> Iterator[int]:
    """What a file may be by the umask."""
    before = os.umask(request.param)
    yield 0o666 & ~request.param
    os.umask(before)


def modes_of(directory: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in directory.rglob("*") if path.is_file()}


def test_a_saved_model_has_the_modes_that_the_umask_gives(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tmp_path: Path,
    mode: int,
) -> None:
    tiny_model.save_pretrained(tmp_path / "whole")
    tiny_model.save_pretrained(tmp_path / "parts", max_shard_size="2KB")
    tiny_processor.save_pretrained(tmp_path / "whole")
    assert len(list((tmp_path / "parts").glob("*.safetensors"))) > 1
    assert modes_of(tmp_path) == {mode}


def test_what_is_written_whole_has_the_mode_that_the_umask_gives(tmp_path: Path, mode: int) -> None:
    for _ in range(2):
        with written_whole(tmp_path / "features.safetensors") as temporary:
            save_file({"features": torch.zeros(2)}, temporary)
        assert modes_of(tmp_path) == {mode}


def test_a_whole_run_is_readable_by_others(
    tiny_backbone: Path, dataset: VideoFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o022)
    try:
        options = ["--backbone", str(tiny_backbone), "--num-frames", "4", "--num-train-epochs", "1"]
        where = ["--dataset", str(dataset.root), "--output", str(tmp_path / "model")]
        assert main(["train", *options, *where, "--cache-dir", str(tmp_path / "cache")]) == 0
        export_model(tmp_path / "model", Export("onnx"), dataset)
    finally:
        os.umask(before)
    assert modes_of(tmp_path) == {0o644}
    # Who may only read it can publish and load it from where it lies.
    shutil.copytree(tmp_path / "model", tmp_path / "copy")
    assert prepare_model(tmp_path / "copy", REPO).files
