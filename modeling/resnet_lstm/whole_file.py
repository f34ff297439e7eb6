"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place when the block ends without an error.

    A reader never meets half a file, and an error or a kill leaves the old one. Processes may write the same file.
    Whoever writes it, the file has the mode that the umask gives: safetensors would let only its user read it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        temporary.unlink()
        yield temporary
        temporary.chmod(mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_texts(directory: Path, texts: Mapping[str, str]) -> None:
    """Write text files by name into a folder, which is made where it is missing; each appears whole or not at all."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with written_whole(directory / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
