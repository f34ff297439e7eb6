"""Decoding in a process of its own, with limits: a file that takes it down, or all of its time, is an error message.

Decoders are large and read what strangers send. Their process may hold so much memory and take so much time, and what
comes back from it is plain numbers: nothing that it sends is executed.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch

from ..feeding import ClipPictures, load_pictures
from ..video_damage import Damage
from ..video_decoding import probe_video
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..video_sources import VideoDecodingError
from ..video_streams import open_stream
from .annotation import annotate_video
from .frame_reader import TimedFrame, open_frames
from .timeline import Timeline

try:
    import resource
except ImportError:  # Windows has no limits of this kind; time is limited there too
    resource = None  # type: ignore[assignment]

# Plain values and arrays.
Message: TypeAlias = tuple[dict[str, Any], list[np.ndarray]]
Send: TypeAlias = Callable[[dict[str, Any], Sequence[np.ndarray]], None]

_ITEM, _END, _ERROR = "item", "end", "error"
_PRELOADED = "resnet_lstm.inference.decoding_apart"


@dataclass(frozen=True)
class DecodingLimits:
    """What a process that decodes may use.

    Attributes:
        memory_bytes: Memory, beside what the program itself takes.
        silent_seconds: How long it may work until something comes of it.
        total_seconds: How long it may compute in all, over all cores.
        file_bytes: The largest file that it may write.
    """

    memory_bytes: int = 3 * 2**30
    silent_seconds: float = 60
    total_seconds: int = 1200
    file_bytes: int = 2**30


def run_apart(
    function: Callable[..., None], *arguments: Any, name: str, limits: DecodingLimits | None = None
) -> Iterator[Message]:
    """Call a function in a process of its own, and yield what it sends.

    The process ends with the iterator, whether or not that has been read to its end.

    Args:
        function: Of a module; called with a `Send` and the arguments.
        *arguments: Its arguments.
        name: What the file is called in messages.
        limits: What the process may use.

    Raises:
        VideoDecodingError: The function raised an error, whose message this has; or its process died or was too slow.
    """
    limits = limits or DecodingLimits()
    context = _context()
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_serve, args=(sender, limits, function, arguments, name), daemon=True)
    process.start()
    sender.close()
    try:
        while True:
            kind, values, arrays = _receive(receiver, process, name, limits)
            if kind == _END:
                return
            if kind == _ERROR:
                raise VideoDecodingError(str(values["message"]))
            yield values, arrays
    finally:
        process.kill()
        process.join()
        receiver.close()


def warm_up() -> None:
    """Have ready what processes begin with, so that the first one does not wait for the imports."""
    with contextlib.suppress(VideoDecodingError):
        list(run_apart(_nothing, name="warm-up"))


def probe_apart(path: str | Path, limits: DecodingLimits | None = None) -> Iterator[dict[str, Any]]:
    """What a file says of its video, before anything of it is decoded and after its first frame was.

    Yields:
        `{"width", "height"}` as its header tells, 0 where nothing decodes it; then `{"seconds", "fps"}`.

    Raises:
        VideoDecodingError: As `probe_video`; or the process died or was too slow.
    """
    for values, _ in run_apart(_send_probe, str(path), name=str(path), limits=limits):
        yield values


def load_pictures_apart(
    path: str | Path, processor: ResNetLSTMVideoProcessor, limits: DecodingLimits | None = None
) -> ClipPictures:
    """`load_pictures` of a file, for people too, in a process of its own.

    Raises:
        VideoDecodingError: As there; or the process died or was too slow.
    """
    settings = processor.to_dict()
    ((values, arrays),) = run_apart(_send_clip, str(path), settings, name=str(path), limits=limits)
    pictures, seconds, shown = arrays
    return ClipPictures(torch.from_numpy(pictures), seconds, torch.from_numpy(shown), _damage(values))


class FramesApart:
    """The `SteadyFrames` of a file that another process decodes.

    Attributes:
        total_seconds: As there.
        damage: As there.
    """

    def __init__(self, messages: Iterator[Message]) -> None:
        self._messages = messages
        header, _ = next(messages)
        self.total_seconds: float | None = header["total_seconds"]
        self.damage = Damage()

    def __iter__(self) -> Iterator[TimedFrame]:
        for values, arrays in self._messages:
            if arrays:
                yield TimedFrame(float(values["seconds"]), arrays[0])
            else:
                self.damage = _damage(values)


@contextlib.contextmanager
def open_frames_apart(path: str | Path, fps: float, limits: DecodingLimits | None = None) -> Iterator[FramesApart]:
    """`open_frames` of a file in a process of its own.

    Raises:
        VideoDecodingError: As there; or the process died or was too slow.
    """
    messages = run_apart(_send_frames, str(path), fps, name=str(path), limits=limits)
    with contextlib.closing(messages):  # type: ignore[type-var]
        yield FramesApart(messages)


def annotate_video_apart(
    path: str | Path,
    timeline: Timeline,
    output: str | Path,
    progress: Callable[[float, float | None], None] | None = None,
    limits: DecodingLimits | None = None,
) -> Path:
    """`annotate_video` in a process of its own.

    Raises:
        VideoDecodingError: As there; or the process died or was too slow.
    """
    for values, _ in run_apart(_annotate, str(path), timeline, str(output), name=str(path), limits=limits):
        if progress is not None:
            progress(values["seconds"], values["total_seconds"])
    return Path(output)


def _context() -> Any:
    """A server that has imported all and is copied for each file; a new program where there is no such thing."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", _PRELOADED])
    return context


def _receive(
    receiver: Connection, process: Any, name: str, limits: DecodingLimits
) -> tuple[str, dict[str, Any], list[np.ndarray]]:
    if not receiver.poll(limits.silent_seconds):
        raise VideoDecodingError(f"{name}: given up, since nothing came of it in {limits.silent_seconds:g} seconds.")
    try:
        header = json.loads(receiver.recv_bytes())
        arrays = [
            np.frombuffer(bytearray(receiver.recv_bytes()), np.dtype(array["dtype"])).reshape(array["shape"])
            for array in header["arrays"]
        ]
    except (EOFError, OSError):
        process.join()
        raise VideoDecodingError(f"{name}: {_why_it_ended(process.exitcode)}") from None
    return header["kind"], header["values"], arrays


def _why_it_ended(exit_code: int | None) -> str:
    if exit_code == -getattr(signal, "SIGXCPU", 0):
        return "given up, since it takes too long to decode."
    if exit_code == -getattr(signal, "SIGXFSZ", 0):
        return "given up, since what is made of it is too large."
    if exit_code == -getattr(signal, "SIGKILL", 0):
        return "given up, since it takes too much memory to decode."
    return f"decoding it took the decoder down (exit code {exit_code}). Is the file damaged?"


def _damage(values: dict[str, Any]) -> Damage:
    return Damage(int(values["num_frames"]), int(values["num_missing"]), {int(n) for n in values["broken_ticks"]})


# What follows is done by the other process.


def _serve(
    sender: Connection, limits: DecodingLimits, function: Callable[..., None], arguments: Sequence[Any], name: str
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that reads decides
    _limit(limits)
    lock = threading.Lock()

    def send(values: dict[str, Any], arrays: Sequence[np.ndarray] = (), kind: str = _ITEM) -> None:
        described = [{"dtype": array.dtype.str, "shape": array.shape} for array in arrays]
        with lock:
            sender.send_bytes(json.dumps({"kind": kind, "values": values, "arrays": described}).encode())
            for array in arrays:
                sender.send_bytes(array.tobytes())

    try:
        function(send, *arguments)
    except MemoryError:
        send({"message": f"{name}: given up, since it takes too much memory to decode."}, kind=_ERROR)
    except (ValueError, OSError, RuntimeError) as error:
        message = str(error) if name in str(error) else f"{name}: {error}"
        send({"message": message}, kind=_ERROR)
    else:
        send({}, kind=_END)


def _limit(limits: DecodingLimits) -> None:
    if resource is None:
        return
    with contextlib.suppress(OSError):  # where /proc is missing, only the memory stays as it is
        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (in_use + limits.memory_bytes,) * 2)
    computed = int(time.process_time()) + limits.total_seconds
    resource.setrlimit(resource.RLIMIT_CPU, (computed, computed + 5))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _nothing(send: Send) -> None:
    del send


def _send_probe(send: Send, path: str) -> None:
    with open_stream(path) as (stream, _):
        context = stream.codec_context
        send({"width": context.width, "height": context.height}, [])
    info = probe_video(path)
    send({"seconds": info.seconds, "fps": info.fps}, [])


def _send_clip(send: Send, path: str, settings: dict[str, Any]) -> None:
    processor = ResNetLSTMVideoProcessor(**settings)
    clip = load_pictures(path, processor, num_threads=os.cpu_count() or 1, to_show=True)
    assert clip.shown is not None  # noqa: S101 - it was asked for
    send(_told(clip.damage), [clip.pictures.numpy(), clip.seconds, clip.shown.numpy()])


def _send_frames(send: Send, path: str, fps: float) -> None:
    with open_frames(path, fps) as frames:
        send({"total_seconds": frames.total_seconds}, [])
        for frame in frames:
            send({"seconds": frame.seconds}, [frame.picture])
        send(_told(frames.damage), [])


def _annotate(send: Send, path: str, timeline: Timeline, output: str) -> None:
    def progress(seconds: float, total_seconds: float | None) -> None:
        send({"seconds": seconds, "total_seconds": total_seconds}, [])

    annotate_video(path, timeline, output, progress=progress)


def _told(damage: Damage) -> dict[str, Any]:
    return {
        "num_frames": damage.num_frames,
        "num_missing": damage.num_missing,
        "broken_ticks": sorted(damage.broken_ticks),
    }
