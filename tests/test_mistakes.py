"""What people get wrong, through the commands: told at once, by file, value and rule, with what to do."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from clip_trees import make_clip
from conftest import make_tiny_model, make_tiny_processor
from resnet_lstm import ResNetLSTMVideoProcessor
from resnet_lstm.data import VideoFolder
from resnet_lstm.features import FeatureCache, extract_features
from resnet_lstm.training import TrainingSettings
from resnet_lstm.training.loop import TrainingLoop
from resnet_lstm_command import main

Fails = Callable[..., str]


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Fails:
    """Runs a command that must end with 2 and one line; gives that line."""

    def run(*arguments: object) -> str:
        try:
            status = main([str(argument) for argument in arguments])
        except SystemExit as error:
            status = int(error.code or 0)
        *_, last = capsys.readouterr().err.splitlines()
        assert status == 2, last
        return last

    return run


@pytest.fixture
def training(tiny_dataset: VideoFolder, tiny_backbone: Path, tmp_path: Path) -> list[object]:
    """A training of seconds, without its `--output`."""
    options = ("--num-frames", "4", "--lstm-hidden-size", "8", "--num-train-epochs", "2", "--no-baseline")
    computing = ("--num-workers", "0", "--cache-dir", tmp_path / "cache")
    return ["train", "--dataset", tiny_dataset.root, "--backbone", tiny_backbone, *options, *computing]


def change_json(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def copied(folder: VideoFolder, path: Path) -> Path:
    """A copy of a dataset that is anybody's: without dataset.json."""
    shutil.copytree(folder.root, path)
    (path / "dataset.json").unlink()
    return path


@pytest.mark.parametrize("command", ["train", "extract"])
def test_no_frames(fails: Fails, training: list[object], tmp_path: Path, command: str) -> None:
    output = ("--output", tmp_path / "out") if command == "train" else ()
    dataset = training[training.index("--dataset") + 1]
    assert "argument --num-frames: '0': must be 1 or more" in fails(
        command, "--dataset", dataset, "--num-frames", 0, *output
    )


def test_no_frames_in_a_saved_processor(fails: Fails, model_dir: Path, numbered_clip: Path) -> None:
    change_json(model_dir / "video_preprocessor_config.json", num_frames=0)
    line = fails("predict", model_dir, numbered_clip)
    assert f"{model_dir}: num_frames=0 in its video_preprocessor_config.json: must be 1 or more. Put back" in line


@pytest.mark.parametrize("name", ["num_train_epochs", "train_batch_size", "gradient_accumulation_steps"])
def test_no_epochs_and_no_batches(name: str) -> None:
    settings: dict[str, Any] = {name: 0}
    with pytest.raises(ValueError, match=f"^{name}=0: must be 1 or more"):
        TrainingSettings(**settings)


@pytest.mark.parametrize("part", ["head", "backbone"])
def test_weights_of_another_architecture(fails: Fails, model_dir: Path, numbered_clip: Path, part: str) -> None:
    path = model_dir / "config.json"
    if part == "head":
        change_json(path, lstm_hidden_size=20)
    else:
        backbone = json.loads(path.read_text())["backbone_config"]
        change_json(path, backbone_config=backbone | {"hidden_sizes": [8, 32]})
    line = fails("predict", model_dir, numbered_clip)
    assert f"{model_dir}: its weights are of another architecture than its config.json says. Put back" in line


def test_another_kind_of_model(fails: Fails, tiny_backbone: Path, numbered_clip: Path) -> None:
    assert "is a resnet model; a resnet_lstm one was expected" in fails("predict", tiny_backbone, numbered_clip)


def test_a_processor_that_does_not_match_the_cache(
    tiny_backbone: Path, tmp_path: Path, tiny_processor: ResNetLSTMVideoProcessor
) -> None:
    model = make_tiny_model(tiny_backbone).resnet_lstm
    cache = FeatureCache(tmp_path, model, make_tiny_processor())
    tiny_processor.num_frames = 5
    with pytest.raises(ValueError, match="holds what another processor makes \\(num_frames: 6 there, 5 here\\)"):
        extract_features(model, tiny_processor, cache, [], [], distributed=False)
    extract_features(model, make_tiny_processor(), cache, [], [], distributed=False)


def test_a_class_that_the_model_does_not_know(fails: Fails, model_dir: Path, tiny_dataset: VideoFolder) -> None:
    line = fails("evaluate", model_dir, "--dataset", tiny_dataset.root)
    assert "the model does not know brighten, darken. It was trained on others: teach it these" in line


def test_labels_that_differ_by_case(
    fails: Fails, training: list[object], tiny_dataset: VideoFolder, tmp_path: Path
) -> None:
    dataset = copied(tiny_dataset, tmp_path / "dataset")
    metadata = dataset / "train" / "metadata.csv"
    metadata.write_text(metadata.read_text().replace(",darken,", ",Darken ,", 1))
    training[2] = dataset
    line = fails(*training, "--output", tmp_path / "out")
    assert f"{dataset}: the classes 'Darken ' and 'darken' differ by case or blanks alone. Make them one" in line
    assert not (tmp_path / "out").exists()


def test_class_folders_that_differ_by_case_or_are_links(fails: Fails, tmp_path: Path) -> None:
    for label in ("Jump", "jump ", "run"):
        make_clip(tmp_path / "clips" / label / f"{label.strip()}.mp4")
    build = ("build", "--from-folders", tmp_path / "clips", "--output", tmp_path / "out")
    assert "the classes 'Jump' and 'jump ' differ by case or blanks alone" in fails(*build)
    shutil.rmtree(tmp_path / "clips" / "jump ")
    (tmp_path / "clips" / "leap").symlink_to(tmp_path / "clips" / "Jump")
    assert "leap: a link to the same folder as the class Jump. Remove one of the two." in fails(*build)


def test_a_class_of_one_clip(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(4):
        make_clip(tmp_path / "clips" / "jump" / f"{number}.mp4")
    make_clip(tmp_path / "clips" / "run" / "alone.mp4")
    assert main(["build", "--from-folders", str(tmp_path / "clips"), "--output", str(tmp_path / "out")]) == 0
    for split in ("validation", "test"):
        assert f"classes without a {split} clip: run. Add clips of them" in caplog.text


def test_a_dataset_without_test_clips(
    fails: Fails,
    training: list[object],
    tiny_dataset: VideoFolder,
    model_dir: Path,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    dataset = copied(tiny_dataset, tmp_path / "dataset")
    shutil.rmtree(dataset / "test")
    training[2] = dataset
    assert main([*map(str, training), "--output", str(tmp_path / "out")]) == 0
    assert f"{dataset} has no test clips: the model is not scored, and cannot be published." in caplog.text
    assert not (tmp_path / "out" / "metrics.json").exists()
    assert "its test split has no clip. Name a split that has some." in fails(
        "evaluate", model_dir, "--dataset", dataset
    )
    assert "has no metrics.json" in fails("publish", "model", tmp_path / "out", "--repo", "some/one", "--dry-run")


def test_an_output_that_is_a_file(fails: Fails, training: list[object], numbered_clip: Path) -> None:
    assert f"{numbered_clip}: is a file. Name a folder for the model." in fails(*training, "--output", numbered_clip)


def test_resuming_what_cannot_be_resumed(
    fails: Fails, training: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "out"
    finish = TrainingLoop._finish_epoch
    with monkeypatch.context() as patch:

        def interrupted(self: TrainingLoop, *arguments: Any) -> None:
            finish(self, *arguments)
            raise KeyboardInterrupt

        patch.setattr(TrainingLoop, "_finish_epoch", interrupted)
        assert main([*map(str, training), "--output", str(output)]) == 130
    again = [*training, "--output", output]
    assert "holds an unfinished run. Resume it, or overwrite it." in fails(*again)
    line = fails(*again, "--resume", "--learning-rate", "0.5")
    assert "belongs to another run (settings.learning_rate: 0.001 there, 0.5 here). Resume with the same" in line
    line = fails(*again, "--resume", "--lstm-hidden-size", "6")
    assert "belongs to another run (config.lstm_hidden_size: 8 there, 6 here). Resume with the same" in line

    checkpoint = output / "checkpoint.safetensors"
    content = checkpoint.read_bytes()
    with safe_open(checkpoint, "pt") as file:
        metadata = file.metadata()
    for there in ({"format": "2", "state": "{}"}, {"state": metadata["state"]}, None):
        save_file(load_file(checkpoint), checkpoint, there)
        line = fails(*again, "--resume")
        assert f"{checkpoint}: written by another version of resnet-lstm (format " in line
        assert "or start anew with --overwrite." in line
    checkpoint.write_bytes(content[: len(content) // 2])
    assert f"{checkpoint}: damaged (" in fails(*again, "--resume")
    checkpoint.write_bytes(content)
    assert main([*map(str, again), "--resume"]) == 0
