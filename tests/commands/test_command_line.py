"""What all commands have in common: names, help, spellings, errors."""

from __future__ import annotations

import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import resnet_lstm
from conftest import SCRIPTS
from resnet_lstm_command import COMMANDS, main

MOST_LINES = 60


def examples(command: str) -> list[list[str]]:
    """The arguments of each example in a command's help."""
    text = importlib.import_module(f"resnet_lstm.commands.{command}").__doc__ or ""
    lines = re.findall(rf"^    (?:resnet-lstm|accelerate launch -m resnet_lstm) {command}\b(.*)$", text, re.MULTILINE)
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("columns", [80, 119])
@pytest.mark.parametrize("command", COMMANDS)
def test_help_fits_a_screen(
    command: str, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in ("RESNET_LSTM_CACHE", "RESNET50_PATH", "UCF101_ROOT"):
        monkeypatch.setenv(name, str(tmp_path))
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    help_text = capsys.readouterr().out
    assert len(help_text.splitlines()) <= MOST_LINES
    too_long = [line for line in help_text.splitlines() if len(line) > columns]
    assert all(line.startswith("    ") and len(line) <= 119 for line in too_long), "only examples are as written"
    written = importlib.import_module(f"resnet_lstm.commands.{command}").__doc__ or ""
    shown = help_text.splitlines()
    assert [line for line in written.splitlines() if line.startswith("    ") and line not in shown] == []
    # Neither a path of this machine nor an option in two spellings.
    assert str(tmp_path) not in help_text
    assert str(Path.home()) not in help_text
    assert not re.findall(r"--\w+_\w+", help_text)
    assert COMMANDS[command].summary in " ".join(help_text.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_each_example_in_the_help_is_understood(command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine", "ucf101-25"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    (tmp_path / "runs" / "mine" / "train.yaml").write_text("dataset: data/mine\n")
    found = examples(command)
    assert found
    for arguments in found:
        importlib.import_module(f"resnet_lstm.commands.{command}").parse_arguments(arguments)


def test_the_overview_names_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in COMMANDS)
    with pytest.raises(SystemExit, match="2"):
        main(["fly"])
    assert "fly" in capsys.readouterr().err


def test_who_only_asks_what_there_is_does_not_wait_for_pytorch() -> None:
    code = "import sys, resnet_lstm_command as c; c.main([]); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize("command", ["evaluate", "benchmark"])
def test_a_dataset_is_named_in_one_of_two_ways(command: str, tmp_path: Path) -> None:
    parse_arguments = importlib.import_module(f"resnet_lstm.commands.{command}").parse_arguments
    model = str(tmp_path)
    for ways in (["--dataset", "data"], ["data"]):
        assert Path(parse_arguments([model, *ways]).dataset) == Path("data")
    for mistake in ([], ["data", "--dataset", "data"]):
        with pytest.raises(SystemExit, match="2"):
            parse_arguments([model, *mistake])


def test_both_spellings_and_both_ways_of_a_switch_are_understood() -> None:
    train = importlib.import_module("resnet_lstm.commands.train")
    needed = ["--dataset", "a_b", "--output", "c_d"]
    for spelling in ("--num-lstm-layers", "--num_lstm_layers"):
        args = train.parse_arguments([*needed, spelling, "2", "--no_flip", "--no-refit"])
        assert (args.num_lstm_layers, args.flip, args.refit) == (2, False, False)
        assert (args.dataset, args.output) == ("a_b", Path("c_d"))
    assert train.parse_arguments([*needed, "--no-flip", "--flip"]).flip


def test_an_error_is_one_line_and_its_status_is_two(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    places = ["--dataset", str(tmp_path / "nothing"), "--output", str(tmp_path / "figures")]
    assert main(["evaluate", str(tmp_path / "none"), *places]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert str(tmp_path / "none") in error
    assert error.count("\n") == 1


def test_env_names_what_a_bug_report_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["env"]) == 0
    shown = capsys.readouterr().out
    for name in ("resnet-lstm", "Python", "device", "torch", "transformers", "av"):
        assert re.search(rf"^{name} +\S", shown, re.MULTILINE)
    assert resnet_lstm.__version__ in shown


def test_the_module_and_the_scripts_are_the_same_commands() -> None:
    def shown(*command: str) -> str:
        return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True).stdout

    assert shown("-m", "resnet_lstm", "env", "--help") == shown(
        "-c", "import sys; from resnet_lstm_command import main; sys.exit(main(['env', '--help']))"
    )
    scripts = {path.stem for path in SCRIPTS.glob("*.py")}
    assert scripts >= {"train", "extract_features", "evaluate", "predict", "publish"}
    assert shown(str(SCRIPTS / "train.py"), "--help") == shown("-m", "resnet_lstm", "train", "--help")
