from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from conftest import numbered_frames
from resnet_lstm import VideoDecodingError
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.inference import open_live
from resnet_lstm.inference.live_reader import NewestFrames


def video_frame(number: int) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(np.full((16, 16, 3), number, np.uint8), format="rgb24")


def test_a_late_reader_gets_the_newest_frame_and_the_others_are_dropped() -> None:
    go_on = threading.Event()
    produced = threading.Event()

    def camera() -> Iterator[tuple[float, av.VideoFrame]]:
        for number in range(20):
            if number == 10:
                produced.set()
                go_on.wait(120)
            yield number / 10, video_frame(number)

    frames = NewestFrames(camera(), fps=10)
    assert produced.wait(120)
    reader = iter(frames)
    first = next(reader)
    assert (first.seconds, int(first.picture.mean())) == (pytest.approx(0.9), 9)
    assert frames.dropped == 9
    go_on.set()
    frames.close()
    rest = list(reader)
    assert len(rest) <= 1
    frames.close()


def test_frames_come_at_the_rate_that_is_asked_for() -> None:
    # The camera waits for the reader, so that nothing is dropped.
    taken = threading.Semaphore(1)

    def camera() -> Iterator[tuple[float, av.VideoFrame]]:
        for number in range(100):
            if number % 10 == 0:
                assert taken.acquire(timeout=120)
            yield number / 30, video_frame(number)

    seconds = []
    for frame in NewestFrames(camera(), fps=3):
        seconds.append(frame.seconds)
        taken.release()
    np.testing.assert_allclose(seconds, np.arange(10) / 3)


def test_an_error_of_the_source_reaches_the_reader() -> None:
    def camera() -> Iterator[tuple[float, av.VideoFrame]]:
        yield 0.0, video_frame(0)
        raise VideoDecodingError("camera: broke off.")

    with pytest.raises(VideoDecodingError, match="camera: broke off"):
        list(NewestFrames(camera(), fps=30))


def test_a_file_is_read_whole(numbered_clip: Path) -> None:
    with open_live(str(numbered_clip), 5) as frames:
        assert [frame.seconds for frame in frames] == pytest.approx([0.1, 0.3, 0.5, 0.7])


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """The address of a server of the files in `tmp_path`."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: object) -> None:
            super().__init__(*arguments, directory=str(tmp_path))  # type: ignore[arg-type]

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_stream_without_an_end_gives_the_newest_frames(server: str, tmp_path: Path) -> None:
    with av.open(str(tmp_path / "camera.mjpg"), "w", format="mpjpeg") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuvj420p"
        for picture in numbered_frames(20):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    with open_live(f"{server}/camera.mjpg", 25) as frames:
        assert isinstance(frames, NewestFrames)
        seen = list(frames)
    assert len(seen) >= 1
    assert seen[-1].picture.shape == (48, 64, 3)


def test_a_file_on_a_server_is_no_stream(server: str, tmp_path: Path) -> None:
    write_video(tmp_path / "clip.mp4", numbered_frames(20))
    with open_live(f"{server}/clip.mp4", 5) as frames:
        assert len(list(frames)) == 4


@pytest.mark.parametrize(
    ("source", "message"),
    [("99", "webcam 99: "), ("/dev/video99", "webcam /dev/video99: "), ("none.mp4", "none.mp4: no such file")],
)
def test_what_cannot_be_opened_is_named(source: str, message: str) -> None:
    with pytest.raises(VideoDecodingError, match=message), open_live(source, 5):
        pass


def test_a_password_is_in_no_message() -> None:
    with (
        pytest.raises(VideoDecodingError, match=r"^127\.0\.0\.1:9/live") as error,
        open_live("rtsp://me:secret@127.0.0.1:9/live?token=secret", 5),
    ):
        pass
    assert "secret" not in str(error.value)
    assert error.value.__cause__ is None
