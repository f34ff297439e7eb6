"""A Space's folder -> what is published of it, or why it is not."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import SpaceCard

from .cards import CARD_FILE, parse_card
from .errors import PublishingError
from .publication import Publication

SDK = "gradio"
LEFT_OUT = frozenset(("__pycache__", "node_modules", "venv"))


def prepare_space(directory: str | Path) -> Publication:
    """Collect a Space's files: all but hidden ones and caches.

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
    files: dict[str, Path | bytes] = {}
    for file in sorted(directory.rglob("*")):
        parts = file.relative_to(directory).parts
        if file.is_file() and not any(part.startswith(".") or part in LEFT_OUT for part in parts):
            files["/".join(parts)] = file
    return Publication("space", files, space_sdk=SDK)
