from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from resnet_lstm import ResNetLSTMForVideoClassification
from resnet_lstm.publishing import prepare_model
from resnet_lstm_command import main


def teach(model: Path, clips: Path, output: Path, *options: object) -> int:
    classes = ["--class", "grow", clips / "grow", "--class", "turn red", *sorted((clips / "green_to_red").iterdir())]
    places = ["--output", output, "--cache-dir", output.parent / "cache"]
    return main([str(argument) for argument in ("teach", model, *classes, *places, *options)])


def test_a_taught_model_is_published_like_any_other(
    teachable_dir: Path, new_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "taught"
    assert teach(teachable_dir, new_clips, output) == 0
    shown = capsys.readouterr().out
    assert "taught 2 classes by 8 clips" in shown
    assert "  turn red  " in shown
    assert str(output) in shown

    metrics = json.loads((output / "metrics.json").read_text())
    assert (metrics["clips"], metrics["model"], metrics["split"]) == (8, "taught", "taught")
    publication = prepare_model(output, "someone/taught")
    card: Any = ModelCard(publication.card)
    text = " ".join(card.text.split())
    assert "trained on clips, then taught by 8 clips of grow, turn red" in text
    assert "The 2 classes that it knew before are among the answers" in text
    assert "one recording left out at a time" in text
    assert not publication.warnings
    for path in output.rglob("*"):
        if path.suffix in (".json", ".csv", ".md"):
            assert str(tmp_path) not in path.read_text().replace(json.dumps(str(tmp_path))[1:-1], str(tmp_path))


def test_a_taught_model_is_used_and_taught_again_like_any_other(
    teachable_dir: Path, new_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert teach(teachable_dir, new_clips, tmp_path / "gestures", "--replace") == 0
    capsys.readouterr()
    assert main(["predict", str(tmp_path / "gestures"), str(new_clips / "grow" / "grow_000.mp4")]) == 0
    shown = capsys.readouterr().out
    assert "grow" in shown
    assert "turn red" in shown
    assert "brighten" not in shown
    assert teach(tmp_path / "gestures", new_clips, tmp_path / "again") == 0
    assert "kept 0 others" in capsys.readouterr().out


def test_a_broken_clip_is_reported_and_the_status_is_one(
    teachable_dir: Path, new_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clips = shutil.copytree(new_clips, tmp_path / "clips")
    (clips / "grow" / "broken.mp4").write_bytes(b"no video")
    assert teach(teachable_dir, clips, tmp_path / "taught") == 1
    assert "1 of 9 clips could not be read" in capsys.readouterr().err


def test_what_is_in_the_way_is_left_alone(
    teachable_dir: Path, new_clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (teachable_dir / "config.json").read_text()
    assert teach(teachable_dir, new_clips, teachable_dir) == 2
    assert f"{teachable_dir}: exists" in capsys.readouterr().err
    assert (teachable_dir / "config.json").read_text() == before
    with pytest.raises(SystemExit, match="2"):
        main(["teach", str(teachable_dir), "--class", "grow", "--output", str(tmp_path / "taught")])
    assert "--class grow: name its clips too" in capsys.readouterr().err


def test_an_older_model_takes_its_dataset(
    teachable_dir: Path,
    new_clips: Path,
    tiny_dataset: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = ResNetLSTMForVideoClassification.from_pretrained(teachable_dir)
    model.set_class_statistics(None)
    model.save_pretrained(teachable_dir)
    assert teach(teachable_dir, new_clips, tmp_path / "taught") == 2
    assert "keeps no statistics of its classes" in capsys.readouterr().err
    assert not (tmp_path / "taught").exists()
    assert teach(teachable_dir, new_clips, tmp_path / "taught", "--dataset", tiny_dataset.root) == 0
