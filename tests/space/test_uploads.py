from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from uploads import UploadGate, Uploads


@pytest.fixture
def uploads(tmp_path: Path) -> Uploads:
    return Uploads(tmp_path / "files", max_bytes=1000)


def upload(uploads: Uploads, name: str = "clip.mp4") -> Path:
    """An upload as Gradio stores it: the same bytes under the same name are one file."""
    path = uploads.folder / "hash of its bytes" / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"video")
    return path


def test_an_upload_is_gone_when_its_request_has_ended(uploads: Uploads) -> None:
    uploads.arriving()
    path = upload(uploads)
    uploads.arrived([path])
    uploads.release(path)
    assert list(uploads.folder.rglob("*")) == []


def test_two_uploads_of_the_same_bytes_wait_for_the_last_request(uploads: Uploads) -> None:
    for _ in range(2):
        uploads.arriving()
        path = upload(uploads)
        uploads.arrived([path])
    uploads.release(path)
    assert path.is_file()
    uploads.release(path)
    assert not path.exists()


def test_no_file_is_deleted_while_it_may_be_arriving_anew(uploads: Uploads) -> None:
    uploads.arriving()
    path = upload(uploads)
    uploads.arrived([path])
    uploads.arriving()
    uploads.release(path)
    assert path.is_file()
    uploads.arrived([])
    assert not path.exists()


def test_what_was_not_uploaded_stays(uploads: Uploads, tmp_path: Path) -> None:
    example = tmp_path / "example.mp4"
    example.write_bytes(b"video")
    uploads.release(example)
    uploads.release(None)
    assert example.is_file()


def test_a_result_that_was_not_finished_leaves_nothing(uploads: Uploads) -> None:
    with uploads.new_file("whole.mp4") as whole:
        whole.write_bytes(b"video")
    with pytest.raises(RuntimeError), uploads.new_file("broken.mp4"):
        raise RuntimeError
    assert [path for path in uploads.folder.rglob("*") if path.is_file()] == [whole]
    assert len(list(uploads.folder.iterdir())) == 1


def test_a_sweep_takes_what_is_old(uploads: Uploads) -> None:
    old, new, of_tomorrow = (upload(uploads, f"{name}.mp4") for name in ("old", "new", "of tomorrow"))
    for path, seconds in ((old, -1000), (of_tomorrow, 86_400)):
        os.utime(path, (time.time() + seconds,) * 2)
    uploads.sweep(kept_seconds=900)
    assert not old.exists()
    assert not of_tomorrow.exists()
    assert new.is_file()


def client(uploads: Uploads) -> TestClient:
    async def receive(request: Request) -> JSONResponse:
        await request.body()
        return JSONResponse([str(upload(uploads))])

    routes = [Route("/gradio_api/upload", receive, methods=["POST"]), Route("/{path:path}", lambda _: JSONResponse(1))]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(UploadGate, uploads=uploads)]))


def test_the_gate_counts_what_arrives(uploads: Uploads) -> None:
    (path,) = client(uploads).post("/gradio_api/upload", content=b"x").json()
    uploads.release(path)
    assert not Path(path).exists()


def test_the_gate_refuses_an_upload_by_its_announced_size(uploads: Uploads) -> None:
    answer = client(uploads).post("/gradio_api/upload", headers={"Content-Length": str(10**9)})
    assert answer.status_code == 413
    assert "maximum allowed size of 1000 bytes" in answer.text


@pytest.mark.parametrize("path", ["/gradio_api/process_recording", "/gradio_api/file=http://127.0.0.1/", "/proxy=x"])
def test_routes_that_serve_others_are_closed(uploads: Uploads, path: str) -> None:
    assert client(uploads).get(path).status_code == 404
    assert client(uploads).get("/config").status_code == 200
