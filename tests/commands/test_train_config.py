"""Options in a file, and a run that writes its own down."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from resnet_lstm.commands.config_file import arguments_of, config_text
from resnet_lstm.commands.train import parse_arguments
from resnet_lstm.data import VideoFolder
from resnet_lstm_command import main


@pytest.mark.parametrize("suffix", ["yaml", "json"])
def test_a_file_gives_options_and_the_command_line_goes_before(tmp_path: Path, suffix: str) -> None:
    options = {"dataset": "data/mine", "num-views": 4, "flip": False, "learning_rate": 0.01, "report-to": ["wandb"]}
    options |= {"resume": False, "overwrite": True, "train_backbone": False}
    path = tmp_path / f"train.{suffix}"
    path.write_text(json.dumps(options) if suffix == "json" else yaml.safe_dump(options))
    args = parse_arguments(["--config", str(path), "--output", "runs/x", "--num-views", "2"])
    assert (args.dataset, args.num_views, args.flip, args.learning_rate) == ("data/mine", 2, False, 0.01)
    assert (args.report_to, args.resume, args.overwrite) == (["wandb"], False, True)


def test_what_is_written_down_is_read_again_without_paths_of_the_machine(tmp_path: Path) -> None:
    path = tmp_path / "train.yaml"
    values = {"dataset": "data/mine", "backbone": str(tmp_path), "flip": False, "num_views": 3, "seed": None}
    path.write_text(config_text(path.name, "train", values))
    assert arguments_of(path) == ["--dataset=data/mine", "--no-flip", "--num-views=3"]
    text = path.read_text()
    assert str(tmp_path) not in text
    assert "--backbone" in text


@pytest.mark.parametrize("content", ["- a\n- b\n", "a: [", "just words"])
def test_a_file_of_something_else_is_refused_by_name(
    tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "odd.yaml"
    path.write_text(content)
    with pytest.raises(SystemExit, match="2"):
        parse_arguments(["--config", str(path), "--output", "x"])
    assert "odd.yaml" in capsys.readouterr().err


def test_an_option_that_there_is_not_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "train.yaml"
    path.write_text("dataset: data\nnum-flames: 3\n")
    with pytest.raises(SystemExit, match="2"):
        parse_arguments(["--config", str(path), "--output", "x"])
    assert "num-flames" in capsys.readouterr().err


def test_a_run_can_be_repeated_by_what_it_wrote_down(
    tiny_backbone: Path, tiny_dataset: VideoFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESNET_LSTM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tiny_dataset.root.parent)
    first, second = tmp_path / "first", tmp_path / "second"
    options = ["--dataset", tiny_dataset.root.name, "--num-frames", "4", "--num-train-epochs", "2", "--no-baseline"]
    assert main(["train", *options, "--backbone", str(tiny_backbone), "--output", str(first)]) == 0
    config = ["--config", str(first / "train.yaml"), "--backbone", str(tiny_backbone)]
    assert main(["train", *config, "--output", str(second)]) == 0
    assert (first / "predictions.csv").read_bytes() == (second / "predictions.csv").read_bytes()
    assert (first / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()
