"""A video file -> sampled RGB frames, with PyAV alone.

A clip's frames are chosen by the time at which they are on the screen, so that a constant and a variable frame rate
follow one rule:

    wanted 4 of a clip of 10 frames   |0 1 2 . 3 4 . 5 6 7 . 8 9|   four equal segments
    middle of each segment                1    3     6     8        evenly over the whole clip, always the same
    wanted 4 of a clip of 2 frames    -> [0, 0, 1, 1]               a short clip repeats its frames in order

Training takes a random moment of each segment instead of its middle (TSN, https://arxiv.org/abs/1608.00859).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .video_damage import Damage
from .video_seeking import frames_at, frames_on_screen
from .video_sources import VideoSource
from .video_streams import ToPicture, open_stream
from .video_timeline import read_timeline

# Part of every feature cache's key: raise it when the same file and settings begin to give other frames.
DECODER_VERSION = 2


@dataclass(frozen=True)
class VideoInfo:
    """What a video file holds.

    Attributes:
        num_frames: Pictures in the file, as its container counts them.
        fps: Their mean number a second.
        seconds: The video's duration.
        width: Width in pixels, as displayed (after rotation).
        height: Height in pixels, as displayed (after rotation).
        rotation: Degrees counter-clockwise, a multiple of 90, by which the stored picture is turned for display.
        codec: FFmpeg's name of the codec.
        damage: What is missing or broken, as far as the container and the first frame tell.
    """

    num_frames: int
    fps: float
    seconds: float
    width: int
    height: int
    rotation: int
    codec: str
    damage: Damage


@dataclass(frozen=True)
class SampledFrames:
    """Frames of one clip in the order of time.

    Attributes:
        frames: `[T, H, W, 3]` uint8, RGB.
        seconds: `[T]` float64, the moment each frame was chosen for, counted from the clip's start.
        damage: What of the file is missing, or was found broken on the way to these frames.
    """

    frames: np.ndarray
    seconds: np.ndarray
    damage: Damage


def segment_positions(num_frames: int, generator: np.random.Generator | None = None) -> list[Fraction]:
    """The sampling rule: one position in each of `num_frames` equal segments of a clip.

    Args:
        num_frames: T, how many positions; at least 1.
        generator: Draws a random position in each segment; without it, the middle of each.

    Returns:
        T positions in ascending order, 0 being the clip's start and 1 its end (never reached).

    Raises:
        ValueError: `num_frames` is below 1.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames={num_frames}: at least one frame must be sampled.")
    if generator is None:
        return [Fraction(2 * segment + 1, 2 * num_frames) for segment in range(num_frames)]
    return [(segment + Fraction(float(generator.random()))) / num_frames for segment in range(num_frames)]


def sample_frame_indices(
    total_frames: int, num_frames: int, generator: np.random.Generator | None = None
) -> np.ndarray:
    """The frames that `decode_video` chooses from a clip of `total_frames` at a constant rate.

    Args:
        total_frames: How many frames there are; at least 1.
        num_frames: T, how many are wanted.
        generator: As in `segment_positions`.

    Returns:
        `[T]` int64 indices in ascending order; a clip with fewer than T frames repeats them in order.

    Raises:
        ValueError: One of the numbers is below 1.
    """
    if total_frames < 1:
        raise ValueError(f"total_frames={total_frames}: there is no frame to sample from.")
    return np.array([int(position * total_frames) for position in segment_positions(num_frames, generator)])


def sample_video(
    source: VideoSource,
    num_frames: int = 16,
    generator: np.random.Generator | None = None,
    *,
    num_threads: int = 0,
    damage: Damage | None = None,
) -> Iterator[tuple[float, np.ndarray]]:
    """Sample frames evenly over a whole video, one after the other, so that large ones are never in memory together.

    Only the stretches that lead to a wanted frame are decoded: in a long file it seeks from key frame to key frame,
    and on the way it leaves out the frames that no other one is made from.

    Args:
        source: A path, an http(s) URL, the file's bytes, or a binary file object.
        num_frames: T, how many frames; any clip of at least one frame gives exactly T.
        generator: Draws a random moment in each of T equal segments (training); without it, the middle of each.
        num_threads: How many decode the file. 0, as many as there are cores, gives one clip soonest; 1 is best where
            other clips are decoded, or a model runs, at the same time.
        damage: Told what is found missing or broken; complete after the last frame.

    Yields:
        The moment each frame was chosen for, in seconds from the clip's start, and the frame, `[H, W, 3]` uint8, RGB,
        turned upright where the file says so. A frame that repeats is the same array.

    Raises:
        VideoDecodingError: The source is missing, is no video, or no frame of it can be decoded.
        ValueError: `num_frames` is below 1.
    """
    positions = segment_positions(num_frames, generator)
    damage = Damage() if damage is None else damage
    with open_stream(source, num_threads) as (stream, name):
        timeline = read_timeline(stream, name, damage)
        frames = frames_at(source, stream, timeline, positions, name, damage)
        to_picture = ToPicture()
        previous = picture = None
        for position, frame in zip(positions, frames, strict=True):
            if picture is None or frame is not previous:
                previous, picture = frame, to_picture(frame)
            yield float(position * timeline.seconds), picture


def decode_video(
    source: VideoSource,
    num_frames: int = 16,
    generator: np.random.Generator | None = None,
    *,
    num_threads: int = 0,
) -> SampledFrames:
    """All frames of `sample_video`, which see for the arguments and errors, in one array."""
    damage = Damage()
    sampled = sample_video(source, num_frames, generator, num_threads=num_threads, damage=damage)
    moments, pictures = zip(*sampled, strict=True)
    return SampledFrames(np.stack(pictures), np.array(moments), damage)


def probe_video(source: VideoSource) -> VideoInfo:
    """What a video file holds, by its packets and its first frame.

    Args:
        source: As in `decode_video`.

    Raises:
        VideoDecodingError: As in `decode_video`.
    """
    with open_stream(source) as (stream, name):
        damage = Damage()
        timeline = read_timeline(stream, name, damage)
        frame = next(frames_on_screen(stream, timeline, [Fraction(0)], name, damage))
        height, width = ToPicture()(frame).shape[:2]
        return VideoInfo(
            num_frames=len(timeline.frame_ticks),
            fps=float(len(timeline.frame_ticks) / timeline.seconds),
            seconds=float(timeline.seconds),
            width=width,
            height=height,
            rotation=round(frame.rotation / 90) * 90 % 360,
            codec=stream.codec_context.name,
            damage=damage,
        )
