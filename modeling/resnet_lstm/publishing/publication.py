"""What is to be published: a kind of repository and the files it shall hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["model", "dataset", "space"]


@dataclass(frozen=True)
class Publication:
    """Files that were found fit to be published.

    Attributes:
        kind: Of the repository.
        files: What it shall hold: the path there, and the file here or its content.
        warnings: What the user should know before it is uploaded, one line each.
        space_sdk: What runs a Space.
    """

    kind: Kind
    files: Mapping[str, Path | bytes]
    warnings: tuple[str, ...] = ()
    space_sdk: str | None = None

    @property
    def card(self) -> str:
        """The text of its `README.md`."""
        content = self.files["README.md"]
        return (content if isinstance(content, bytes) else content.read_bytes()).decode("utf-8")

    def size_bytes(self, path: str) -> int:
        """How large a file of it is."""
        content = self.files[path]
        return len(content) if isinstance(content, bytes) else content.stat().st_size
