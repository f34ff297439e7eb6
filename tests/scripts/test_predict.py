from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import SCRIPTS, numbered_frames
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.device_precision import backbone_dtype, best_device, describe, precision_name


def predict(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "predict.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_folder_with_a_broken_clip(model_dir: Path, tmp_path: Path) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    for name in ("one.mp4", "two.webm", "three.avi"):
        write_video(clips / name, numbered_frames(9))
    (clips / "broken.mp4").write_bytes(b"no video")
    answers = {"json": tmp_path / "answers.jsonl", "csv": tmp_path / "answers.csv", "strip": tmp_path / "strips"}
    run = predict(model_dir, clips, "--top-k", 2, *(x for name, path in answers.items() for x in (f"--{name}", path)))
    assert run.returncode == 1, run.stderr
    assert "1 of 4 clips could not be read" in run.stderr
    assert "Traceback" not in run.stderr

    records = [json.loads(line) for line in answers["json"].read_text().splitlines()]
    assert [Path(record["source"]).name for record in records] == ["broken.mp4", "one.mp4", "three.avi", "two.webm"]
    assert "broken.mp4: not readable as a video" in records[0]["error"]
    for record in records[1:]:
        assert len(record["top"]) == 2
        assert len(record["frames"]) == 6
        assert sum(frame["share"] for frame in record["frames"]) == pytest.approx(1, abs=1e-4)
        assert f"{100 * record['top'][0]['score']:5.1f} %  {record['top'][0]['label']}" in run.stdout
    rows = list(csv.DictReader(answers["csv"].read_text().splitlines()))
    assert [row["rank"] for row in rows] == ["", *["1", "2"] * 3]
    assert len(list(answers["strip"].glob("*.png"))) == 3


def test_one_good_clip_exits_with_0(model_dir: Path, numbered_clip: Path) -> None:
    run = predict(model_dir, numbered_clip)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count(" %") == 3
    device = best_device()
    assert describe(device, precision_name(backbone_dtype("auto", device))) in run.stderr


@pytest.mark.parametrize("broken", ["model", "folder"])
def test_nothing_to_do_exits_with_2(model_dir: Path, tmp_path: Path, broken: str) -> None:
    (tmp_path / "empty").mkdir()
    run = predict(tmp_path / "none" if broken == "model" else model_dir, tmp_path / "empty")
    assert run.returncode == 2
    assert run.stderr.count("error: ") == 1
    assert "Traceback" not in run.stderr


@pytest.mark.parametrize("options", [["--runtime", "openvino"], ["--runtime", "onnx"]])
def test_another_runtime_gives_the_same_answers(
    exported_model_dir: Path, numbered_clip: Path, tmp_path: Path, options: list[str]
) -> None:
    records = []
    for name, way in (("torch", []), ("other", options)):
        run = predict(exported_model_dir, numbered_clip, *way, "--precision", "fp32", "--json", tmp_path / name)
        assert run.returncode == 0, run.stderr
        assert "fp32" in run.stderr
        assert (f"{options[1]} on cpu" in run.stderr) == bool(way)
        records.append(json.loads((tmp_path / name).read_text()))
    for torch_answer, other_answer in zip(records[0]["top"], records[1]["top"], strict=True):
        assert other_answer["label"] == torch_answer["label"]
        assert other_answer["score"] == pytest.approx(torch_answer["score"], abs=1e-5)


def test_what_was_not_exported_is_one_line(model_dir: Path, numbered_clip: Path) -> None:
    run = predict(model_dir, numbered_clip, "--runtime", "openvino", "--int8")
    assert run.returncode == 2
    errors = [line for line in run.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1
    assert "resnet-lstm export" in errors[0]
    assert "Traceback" not in run.stderr


def test_damage_and_names_that_would_do_harm_stand_beside_the_answer_as_plain_text(
    model_dir: Path, tmp_path: Path
) -> None:
    clips = tmp_path / "clips"
    clips.mkdir()
    whole = write_video(clips / "whole.avi", numbered_frames(24)).read_bytes()
    (clips / "cut.avi").write_bytes(whole[: len(whole) * 3 // 4])
    (clips / "\x1b[2Jcleared.avi").write_bytes(whole)
    (clips / "notes.txt").touch()
    (clips / "loose.mts").write_bytes(b"no video")
    config = json.loads((model_dir / "config.json").read_text())
    config["id2label"] = {"0": '=HYPERLINK("http://x")', "1": "run\x1b[31m", "2": "swim"}
    config["label2id"] = {label: int(number) for number, label in config["id2label"].items()}
    (model_dir / "config.json").write_text(json.dumps(config))
    answers = {"json": tmp_path / "answers.jsonl", "csv": tmp_path / "answers.csv"}
    run = predict(model_dir, clips, *(x for name, path in answers.items() for x in (f"--{name}", path)))
    assert run.returncode == 1, run.stderr
    assert "passed over, no clips by their names: 1 .txt (notes.txt)" in run.stderr
    assert "loose.mts: " in run.stderr
    damage = next(line for line in run.stdout.splitlines() if "cut.avi" in line)
    assert damage.endswith("of 24 frames are damaged or missing)")
    assert "\x1b" not in run.stdout + run.stderr
    assert "\\x1b[2Jcleared.avi" in run.stdout

    records = {Path(record["source"]).name: record for record in map(json.loads, answers["json"].open())}
    assert records["cut.avi"]["total_frames"] == 24
    assert 0 < records["cut.avi"]["damaged_frames"] < 24
    assert records["whole.avi"]["damaged_frames"] == 0
    rows = list(csv.DictReader(answers["csv"].read_text().splitlines()))
    assert {row["damage"] for row in rows if row["source"].endswith("whole.avi")} == {""}
    assert {row["damage"] for row in rows if row["source"].endswith("cut.avi")} == {damage.partition("(")[2][:-1]}
    for row in rows:
        assert not any(value.startswith(("=", "+", "-", "@")) or "\x1b" in value for value in row.values())
