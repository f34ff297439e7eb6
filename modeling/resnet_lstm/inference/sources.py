"""What a user names on a command line -> the clips meant."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from ..data.folder_clips import VIDEO_SUFFIXES, by_suffix, is_clip

logger = logging.getLogger(__name__)


def find_sources(names: Iterable[str]) -> list[str]:
    """Clips and URLs as they are named, and in the place of a folder all clips below it, by name.

    What in a folder is no clip by its name is named in a warning.

    Raises:
        FileNotFoundError: A folder holds no clip.
    """
    sources = []
    for name in names:
        if not Path(name).is_dir():
            sources.append(name)
            continue
        files = sorted(path for path in Path(name).rglob("*") if not path.is_dir())
        clips = [str(path) for path in files if is_clip(path)]
        passed_over = {str(path) for path in files} - set(clips)
        if passed_over:
            others = by_suffix(str(Path(path).relative_to(name)) for path in passed_over)
            logger.warning("%s: passed over, no clips by their names: %s", name, others)
        if not clips:
            raise FileNotFoundError(
                f"{name}: no clip in this folder (looked for {', '.join(sorted(VIDEO_SUFFIXES))})."
            )
        sources.extend(clips)
    return sources
