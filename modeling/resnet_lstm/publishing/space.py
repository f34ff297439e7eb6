"""A Space's folder and this package -> one folder that runs where the package is not installed.

Spaces install `requirements.txt` before they see any other file, so neither a wheel beside it nor the sources of this
package can be one of its lines. The package travels in the folder instead, next to `app.py`, where Python finds it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from ..data.video_folder import require_free_target, staged_folder

PACKAGE = Path(__file__).parents[1]
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", "*.pyi", ".*")


def stage_space(directory: str | Path, target: str | Path) -> Path:
    """Copy a Space's files and this package, as it runs now, into one folder.

    Args:
        directory: The Space: `app.py`, `README.md`, `requirements.txt` and what they need.
        target: The folder to make; it appears whole or not at all.

    Returns:
        `target`.

    Raises:
        FileNotFoundError: One of those three files is missing.
        DatasetError: The target holds something already.
    """
    directory = Path(directory)
    for name in ("app.py", "README.md", "requirements.txt"):
        if not (directory / name).is_file():
            raise FileNotFoundError(f"{directory / name}: missing. Is {directory} a Space?")
    target = require_free_target(target, overwrite=False)
    with staged_folder(target) as staging:
        shutil.copytree(directory, staging, ignore=_LEFT_OUT, dirs_exist_ok=True)
        shutil.copytree(PACKAGE, staging / PACKAGE.name, ignore=_LEFT_OUT)
    return target
