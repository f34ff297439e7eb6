"""A Space's folder -> what is published of it, or why it is not.

Spaces install `requirements.txt` before they see any other file, so neither a wheel beside it nor the sources of this
package can be one of its lines. The package travels in the folder instead, next to `app.py`, where Python finds it.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import cast

from huggingface_hub import SpaceCard

from ..data.video_folder import require_free_target, staged_folder
from .cards import CARD_FILE, parse_card
from .errors import PublishingError
from .publication import Publication

SDK = "gradio"
PACKAGE = Path(__file__).parents[1]
INSTALLED_SPACE = "resnet_lstm_space"
LEFT_OUT = frozenset(("__pycache__", "node_modules", "venv"))


def space_folder() -> Path:
    """The Space of this package: beside it where it was installed, else in the repository that it is in.

    Raises:
        PublishingError: It is in neither place.
    """
    for folder in (PACKAGE.with_name(INSTALLED_SPACE), PACKAGE.parents[1] / "space"):
        if (folder / CARD_FILE).is_file():
            return folder
    raise PublishingError(f"{PACKAGE.with_name(INSTALLED_SPACE)}: is not there. Install the package again.")


def prepare_space(directory: str | Path) -> Publication:
    """Collect a Space's files, all but hidden ones and caches, and this package as it runs now.

    Raises:
        PublishingError: There is no `README.md` whose metadata name gradio, a licence and an `app_file` that exists.
    """
    directory = Path(directory)
    path = directory / CARD_FILE
    if not path.is_file():
        raise PublishingError(f"{directory}: has no {CARD_FILE}, whose metadata tell the Hub how to run the Space.")
    data = parse_card(path.read_text(encoding="utf-8"), path, SpaceCard).data
    if data.sdk != SDK:
        raise PublishingError(f"{path}: sdk is {data.sdk!r}, must be {SDK!r}.")
    if not data.app_file or not (directory / data.app_file).is_file():
        raise PublishingError(f"{path}: app_file is {data.app_file!r}, which is no file in {directory}.")
    if not data.license:
        raise PublishingError(f"{path}: names no licence. Add `license:` to its metadata.")
    files: dict[str, Path | bytes] = dict(_files(directory))
    files |= {f"{PACKAGE.name}/{name}": file for name, file in _files(PACKAGE)}
    return Publication("space", files, space_sdk=SDK)


def stage_space(directory: str | Path, target: str | Path) -> Path:
    """Make a folder of what would be published, to run it as the Hub does.

    Args:
        directory: The Space.
        target: The folder to make; it appears whole or not at all.

    Returns:
        `target`.

    Raises:
        PublishingError: As in `prepare_space`.
        DatasetError: The target holds something already.
    """
    publication = prepare_space(directory)
    target = require_free_target(target, overwrite=False)
    with staged_folder(target) as staging:
        for name, file in publication.files.items():
            (staging / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(cast(Path, file), staging / name)
    return target


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted(directory.rglob("*")):
        parts = file.relative_to(directory).parts
        hidden = any(part.startswith(".") or part in LEFT_OUT for part in parts)
        # Gradio writes .pyi files beside components of one's own.
        if file.is_file() and not hidden and file.suffix != ".pyi":
            yield "/".join(parts), file
