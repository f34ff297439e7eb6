"""The files that Gradio was installed with reach a browser as they are, each compressed once."""

from __future__ import annotations

from pathlib import Path

import gradio
import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from built_files import BuiltFiles
from space_fixtures import RunningSpace

SCRIPT = "/assets/Index-Ab3_x-9Z.js"
TEXT = "let moved = frames.map(frame => frame.share);\n" * 200


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def client(asked: list[str]) -> TestClient:
    """What answers with the text, but for one file that is not there yet when it is asked for first."""

    def answer(request: Request) -> Response:
        asked.append(request.url.path)
        late = "late" in request.url.path and asked.count(request.url.path) == 1
        return PlainTextResponse("Not found." if late else TEXT, 404 if late else 200)

    routes = [Route("/{path:path}", answer)]
    return TestClient(Starlette(routes=routes, middleware=[Middleware(BuiltFiles)]))


def test_a_file_is_made_once_for_all_who_ask(client: TestClient, asked: list[str]) -> None:
    first, second = (client.get(SCRIPT, headers={"Accept-Encoding": "gzip, br"}) for _ in range(2))
    assert asked == [SCRIPT]
    assert first.text == second.text == TEXT
    assert first.headers == second.headers
    assert first.headers["content-encoding"] == "br"
    assert int(first.headers["content-length"]) < len(TEXT) / 10
    assert "immutable" in first.headers["cache-control"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (SCRIPT, {"Accept-Encoding": "gzip"}),
        (SCRIPT, {"Accept-Encoding": "br", "Range": "bytes=0-9"}),
        ("/config", {"Accept-Encoding": "br"}),
        ("/assets/logo.js", {"Accept-Encoding": "br"}),
        ("/gradio_api/file=/assets/mine-Ab3_x-9Z.js", {"Accept-Encoding": "br"}),
    ],
    ids=["no brotli", "a part", "no file", "no hash in its name", "a visitor's"],
)
def test_all_else_is_passed_on(client: TestClient, asked: list[str], path: str, headers: dict[str, str]) -> None:
    for times in (1, 2):
        answer = client.get(path, headers=headers)
        assert answer.text == TEXT
        assert "cache-control" not in answer.headers
        assert len(asked) == times


def test_what_was_not_there_is_asked_for_again(client: TestClient) -> None:
    path = "/assets/late-Ab3_x-9Z.js"
    assert [client.get(path, headers={"Accept-Encoding": "br"}).status_code for _ in range(2)] == [404, 200]


def test_the_installed_files_are_sent_as_they_are(space: RunningSpace) -> None:
    built = Path(gradio.__file__).parent / "templates" / "frontend" / "assets"
    files = sorted(path for path in built.iterdir() if path.suffix in {".js", ".css"})[::40]
    for file in files:
        answer = httpx.get(f"{space.url}/assets/{file.name}", headers={"Accept-Encoding": "br"})
        assert answer.content == file.read_bytes()
        assert "immutable" in answer.headers["cache-control"]
