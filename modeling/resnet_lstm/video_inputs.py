"""The forms in which a video comes: a file, a decoder, or frames."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers.video_utils import VideoMetadata, is_valid_video, make_batched_metadata, make_batched_videos

from .video_damage import Damage
from .video_decoding import probe_video, segment_positions
from .video_sources import VideoDecodingError, VideoSource
from .video_streams import ToPicture, decode_packets, open_stream, stream_packets

# Far more than the rounding of a time stamp to seconds in a float, far less than a frame's time on the screen.
_MOMENT_SECONDS = 1e-6


def as_list(videos: Any) -> list[Any]:
    """One video or a nested sequence of them -> each a file, a decoder, or frames `[T, H, W, C]` or `[T, C, H, W]`.

    Raises:
        ValueError: There is none, or one is of no known form.
    """
    if is_file(videos) or is_decoder(videos):
        return [videos]
    if isinstance(videos, Sequence) and not _is_frames(videos):
        if not videos:
            raise ValueError(f"{videos!r}: there is no video.")
        return [clip for video in videos for clip in as_list(video)]
    if isinstance(videos, Sequence):
        videos = [_with_colours(frame) for frame in videos]
        if all(isinstance(frame, torch.Tensor) for frame in videos):
            # On whatever device they are.
            videos = torch.stack(videos)
    clips: list[Any] = make_batched_videos(videos)
    return clips


def _is_frames(videos: Sequence[Any]) -> bool:
    return isinstance(videos, list | tuple) and bool(is_valid_video(videos))


def _with_colours(frame: Any) -> Any:
    """A PIL picture in grey or with a palette in colour; any other frame as it is."""
    is_picture = hasattr(frame, "convert")
    return frame.convert("RGB") if is_picture and frame.mode not in ("RGB", "RGBA") else frame


def is_file(video: Any) -> bool:
    """Whether it is a video file, rather than frames."""
    if isinstance(video, str | os.PathLike | bytes | Mapping):
        return True
    return hasattr(video, "read") and not isinstance(video, np.ndarray | torch.Tensor)


def is_decoder(video: Any) -> bool:
    """Whether it is a `VideoDecoder`. `torchcodec` need not be installed to tell."""
    return hasattr(video, "get_frames_played_at") and hasattr(video, "metadata")


def source_of(video: VideoSource | Mapping[str, Any]) -> VideoSource:
    """What a file is read from.

    Raises:
        ValueError: A mapping holds neither the bytes nor the path.
    """
    if not isinstance(video, Mapping):
        return video
    for key in ("bytes", "path"):
        if video.get(key) is not None:
            source: VideoSource = video[key]
            return source
    raise ValueError(f"a video with {sorted(video)}: neither its bytes nor its path are there.")


def readable_twice(source: VideoSource) -> VideoSource:
    """The source, or its bytes if it can be read but once."""
    if isinstance(source, str | os.PathLike | bytes) or source.seekable():
        return source
    return source.read()


def file_metadata(source: VideoSource) -> VideoMetadata:
    """What a file tells of its video."""
    info = probe_video(source)
    return VideoMetadata(
        total_num_frames=info.num_frames,
        fps=info.fps,
        width=info.width,
        height=info.height,
        duration=info.seconds,
        video_backend="pyav",
    )


def all_pictures(source: VideoSource, damage: Damage | None = None) -> Iterator[np.ndarray]:
    """Every frame of a file in order, `[H, W, 3]` uint8.

    Args:
        source: The file.
        damage: Told of frames that are broken, not of missing ones: the packets are not counted first.

    Raises:
        VideoDecodingError: The source is missing, is no video, or no frame of it can be decoded.
    """
    picture = None
    with open_stream(source, num_threads=0) as (stream, name):
        to_picture = ToPicture()
        for _, frame in decode_packets(stream, stream_packets(stream), damage=damage):
            picture = to_picture(frame)
            yield picture
        if picture is None:
            raise VideoDecodingError(f"{name}: no frame of it can be decoded ({stream.codec_context.name}).")


def decoder_metadata(decoder: Any) -> VideoMetadata:
    """What a `VideoDecoder` tells of its video."""
    return VideoMetadata(
        total_num_frames=len(decoder),
        fps=decoder.metadata.average_fps,
        width=decoder.metadata.width,
        height=decoder.metadata.height,
        duration=decoder.metadata.duration_seconds,
        video_backend="torchcodec",
    )


def decoder_frames(decoder: Any, num_frames: int | None) -> torch.Tensor:
    """Frames of a `VideoDecoder`, sampled by the time at which they are on the screen, as of a file.

    Args:
        decoder: The `VideoDecoder`.
        num_frames: T; None for all.

    Returns:
        `[T, 3, H, W]` uint8, or `[T, H, W, 3]` if the decoder gives that.
    """
    if num_frames is None:
        frames: torch.Tensor = decoder[:]
        return frames
    begin, end = decoder.metadata.begin_stream_seconds, decoder.metadata.end_stream_seconds
    # The moment after a frame comes up is its own, whichever way the time stamp was rounded.
    moments = [begin + float(p) * (end - begin) + _MOMENT_SECONDS for p in segment_positions(num_frames)]
    frames = decoder.get_frames_played_at(moments).data
    return frames


def metadata_of(videos: list[Any], video_metadata: Any) -> list[VideoMetadata | None]:
    """What was told of each video; None where nothing was.

    Raises:
        ValueError: Something was told of a file or a decoder, which tell it themselves, or not of as many videos.
    """
    if video_metadata is None:
        return [None] * len(videos)
    if any(is_file(video) or is_decoder(video) for video in videos):
        raise ValueError("video_metadata: a video file tells this itself, give it for frames alone.")
    all_metadata: list[VideoMetadata | None] = make_batched_metadata(videos, video_metadata)
    if len(all_metadata) != len(videos):
        raise ValueError(f"{len(videos)} videos but {len(all_metadata)} `video_metadata`")
    return all_metadata
