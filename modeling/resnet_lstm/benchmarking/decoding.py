"""Decoding the sampled frames of a clip, against the readers that others use."""

from __future__ import annotations

import importlib.util
import logging
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np

from ..video_decoding import decode_video, probe_video, sample_frame_indices
from .figures import Figure
from .turns import Contender, ratios, time_in_turns

logger = logging.getLogger(__name__)

# A file and the indices of the wanted frames -> these frames, `[T, H, W, 3]`.
Reader = Callable[[Path, list[int]], np.ndarray]


def time_decoding(
    part: str, files: Sequence[Path], num_frames: int, num_rounds: int, whole: bool = False
) -> list[Figure]:
    """Time the readers that are installed, each on all files in each round, relative to the fastest other than ours.

    Args:
        part: The name of the comparison.
        files: Clips at a constant frame rate.
        num_frames: T, how many frames are sampled from each.
        num_rounds: How many rounds.
        whole: Also time decoding all frames.
    """
    wanted = {file: sample_frame_indices(probe_video(file).num_frames, num_frames).tolist() for file in files}
    readers: dict[str, Reader] = {"resnet_lstm": lambda file, indices: decode_video(file, len(indices)).frames}
    others = other_readers(files[0])
    readers |= others
    if whole:
        readers["PyAV, all frames"] = _everything

    def contender(name: str, reader: Reader) -> Contender:
        def run(number: int) -> None:
            for file, indices in wanted.items():
                reader(file, indices)

        return Contender(name, run, per=len(files))

    seconds = time_in_turns([contender(*reader) for reader in readers.items()], num_rounds, part)
    fastest = min(others, key=lambda name: np.median(seconds[name])) if others else "resnet_lstm"
    return ratios(part, seconds, fastest)


def other_readers(file: Path) -> dict[str, Reader]:
    """The readers that are installed and can read this file, by name."""
    readers: dict[str, Reader] = {"transformers, PyAV": _transformers}
    if importlib.util.find_spec("cv2"):
        readers |= {"OpenCV, in sequence": _opencv_sequential, "OpenCV, seeking": _opencv_seeking}
    if importlib.util.find_spec("decord"):
        readers["decord"] = _decord
    if importlib.util.find_spec("torchcodec"):
        readers["torchcodec"] = _torchcodec
    return {name: reader for name, reader in readers.items() if _can_read(name, reader, file)}


def _can_read(name: str, reader: Reader, file: Path) -> bool:
    try:
        reader(file, [0, 1])
    except Exception as error:  # each of these libraries fails in ways of its own
        logger.warning("%s is left out: it cannot read %s (%s)", name, file.name, str(error).strip().split("\n")[0])
        return False
    return True


def _transformers(path: Path, indices: list[int]) -> np.ndarray:
    from transformers.video_utils import read_video_pyav

    frames, _ = read_video_pyav(str(path), lambda metadata, **_: np.array(indices))
    return frames


def _opencv_sequential(path: Path, indices: list[int]) -> np.ndarray:
    import cv2

    capture = cv2.VideoCapture(str(path))
    frames: list[np.ndarray] = []
    for index in range(indices[-1] + 1):
        capture.grab()
        if index in indices:
            frames += [_opencv_picture(capture.retrieve(), frames)] * indices.count(index)
    capture.release()
    return np.stack(frames)


def _opencv_seeking(path: Path, indices: list[int]) -> np.ndarray:
    import cv2

    capture = cv2.VideoCapture(str(path))
    frames: list[np.ndarray] = []
    for index in indices:
        capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        frames.append(_opencv_picture(capture.read(), frames))
    capture.release()
    return np.stack(frames)


def _opencv_picture(retrieved: tuple[bool, np.ndarray], before: list[np.ndarray]) -> np.ndarray:
    import cv2

    there, picture = retrieved
    # It has no picture for the empty packets of XviD's packed B-frames.
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) if there else before[-1]


def _decord(path: Path, indices: list[int]) -> np.ndarray:
    import decord

    return decord.VideoReader(str(path)).get_batch(indices).asnumpy()


def _torchcodec(path: Path, indices: list[int]) -> np.ndarray:
    from torchcodec.decoders import VideoDecoder

    # As many threads as there are cores; its default is one.
    decoder = VideoDecoder(str(path), dimension_order="NHWC", num_ffmpeg_threads=0, seek_mode="approximate")
    return decoder.get_frames_at(indices).data.numpy()


def _everything(path: Path, indices: list[int]) -> np.ndarray:
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        (last,) = deque(container.decode(video=0), maxlen=1)
        return last.to_ndarray(format="rgb24")
