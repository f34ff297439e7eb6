"""How much of a video file is damaged: what its container tells of and has not, and what cannot be decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction

import av

# Coded pictures of these never begin with so many zeros; of an uncompressed picture they would be black.
_CODECS_WITHOUT_ZEROS = frozenset(
    ("av1", "h264", "hevc", "mjpeg", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v3", "theora", "vp8", "vp9", "wmv2")
)
_ZEROS = bytes(16)
_MOST_FRAMES_TOLD = 2**30


@dataclass
class Damage:
    """How much of a video file is damaged, as far as it was read.

    What is not decoded on the way to the frames that are wanted is judged by its container alone, so that the number
    of damaged frames is the least there are.

    Attributes:
        num_frames: Pictures that are in the file, or that its container says are.
        num_missing: How many of them are not there: the file was cut off, or a stretch of it was overwritten.
        broken_ticks: When those come up that are there, and damaged.
    """

    num_frames: int = 0
    num_missing: int = 0
    broken_ticks: set[int] = field(default_factory=set)

    @property
    def num_damaged(self) -> int:
        """How many pictures are missing or broken."""
        return min(self.num_missing + len(self.broken_ticks), self.num_frames)

    def add_broken(self, ticks: int | None) -> None:
        """Note that the picture that comes up then is damaged; nothing where the time is not known."""
        if ticks is not None:
            self.broken_ticks.add(ticks)

    def judge(self, packet: av.Packet, ticks: int, codec: str) -> None:
        """Note a packet that holds no whole picture: the file ends in it, or zeros stand where it should begin.

        Args:
            packet: Of the video stream, not empty.
            ticks: When its picture comes up.
            codec: FFmpeg's name of the codec.
        """
        if packet.is_corrupt or (codec in _CODECS_WITHOUT_ZEROS and memoryview(packet)[:16] == _ZEROS):
            self.broken_ticks.add(ticks)

    def __bool__(self) -> bool:
        return self.num_damaged > 0

    def __str__(self) -> str:
        return f"{self.num_damaged} of {self.num_frames} frames are damaged or missing"


def num_frames_missing(stream: av.VideoStream, num_packets: int, mean_gap: Fraction, end_ticks: int) -> int:
    """How many more pictures a container says it holds than were found.

    Args:
        stream: The video stream, its packets read.
        num_packets: How many there were, with those that are not to be shown.
        mean_gap: Ticks from one picture to the next; 0 where there is but one.
        end_ticks: When the last of them ends.
    """
    container = stream.container.format.name
    if container.startswith("matroska"):
        missing_ticks = _matroska_seconds(stream) / stream.time_base - end_ticks
        # The duration of the last frame is a guess.
        return int(missing_ticks / mean_gap) if mean_gap and missing_ticks >= 2 * mean_gap else 0
    # An edit list of MP4 leaves frames out of the index on purpose, which the header counts.
    num_told = len(stream.index_entries) if container.startswith("mov,") else stream.frames
    if container == "mxf":
        num_told = stream.duration or 0  # its ticks are frames
    # A recording that could not seek back to its header says as many as there could ever be.
    return max(0, num_told - num_packets) if num_told < _MOST_FRAMES_TOLD else 0


def _matroska_seconds(stream: av.VideoStream) -> Fraction:
    """When a stream of Matroska or WebM ends, as written beside it: `00:00:02.400000000`; 0 where it is not."""
    try:
        hours, minutes, seconds = stream.metadata.get("DURATION", "").split(":")
        return 3600 * int(hours) + 60 * int(minutes) + Fraction(seconds)
    except ValueError:
        return Fraction(0)
