"""How close in time the frames are that a model learns from."""

from __future__ import annotations

import statistics

from ..data.video_folder import VideoFolder
from ..video_decoding import probe_video
from ..video_sources import VideoDecodingError

# The median of so many clips is known well enough; the durations of others are not looked up in their files.
_MOST_CLIPS_PROBED = 200


def clip_frame_rate(folder: VideoFolder, num_frames: int) -> float | None:
    """Frames a second that sampling gives in the median training clip.

    Clips are of different lengths, and so many frames are taken from each: a model reads all rates around this one.

    Args:
        folder: The dataset. Where its metadata tells no durations, those of up to 200 clips are read from their files.
        num_frames: T, how many frames are sampled from a clip.

    Returns:
        The rate, to three digits after the point; None where no clip can be read.
    """
    clips = folder.clips("train")
    seconds = [clip.seconds for clip in clips if clip.seconds]
    if not seconds:
        for clip in clips[:: -(-len(clips) // _MOST_CLIPS_PROBED) or 1]:
            try:
                seconds.append(probe_video(folder.path("train", clip)).seconds)
            except VideoDecodingError:  # it is named where its features are extracted
                continue
    return round(num_frames / statistics.median(seconds), 3) if seconds else None
