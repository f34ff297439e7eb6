"""A video with its timeline drawn into the picture, and its sound as it was."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..video_sources import VideoDecodingError, VideoSource
from ..video_streams import ToPicture, decode_packets, open_stream, stream_packets
from ..whole_file import written_whole
from .timeline import Progress, Segment, Timeline

_CONTAINER_OF_SUFFIX = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
# Sound that the containers above hold and players know; a container may take more than players do.
_PLAYED_EVERYWHERE = {"aac", "ac3", "eac3", "flac", "mp3", "opus"}
# An encoder's first packets come before the sound they lead up to.
_PRIMING_SECONDS = Fraction(1, 10)
_TICKS_PER_SECOND = 90_000  # divides into whole ticks for every common frame rate
_ENCODER_OPTIONS = {"crf": "20", "preset": "veryfast"}

_KNOWN_COLOUR, _UNKNOWN_COLOUR, _TEXT_COLOUR = (47, 109, 181), (90, 96, 105), (255, 255, 255)


def annotate_video(
    source: VideoSource, timeline: Timeline, output: str | Path, *, progress: Progress | None = None
) -> Path:
    """Write a copy of a video with each segment's action and score in the picture.

    The picture is encoded anew (H.264), turned upright where the file asks for that; its frames keep their times. The
    first sound track is copied as it is, or encoded as AAC where the new container cannot hold it.

    Args:
        source: A path, an http(s) URL, the file's bytes, or a binary file object.
        timeline: Of the same video.
        output: Where to write: mp4, mov or mkv.
        progress: Called every second of the video.

    Returns:
        `output`.

    Raises:
        VideoDecodingError: The source is missing, is no video, or no frame of it can be decoded.
        ValueError: `output` has another suffix, or is the source.
    """
    output = Path(output)
    container_format = _CONTAINER_OF_SUFFIX.get(output.suffix.lower())
    if container_format is None:
        raise ValueError(f"{output}: the annotated video must be one of {', '.join(_CONTAINER_OF_SUFFIX)}.")
    if isinstance(source, str | Path) and output.exists() and Path(source).exists() and output.samefile(source):
        raise ValueError(f"{output}: is the video itself. Choose another place for the annotated one.")
    with (
        open_stream(source) as (stream, name),
        written_whole(output) as temporary,
        av.open(str(temporary), "w", format=container_format) as container,
    ):
        writer = _Writer(container, stream, _Labels(timeline))
        next_report = 0.0
        for ticks, frame in decode_packets(stream, writer.video_packets()):
            seconds = writer.write(ticks, frame)
            if progress is not None and seconds >= next_report:
                progress(seconds, timeline.total_seconds)
                next_report = seconds + 1
        if writer.num_frames == 0:
            raise VideoDecodingError(f"{name}: no frame of it can be decoded ({stream.codec_context.name}).")
        writer.finish()
    return output


class _Writer:
    """Takes a video's frames and passes on what belongs to its sound."""

    def __init__(self, container: av.container.OutputContainer, stream: av.VideoStream, labels: _Labels) -> None:
        self.num_frames = 0
        self._container = container
        self._source = stream
        self._labels = labels
        self._to_picture = ToPicture()
        self._start_seconds: Fraction | None = None
        self._last_pts = -1
        rate = Fraction(stream.average_rate or 25).limit_denominator(1001)
        self._video = container.add_stream("libx264", rate=rate, options=dict(_ENCODER_OPTIONS))
        self._video.pix_fmt = "yuv420p"
        self._video.codec_context.time_base = Fraction(1, _TICKS_PER_SECOND)
        sound = next(iter(stream.container.streams.audio), None)
        self._sound = None if sound is None else _Sound(container, sound)

    def video_packets(self) -> Iterator[av.Packet]:
        """The packets of the picture; those of the sound are written as they pass by."""
        streams = [self._source, *([self._sound.source] if self._sound else [])]
        waiting: list[av.Packet] = []
        for packet in stream_packets(*streams):
            if packet.stream is self._source:
                yield packet
            elif self._sound is not None:
                waiting.append(packet)
            # The sound is written from where the picture starts, which is known when there is a picture.
            if self._start_seconds is not None and self._sound is not None:
                for each in waiting:
                    self._sound.write(each, self._start_seconds)
                waiting.clear()

    def write(self, ticks: int, frame: av.VideoFrame) -> float:
        """Write a frame, and return its moment in seconds from the first."""
        if self._start_seconds is None:
            self._start_seconds = ticks * self._source.time_base
        seconds = ticks * self._source.time_base - self._start_seconds
        # Damaged files have frames out of order or two at a time, which no container takes.
        pts = max(round(seconds * _TICKS_PER_SECOND), self._last_pts + 1)
        picture = _with_even_sides(self._to_picture(frame))
        if self.num_frames == 0:
            self._video.height, self._video.width = picture.shape[:2]
        labelled = av.VideoFrame.from_ndarray(self._labels.draw(picture, float(seconds)), format="rgb24")
        labelled.pts, labelled.time_base = pts, Fraction(1, _TICKS_PER_SECOND)
        self._container.mux(self._video.encode(labelled))
        self._last_pts = pts
        self.num_frames += 1
        return float(seconds)

    def finish(self) -> None:
        """Write what the encoders still hold."""
        self._container.mux(self._video.encode())
        if self._sound is not None:
            self._sound.finish()


class _Sound:
    """Copies a sound track, or encodes it anew where the container cannot hold it."""

    def __init__(self, container: av.container.OutputContainer, source: av.AudioStream) -> None:
        self.source = source
        self._container = container
        self._encoder: av.AudioStream | None = None
        codec = source.codec_context.codec.canonical_name
        if codec in _PLAYED_EVERYWHERE and codec in container.supported_codecs:
            self._copy = container.add_stream_from_template(source)
        else:
            self._encoder = container.add_stream("aac", rate=source.codec_context.sample_rate or 48_000)

    def write(self, packet: av.Packet, start_seconds: Fraction) -> None:
        if self._encoder is None:
            self._write_copy(packet, start_seconds)
            return
        try:
            frames = packet.decode()
        except av.error.InvalidDataError:
            return
        for frame in frames:
            if frame.pts is not None:
                frame.pts -= round(start_seconds / frame.time_base)
            self._container.mux(self._encoder.encode(frame))

    def finish(self) -> None:
        if self._encoder is not None:
            self._container.mux(self._encoder.encode())

    def _write_copy(self, packet: av.Packet, start_seconds: Fraction) -> None:
        if packet.dts is None:  # the empty packet at the end
            return
        shift = round(start_seconds / packet.time_base)
        packet.pts, packet.dts = (packet.dts if packet.pts is None else packet.pts) - shift, packet.dts - shift
        if packet.pts * packet.time_base > -_PRIMING_SECONDS:
            packet.stream = self._copy
            self._container.mux(packet)


class _Labels:
    """Draws each segment's name and score into the lower left corner; each is set only once."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        self._segment: Segment | None = None
        self._label = np.empty((0, 0, 3), np.uint8)

    def draw(self, picture: np.ndarray, seconds: float) -> np.ndarray:
        """A copy of `[H, W, 3]` uint8 with the label of its moment."""
        height, width = picture.shape[:2]
        segment = self._timeline.segment_at(seconds)
        if segment is not self._segment:
            self._segment, self._label = segment, _label_picture(segment, height, width)
        labelled = picture.copy()
        margin = min(height, width) // 40
        bottom = height - margin
        label = self._label[:bottom, : width - margin]
        labelled[bottom - label.shape[0] : bottom, margin : margin + label.shape[1]] = label
        return labelled


def _label_picture(segment: Segment, height: int, width: int) -> np.ndarray:
    """`[h, w, 3]` uint8, no wider than the picture."""
    text = segment.name if segment.label is None else f"{segment.label}  {100 * segment.score:.0f} %"
    size = max(8, min(height, width) // 16)
    font = ImageFont.load_default(size)
    while size > 8 and font.getlength(text) + size > width * 0.95:
        size -= 1
        font = ImageFont.load_default(size)
    padding = size // 2
    image = Image.new(
        "RGB",
        (round(font.getlength(text)) + 2 * padding, size + 2 * padding),
        _KNOWN_COLOUR if segment.label is not None else _UNKNOWN_COLOUR,
    )
    ImageDraw.Draw(image).text((padding, image.height / 2), text, _TEXT_COLOUR, font, anchor="lm")
    return np.asarray(image)


def _with_even_sides(picture: np.ndarray) -> np.ndarray:
    """H.264 halves the resolution of colours: a last odd row or column goes."""
    height, width = picture.shape[:2]
    return picture[: max(2, height // 2 * 2), : max(2, width // 2 * 2)]
