"""The directory that a run fills: what it may overwrite, and what is left of it in the end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..configuration_resnet_lstm import ResNetLSTMConfig
from ..whole_file import held
from .frozen_backbone import REFIT_FOLDER
from .loop import BEST_FILE, CHECKPOINT_FILE, LOG_FILE

BASELINE_FOLDER = "baseline"
# Where the backbone is tuned, and where the head is then trained on it.
TUNING_FOLDER = "tuning"
TUNED_FOLDER = "tuned"
TUNING_LOG_FILE = "tuning_log.jsonl"

# Empty; there from a run's first moment to its last. Some have no checkpoint, and a model's files come one by one.
UNFINISHED_FILE = "unfinished"

_OF_A_RUN = {
    *("logs", BASELINE_FOLDER, REFIT_FOLDER, TUNED_FOLDER, TUNING_FOLDER),
    *(BEST_FILE, LOG_FILE, TUNING_LOG_FILE, UNFINISHED_FILE),
}


class OutputExistsError(ValueError):
    """The output directory holds a model already."""


def is_finished(output_dir: Path) -> bool:
    """Whether a directory holds a trained model, and nothing of a run that has yet to end."""
    return _holds_model(output_dir) and not any(
        (output_dir / name).is_file() for name in (CHECKPOINT_FILE, UNFINISHED_FILE)
    )


def _holds_model(output_dir: Path) -> bool:
    try:
        config = json.loads((output_dir / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == ResNetLSTMConfig.model_type


@contextmanager
def output_of_run(output_dir: Path, *, resume: bool, overwrite: bool) -> Iterator[None]:
    """Make a directory ready for a run, and keep other runs out of it until the block ends.

    Raises:
        InUseError: Another process is at it.
        OutputExistsError: It holds what may not be replaced.
    """
    if output_dir.exists() and not output_dir.is_dir():
        raise OutputExistsError(f"{output_dir}: is a file. Name a folder for the model.")
    output_dir.mkdir(parents=True, exist_ok=True)
    with held(output_dir):
        _prepare(output_dir, resume=resume, overwrite=overwrite)
        yield


def _prepare(output_dir: Path, *, resume: bool, overwrite: bool) -> None:
    finished = is_finished(output_dir)
    begun = (output_dir / CHECKPOINT_FILE).is_file() or (_holds_model(output_dir) and not finished)
    entries = {path.name for path in output_dir.iterdir() if not path.name.startswith(".")}
    if not finished and not begun and entries - _OF_A_RUN:
        raise OutputExistsError(f"{output_dir}: holds something else than a model. Choose a new or an empty folder.")
    if (finished or begun) and not overwrite:
        if finished:
            raise OutputExistsError(f"{output_dir}: holds a trained model. Choose another place, or overwrite it.")
        if not resume:
            raise OutputExistsError(f"{output_dir}: holds an unfinished run. Resume it, or overwrite it.")
    (output_dir / UNFINISHED_FILE).touch()
    if overwrite:
        _clear(output_dir)


def _clear(output_dir: Path) -> None:
    # What says whose directory it is goes last: until then, whoever is killed can do it again.
    last = (UNFINISHED_FILE, CHECKPOINT_FILE, "config.json")
    for path in sorted(output_dir.iterdir(), key=lambda path: path.name in last):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != UNFINISHED_FILE:
            path.unlink()


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
    # Of safetensors, which was killed as it wrote the model.
    for left_by_a_killed_process in output_dir.glob(".tmp??????"):
        left_by_a_killed_process.unlink()
    (output_dir / UNFINISHED_FILE).unlink(missing_ok=True)
