"""What a user names on a command line -> the clips meant."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..data.build import VIDEO_SUFFIXES


def find_sources(names: Iterable[str]) -> list[str]:
    """Clips and URLs as they are named, and in the place of a folder all clips below it, by name.

    Raises:
        FileNotFoundError: A folder holds no clip.
    """
    sources = []
    for name in names:
        if not Path(name).is_dir():
            sources.append(name)
            continue
        clips = sorted(str(path) for path in Path(name).rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
        if not clips:
            raise FileNotFoundError(
                f"{name}: no clip in this folder (looked for {', '.join(sorted(VIDEO_SUFFIXES))})."
            )
        sources.extend(clips)
    return sources
