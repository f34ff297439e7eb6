"""Which files of a folder are clips, and what is told of the others: each of a folder's files is read or named."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

VIDEO_SUFFIXES = frozenset(
    (
        *(".264", ".265", ".3g2", ".3gp", ".apng", ".asf", ".avi", ".divx", ".dv", ".f4v", ".flv", ".gif", ".h264"),
        *(".h265", ".hevc", ".ivf", ".m1v", ".m2t", ".m2ts", ".m2v", ".m4v", ".mjpeg", ".mjpg", ".mkv", ".mov"),
        *(".mp4", ".mpeg", ".mpg", ".mts", ".mxf", ".nut", ".ogm", ".ogv", ".qt", ".ts", ".vob", ".webm"),
        *(".wmv", ".xvid", ".y4m"),
    )
)

_PACKET_BYTES = 188
_SYNC_BYTE = 0x47
# In .m2ts the time of each packet stands before it.
_PACKET_STARTS = ((0, _PACKET_BYTES), (4, 4 + _PACKET_BYTES + 4))


def is_clip(path: Path) -> bool:
    """Whether a file is one of video by its name; what is named `.ts` may be TypeScript, and is looked into.

    Hidden files are none: `._clip.mp4` is what macOS leaves beside a clip.
    """
    suffix = path.suffix.lower()
    if suffix not in VIDEO_SUFFIXES or path.name.startswith(".") or not path.is_file():
        return False
    return suffix != ".ts" or _is_transport_stream(path)


def _is_transport_stream(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(2 * _PACKET_BYTES)
    return any(len(head) > second and head[first] == head[second] == _SYNC_BYTE for first, second in _PACKET_STARTS)


def by_suffix(names: Iterable[str]) -> str:
    """Names of files in one line: how many there are of each suffix, and which."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[Path(name).suffix.lower() or "no suffix"].append(name)
    return "; ".join(f"{len(group)} {suffix} ({', '.join(sorted(group))})" for suffix, group in sorted(groups.items()))
