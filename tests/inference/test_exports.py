from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from conftest import SCRIPTS
from resnet_lstm.inference import EXPORT_FORMATS, Export, load_model


@pytest.fixture
def own_dir(exported_model_dir: Path, tmp_path: Path) -> Path:
    """An exported model that a test may change."""
    return shutil.copytree(exported_model_dir, tmp_path / "model")


@pytest.mark.parametrize("int8", [False, True])
@pytest.mark.parametrize("runtime", EXPORT_FORMATS)
def test_an_export_of_other_weights_is_refused(own_dir: Path, runtime: str, int8: bool) -> None:
    weights = load_file(own_dir / "model.safetensors")
    weights["classifier.bias"] += 1
    save_file(weights, own_dir / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=rf"stale.*resnet-lstm export {own_dir} --format {runtime}"):
        load_model(str(own_dir), runtime=runtime, int8=int8)


def test_an_export_of_another_temperature_is_refused(own_dir: Path) -> None:
    config = json.loads((own_dir / "config.json").read_text())
    (own_dir / "config.json").write_text(json.dumps({**config, "temperature": 2.0}))
    with pytest.raises(ValueError, match="stale"):
        load_model(str(own_dir), runtime="onnx")


@pytest.mark.parametrize("export", [Export("openvino"), Export("onnx", int8=True)])
def test_a_damaged_export_is_refused(own_dir: Path, export: Export) -> None:
    path = own_dir / export.files[-1]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{path.name}: not the file that was exported"):
        load_model(str(own_dir), runtime=export.format, int8=export.int8)


@pytest.mark.parametrize("int8", [False, True])
def test_what_was_not_exported_names_the_command(model_dir: Path, int8: bool) -> None:
    command = f"resnet-lstm export {model_dir} --format openvino" + (" --int8 --dataset" if int8 else "")
    with pytest.raises(FileNotFoundError, match=f"not exported.*{command}"):
        load_model(str(model_dir), runtime="openvino", int8=int8)


def test_unknown_ways_to_run_are_named(model_dir: Path) -> None:
    with pytest.raises(ValueError, match="runtime 'tflite': must be one of torch, onnx, openvino"):
        load_model(str(model_dir), runtime="tflite")
    with pytest.raises(ValueError, match="int8 needs an exported model"):
        load_model(str(model_dir), int8=True)


def test_an_export_on_the_hub_is_found(exported_model_dir: Path, numbered_clip: Path, tmp_path: Path) -> None:
    repository = tmp_path / "home" / "hub" / "models--user--model"
    shutil.copytree(exported_model_dir, repository / "snapshots" / ("0" * 40))
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    command = [sys.executable, str(SCRIPTS / "predict.py"), "user/model", str(numbered_clip), "--runtime", "openvino"]
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home")}
    run = subprocess.run([*command, "--int8"], capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    shutil.rmtree(repository / "snapshots" / ("0" * 40) / "openvino")
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 2
    assert "user/model: not exported" in run.stderr
