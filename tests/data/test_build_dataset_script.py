from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from clip_trees import make_clip, make_ucf101

main = runpy.run_path(str(Path(__file__).parents[2] / "scripts" / "build_dataset.py"))["main"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_ucf101(tmp_path / "ucf101", {"Archery": [1, 2, 3, 4], "Biking": [1, 2, 3]}, clips_per_group=1)


def test_result_is_printed_and_can_be_checked(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UCF101_ROOT", str(root))
    assert main(["--output", str(tmp_path / "out"), "--max_videos_per_class", "100"]) == 0
    built = capsys.readouterr().out
    counts = {line.split()[0]: line.split()[1:3] for line in built.splitlines()[2:5]}
    assert counts == {"train": ["3", "3"], "validation": ["2", "2"], "test": ["2", "2"]}
    assert "missing classes: ApplyEyeMakeup, ApplyLipstick" in built
    assert "0 of 2 test clips (0.0%) share a group" in built
    assert main(["--check", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out == built


def test_own_folders_are_built(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(6):
        make_clip(tmp_path / "clips" / "run" / f"camera{number // 2}_{number}.mp4")
    arguments = ["--from-folders", str(tmp_path / "clips"), "--group-regex", r"camera\d"]
    assert main([*arguments, "--output", str(tmp_path / "out")]) == 0
    assert "1 classes, split grouped\n" in capsys.readouterr().out


def test_expected_error_is_one_line_and_status_2(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--ucf101", str(root), "--classes", "Bikin", "--output", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err == "error: Class 'Bikin' is not there. Did you mean Biking?\n"


def test_source_must_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("UCF101_ROOT", raising=False)
    with pytest.raises(SystemExit) as stopped:
        main(["--output", str(tmp_path / "out")])
    assert stopped.value.code == 2
    assert "give exactly one of --ucf101, --from-folders, --metadata and --check" in capsys.readouterr().err
