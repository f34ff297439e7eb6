"""The directory that a run fills: what it may overwrite, and what is left of it in the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from ..configuration_resnet_lstm import ResNetLSTMConfig
from .frozen_backbone import REFIT_FOLDER
from .loop import BEST_FILE, CHECKPOINT_FILE, LOG_FILE

BASELINE_FOLDER = "baseline"
# Where the backbone is tuned, and where the head is then trained on it.
TUNING_FOLDER = "tuning"
TUNED_FOLDER = "tuned"
TUNING_LOG_FILE = "tuning_log.jsonl"

_OF_A_RUN = {"logs", BASELINE_FOLDER, BEST_FILE, LOG_FILE, REFIT_FOLDER, TUNED_FOLDER, TUNING_FOLDER, TUNING_LOG_FILE}


class OutputExistsError(ValueError):
    """The output directory holds a model already."""


def is_finished(output_dir: Path) -> bool:
    """Whether a directory holds a trained model, and no checkpoint of a run that has yet to end."""
    return _holds_model(output_dir) and not (output_dir / CHECKPOINT_FILE).is_file()


def _holds_model(output_dir: Path) -> bool:
    try:
        config = json.loads((output_dir / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == ResNetLSTMConfig.model_type


def prepare_output(output_dir: Path, *, resume: bool, overwrite: bool) -> None:
    """Make the directory ready for a run.

    Raises:
        OutputExistsError: It holds what may not be replaced.
    """
    finished = _holds_model(output_dir)
    begun = (output_dir / CHECKPOINT_FILE).is_file()
    entries = {path.name for path in output_dir.iterdir()} if output_dir.is_dir() else set()
    if not finished and not begun and entries - _OF_A_RUN:
        raise OutputExistsError(f"{output_dir}: holds something else than a model. Choose a new or an empty folder.")
    if (finished or begun) and overwrite:
        shutil.rmtree(output_dir)
    elif finished and not (resume and begun):
        raise OutputExistsError(f"{output_dir}: holds a trained model. Choose another place, or overwrite it.")
    elif begun and not resume:
        raise OutputExistsError(f"{output_dir}: holds an unfinished run. Resume it, or overwrite it.")
    output_dir.mkdir(parents=True, exist_ok=True)


def remove_checkpoints(output_dir: Path) -> None:
    """Remove what a finished run was resumed from."""
    # The run's own checkpoint last: as long as it is there, the run can be resumed to do the rest.
    for folder in (TUNING_FOLDER, TUNED_FOLDER):
        shutil.rmtree(output_dir / folder, ignore_errors=True)
    for directory in (output_dir / BASELINE_FOLDER, output_dir):
        shutil.rmtree(directory / REFIT_FOLDER, ignore_errors=True)
        for name in (BEST_FILE, CHECKPOINT_FILE):
            for left_by_a_killed_process in directory.glob(f".{name}.*"):
                left_by_a_killed_process.unlink()
            (directory / name).unlink(missing_ok=True)
