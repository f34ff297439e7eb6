from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import SCRIPTS


def export(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "export.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_model_is_exported_without_a_dataset(model_dir: Path) -> None:
    run = export(model_dir, "--format", "onnx", "--checked-clips", 2)
    assert run.returncode == 0, run.stderr
    assert "checked on     2 clips (generated clips)" in run.stdout
    assert "the same in 100.0 % of the clips" in run.stdout
    assert {path.name for path in (model_dir / "onnx").iterdir()} == {"model.onnx", "model.json"}


def test_int8_without_a_dataset_exits_with_2(model_dir: Path) -> None:
    run = export(model_dir, "--format", "openvino", "--int8")
    assert run.returncode == 2
    assert "--int8 is calibrated on training clips: name a --dataset" in run.stderr


def test_no_model_exits_with_2(tmp_path: Path) -> None:
    run = export(tmp_path / "none", "--format", "openvino")
    assert run.returncode == 2
    assert run.stderr.count("error: ") == 1
    assert "Traceback" not in run.stderr
