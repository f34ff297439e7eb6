from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from engine import Engine, ModelUnavailableError
from space_fixtures import APP


def test_a_wrong_model_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "videomae"}))
    command = [sys.executable, str(APP), "--model", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "holds no resnet_lstm model (found: videomae)" in run.stderr
    assert "Traceback" not in run.stderr


def test_a_damaged_model_is_told_to_users_without_its_path(trained_model: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((trained_model / "config.json").read_bytes())
    engine = Engine(str(tmp_path))
    engine.check()
    engine.start_loading()
    with pytest.raises(ModelUnavailableError) as error:
        engine.model()
    assert str(tmp_path) not in str(error.value)


@pytest.mark.parametrize(("module", "not_loaded"), [("app", "gradio"), ("app", "torch"), ("page", "torch")])
def test_importing_the_app_loads_nothing_that_takes_long(module: str, not_loaded: str) -> None:
    """Each file is decoded by a process that imports the app anew, and the page is there before the model is."""
    code = (
        f"import sys; sys.path.insert(0, {str(APP.parent)!r}); import {module}; print({not_loaded!r} in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
