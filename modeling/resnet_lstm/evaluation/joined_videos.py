"""An untrimmed test set: clips of known actions joined into long videos, with clips of none of them in between."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..data.class_names import is_background
from ..data.video_encoding import write_video
from ..data.video_folder import SPLITS, DatasetError, VideoFolder, file_sha256
from ..inference import find_sources, open_frames
from ..video_decoding import DECODER_VERSION
from ..video_sources import VideoDecodingError
from ..whole_file import written_whole

logger = logging.getLogger(__name__)

JOINED_FPS = 25
JOINED_SIZE = (240, 320)  # height and width; the model squashes every picture, so the shape does not matter
KNOWN_CLIPS_PER_VIDEO = 6

# Fine enough that the model sees the clips and not the encoder. At one quality and in one thread, since x264 writes
# other bytes each time where it adapts the quality to the picture, and writes down the number of its threads.
_CODEC_OPTIONS = {"qp": "18", "preset": "veryfast", "threads": "1"}


@dataclass(frozen=True)
class SourceClip:
    """A clip to be joined with others.

    Attributes:
        path: Where it is.
        label: Its action; None for one that the model does not know.
    """

    path: Path
    label: str | None


@dataclass(frozen=True)
class TrueSegment:
    """What happens in a stretch of a joined video.

    Attributes:
        label: The action; None for one that the model does not know.
        start_seconds: Its start.
        end_seconds: Its end.
    """

    label: str | None
    start_seconds: float
    end_seconds: float


@dataclass(frozen=True)
class JoinedVideo:
    """A long video, and the truth about it.

    Attributes:
        path: Where it is.
        segments: In order of time, without gaps; neighbours differ in their label.
    """

    path: Path
    segments: tuple[TrueSegment, ...]

    def label_at(self, seconds: float) -> str | None:
        """The true label at a moment."""
        return next((s.label for s in self.segments if seconds < s.end_seconds), self.segments[-1].label)


def known_clips(folder: VideoFolder, split: str) -> list[SourceClip]:
    """The clips of a split; those of the background, which is no action, have no label."""
    return [
        SourceClip(folder.path(split, clip), None if is_background(clip.label) else clip.label)
        for clip in folder.clips(split)
    ]


def unknown_clips(place: Path, known_labels: Sequence[str]) -> list[SourceClip]:
    """The clips below a folder whose class is none of the known ones.

    Args:
        place: A VideoFolder, all of whose splits are taken, or any folder of clips, in folders named after their
            classes or not.
        known_labels: The classes that the model knows.

    Raises:
        DatasetError: There is no such clip.
        FileNotFoundError: There is no clip at all.
    """
    known = {label for label in known_labels if not is_background(label)}
    if any((place / split / "metadata.csv").is_file() for split in SPLITS):
        folder = VideoFolder.open(place)
        labelled = [(folder.path(s, clip), clip.label) for s in SPLITS for clip in folder.clips(s)]
    else:
        labelled = [(Path(path), Path(path).parent.name) for path in find_sources([str(place)])]
    unknown = [SourceClip(path, None) for path, label in labelled if label not in known]
    if not unknown:
        raise DatasetError(f"{place}: all its clips are of actions that the model knows.")
    return unknown


def join_clips(
    known: Sequence[SourceClip], unknown: Sequence[SourceClip], cache_dir: Path, *, seed: int = 0
) -> list[JoinedVideo]:
    """Join all known clips, each once, in random order; as far as there are unknown clips, one follows each.

    The same clips and seed give the same videos, which are kept and found again.

    Args:
        known: Clips of known actions.
        unknown: Clips of others; none are joined more than once.
        cache_dir: Where the videos are kept, in a folder of their own.
        seed: Of the order.

    Raises:
        DatasetError: No clip can be decoded.
    """
    orders = _arrange(known, unknown, seed)
    directory = cache_dir / "joined-videos" / _key(orders)
    videos = []
    for number, order in enumerate(tqdm(orders, desc="joining", unit="video")):
        video = _joined(order, directory / f"{number:03}.mp4")
        if video is not None:
            videos.append(video)
    if not videos:
        raise DatasetError("none of the clips to be joined can be decoded.")
    return videos


def _arrange(known: Sequence[SourceClip], unknown: Sequence[SourceClip], seed: int) -> list[list[SourceClip]]:
    generator = np.random.default_rng(seed)
    shuffled = [known[index] for index in generator.permutation(len(known))]
    others = [unknown[index] for index in generator.permutation(len(unknown))[: len(known)]]
    followed = np.zeros(len(known), bool)
    followed[generator.permutation(len(known))[: len(others)]] = True
    orders: list[list[SourceClip]] = []
    for index, clip in enumerate(shuffled):
        if index % KNOWN_CLIPS_PER_VIDEO == 0:
            orders.append([])
        orders[-1].append(clip)
        if followed[index]:
            orders[-1].append(others.pop())
    return orders


def _key(orders: list[list[SourceClip]]) -> str:
    sha256 = {clip.path: file_sha256(clip.path) for order in orders for clip in order}
    settings = {
        "clips": [[[sha256[clip.path], clip.label] for clip in order] for order in orders],
        "codec": _CODEC_OPTIONS,
        "decoder": DECODER_VERSION,
        "fps": JOINED_FPS,
        "size": JOINED_SIZE,
    }
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def _joined(order: list[SourceClip], path: Path) -> JoinedVideo | None:
    """The video of these clips, which is made if it is not there; None where none of them can be decoded."""
    truth = path.with_suffix(".json")
    if not truth.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        lengths: list[int] = []
        # `write_video` takes the container from the suffix.
        incomplete = path.with_name(f"{path.stem}.incomplete.mp4")
        frames = _frames_of(order, lengths)
        first = next(frames, None)
        if first is None:
            return None
        write_video(incomplete, itertools.chain([first], frames), fps=JOINED_FPS, codec_options=_CODEC_OPTIONS)
        incomplete.replace(path)
        segments = _merged([clip.label for clip in order], lengths)
        with written_whole(truth) as temporary:
            temporary.write_text(json.dumps([asdict(segment) for segment in segments], indent=2) + "\n", "utf-8")
    rows = json.loads(truth.read_text(encoding="utf-8"))
    return JoinedVideo(path, tuple(TrueSegment(**row) for row in rows))


def _frames_of(order: list[SourceClip], lengths: list[int]) -> Iterator[np.ndarray]:
    """The frames of one clip after the other; how many each has is appended to `lengths`."""
    height, width = JOINED_SIZE
    for clip in order:
        lengths.append(0)
        try:
            with open_frames(clip.path, JOINED_FPS) as frames:
                for frame in frames:
                    picture = Image.fromarray(frame.picture).resize((width, height), Image.Resampling.BILINEAR)
                    yield np.asarray(picture)
                    lengths[-1] += 1
        except VideoDecodingError as error:
            logger.warning("left out: %s", error)


def _merged(labels: list[str | None], lengths: list[int]) -> list[TrueSegment]:
    """One segment for neighbours of the same label."""
    segments: list[TrueSegment] = []
    start = 0
    for label, length in zip(labels, lengths, strict=True):
        end = start + length
        if length and segments and segments[-1].label == label:
            segments[-1] = TrueSegment(label, segments[-1].start_seconds, end / JOINED_FPS)
        elif length:
            segments.append(TrueSegment(label, start / JOINED_FPS, end / JOINED_FPS))
        start = end
    return segments
