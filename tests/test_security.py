"""What strangers may send or name, and what must not come of it."""

from __future__ import annotations

import http.server
import pickle
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from resnet_lstm import (
    ResNetLSTMForVideoClassification,
    ResNetLSTMVideoProcessor,
    VideoDecodingError,
    decode_video,
    video_sources,
)
from resnet_lstm.data.archives import ArchiveError, extract
from resnet_lstm.features import UNIFORM, FeatureCache
from resnet_lstm.inference import load_model
from resnet_lstm.plain_text import csv_cell, printable
from resnet_lstm.publishing.markdown import literal, table
from resnet_lstm.training.checkpoint import load_tensors


class Malicious:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return (Path.touch, (self.mark,))


def test_the_pickle_would_do_harm(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Malicious(tmp_path / "mark")))  # noqa: S301 - what all the others must not do
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_no_model_is_read_from_a_pickle(model_dir: Path, tmp_path: Path, name: str) -> None:
    (model_dir / "model.safetensors").unlink()
    (model_dir / name).write_bytes(pickle.dumps(Malicious(tmp_path / "mark")))
    for load in (load_model, ResNetLSTMForVideoClassification.from_pretrained):
        with pytest.raises((OSError, ValueError, SafetensorError)):
            load(str(model_dir))
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_no_backbone_is_read_from_a_pickle(tiny_backbone: Path, tmp_path: Path, name: str) -> None:
    backbone = Path(shutil.copytree(tiny_backbone, tmp_path / "backbone"))
    (backbone / "model.safetensors").unlink()
    (backbone / name).write_bytes(pickle.dumps(Malicious(tmp_path / "mark")))
    with pytest.raises(Exception, match=r"safetensors|header|Header|JSON") as error:
        ResNetLSTMForVideoClassification.from_backbone(str(backbone), num_labels=3)
    assert not isinstance(error.value, AttributeError | TypeError)
    assert not (tmp_path / "mark").exists()


def test_no_checkpoint_and_no_feature_is_read_from_a_pickle(
    tmp_path: Path, tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor
) -> None:
    cache = FeatureCache(tmp_path / "cache", tiny_model.resnet_lstm, tiny_processor)
    path = cache.path("ab12", UNIFORM)
    path.parent.mkdir()
    for place in (path, tmp_path / "checkpoint.safetensors"):
        place.write_bytes(pickle.dumps(Malicious(tmp_path / "mark")))
    with pytest.raises(ValueError, match="damaged"):
        cache.load("ab12", UNIFORM)
    with pytest.raises(Exception, match=r"header|Header"):
        load_tensors(tmp_path / "checkpoint.safetensors")
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\x1b[2J\x1b[31mred", r"\x1b[2J\x1b[31mred"),
        ("two\nlines\r", r"two\nlines\r"),
        ("gpj.\u202eexe", r"gpj.\u202eexe"),
        ("broken \udcff", r"broken \udcff"),
        ("Türkçe 跳 🏸", "Türkçe 跳 🏸"),
    ],
)
def test_a_name_does_nothing_to_a_terminal(name: str, shown: str) -> None:
    assert printable(name) == shown


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_name_is_no_formula(name: str) -> None:
    assert csv_cell(name).startswith("'")
    assert csv_cell(name)[1:] == printable(name)


def test_a_name_is_neither_html_nor_markdown_in_a_card() -> None:
    name = "<img src=x onerror=alert(1)> [here](http://x) **bold** `code` | cell\n# heading"
    (_, _, row) = table(["class"], [[literal(name)]]).splitlines()
    assert "<img" not in row
    assert r"\[here\](http://x) \*\*bold\*\* \`code\` \| cell\\n\# heading" in row


def test_an_archive_that_would_fill_the_disk_is_refused(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(3):
            file.writestr(f"UCF-101/{number}.avi", bytes(32 * 2**20))
    with pytest.raises(ArchiveError, match=r"bomb\.zip: would be more than 20 times as large"):
        extract(bomb, tmp_path / "out")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path.startswith("/to/"):
                self.send_response(302)
                self.send_header("Location", self.path.removeprefix("/to/"))
                self.end_headers()
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(bytes(2**20))

        def log_message(self, *args: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


@pytest.mark.parametrize("place", ["ftp://127.0.0.1/clip.mp4", "file:///etc/passwd"])
def test_no_redirect_leads_elsewhere_than_to_the_web(server: str, place: str) -> None:
    with pytest.raises(VideoDecodingError, match=r"not downloaded|the server answered 302"):
        decode_video(f"{server}/to/{place}")


def test_no_download_is_endless(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(video_sources, "_URL_MAX_BYTES", 2**19)
    monkeypatch.setattr(video_sources, "_CHUNK_BYTES", 2**16)
    with pytest.raises(VideoDecodingError, match=r"clip\.mp4: larger than the .* GiB that are downloaded"):
        decode_video(f"{server}/clip.mp4")
    monkeypatch.setattr(video_sources, "_URL_MAX_BYTES", 2**30)
    monkeypatch.setattr(video_sources, "_URL_MAX_SECONDS", -1)
    with pytest.raises(VideoDecodingError, match=r"clip\.mp4: not downloaded within"):
        decode_video(f"{server}/clip.mp4")


@pytest.mark.parametrize(
    "name", ["concat:a.mp4|b.mp4", "subfile,,start,0,end,0,,:/etc/passwd", "data:video/mp4;base64,AA"]
)
def test_a_name_is_never_a_protocol_of_ffmpeg(name: str) -> None:
    with pytest.raises(VideoDecodingError, match="no such file"):
        decode_video(name)
