"""The endpoints, as programs call them."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

import bad_videos
from conftest import SCRIPTS
from resnet_lstm import probe_video
from resnet_lstm.data.generated_clips import generate_frames
from resnet_lstm.data.video_encoding import write_video
from space_fixtures import ACTIONS, RunningSpace, running_space, wait_until_nothing_is_kept

gradio_client = pytest.importorskip("gradio_client")


@pytest.fixture(scope="module")
def client(space: RunningSpace) -> Any:
    return gradio_client.Client(space.url, verbose=False, analytics_enabled=False)


@pytest.fixture(autouse=True)
def nothing_is_kept(space: RunningSpace) -> Iterator[None]:
    """After each test there is no file of it on the server, but an annotated video that can still be fetched."""
    yield
    assert wait_until_nothing_is_kept(space) == []


def as_the_command_line_says(model: Path, videos: list[Path], *arguments: str) -> list[dict[str, Any]]:
    answers = videos[0].with_name("answers.jsonl")
    command = [sys.executable, str(SCRIPTS / "predict.py"), str(model), *map(str, videos), "--json", str(answers)]
    subprocess.run([*command, *arguments], check=True, capture_output=True)
    records = [json.loads(line) for line in answers.read_text().splitlines()]
    return [record | {"source": Path(record["source"]).name} for record in records]


def upload(space: RunningSpace, path: Path) -> str:
    """Upload a file as the page does, and return what the server calls it."""
    body = b"--line\r\nContent-Disposition: form-data; name=files; filename=" + path.name.encode() + b"\r\n\r\n"
    body += path.read_bytes() + b"\r\n--line--\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=line"}
    request = urllib.request.Request(f"{space.url}/gradio_api/upload", body, headers)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - this machine
        return json.loads(answer.read())[0]


def call_with_path(space: RunningSpace, path: str) -> str:
    """Call `/classify` with a path or an address of our choice, and return what comes back."""
    data = {"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}
    headers = {"Content-Type": "application/json"}
    call = f"{space.url}/gradio_api/call/classify"
    request = urllib.request.Request(call, json.dumps(data).encode(), headers)  # noqa: S310
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        event = json.loads(answer.read())["event_id"]
    with urllib.request.urlopen(f"{call}/{event}") as answer:  # noqa: S310
        return answer.read().decode()


def test_classify_says_what_the_command_line_says(client: Any, trained_model: Path, tmp_path: Path) -> None:
    clips = [
        write_video(tmp_path / f"{label}{suffix}", generate_frames(label, 1, seed=3))
        for label, suffix in zip(ACTIONS, (".avi", ".mp4", ".webm"), strict=True)
    ]
    for clip, expected in zip(clips, as_the_command_line_says(trained_model, clips), strict=True):
        answer = client.predict(gradio_client.handle_file(str(clip)), api_name="/classify")
        assert answer["top"][0]["label"] == clip.stem
        assert {key: answer[key] for key in expected} == expected


def test_timeline_says_what_the_command_line_says(client: Any, trained_model: Path, tmp_path: Path) -> None:
    pictures = [picture for n in range(6) for picture in generate_frames(ACTIONS[2 * (n // 3)], n, seed=3)]
    video = write_video(tmp_path / "both.mp4", pictures)
    answer, annotated = client.predict(
        gradio_client.handle_file(str(video)), min_score=0.4, annotate=True, api_name="/timeline"
    )
    assert [answer] == as_the_command_line_says(trained_model, [video], "--timeline", "--min-score", "0.4")
    labels = [segment["label"] for segment in answer["segments"] if segment["label"]]
    assert (labels[0], labels[-1]) == (ACTIONS[0], ACTIONS[2])
    assert probe_video(annotated).num_frames == len(pictures)


def test_live_follows_a_camera(client: Any, tmp_path: Path) -> None:
    from PIL import Image

    for picture in generate_frames("green_to_red", 2, seed=3)[::4]:
        Image.fromarray(picture).save(tmp_path / "frame.png")
        answer = client.predict(gradio_client.handle_file(str(tmp_path / "frame.png")), api_name="/live")
    assert answer["top"][0]["label"] == "green_to_red"


def test_about_tells_figures_and_limits(client: Any) -> None:
    figures, limits = client.predict(api_name="/about")
    assert "Right at the first guess" in figures
    assert "Limits" in limits


def test_the_example_of_the_readme_runs(space: RunningSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    given = {"clip": 1, "match": 2, "another": 3, **{f"wave-{n}": n + 4 for n in range(3)}}
    for name, number in given.items():
        write_video(tmp_path / f"{name}.mp4", generate_frames("grow", number, seed=3))
    for number in range(3):
        write_video(tmp_path / f"clap-{number}.mp4", generate_frames("darken", number, seed=3))
    Image.fromarray(generate_frames("grow", 1, seed=3)[0]).save(tmp_path / "frame.jpg")
    readme = (Path(__file__).parents[2] / "space" / "README.md").read_text()
    (program,) = (block for block in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "gradio_client" in block)
    assert "http://127.0.0.1:7860" in program
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(program.replace("http://127.0.0.1:7860", space.url), names)  # noqa: S102 - it is ours
    assert names["answer"]["source"] == "match.mp4"
    assert probe_video(names["annotated"]).num_frames > 0
    taught = names["client"].predict(gradio_client.handle_file("wave-0.mp4"), api_name="/teach_try")
    assert {row["label"] for row in taught["top"]} == {"wave", "clap"}
    assert "Right at the first guess" in names["figures"]


def test_only_these_endpoints_are_named(client: Any) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert sorted(named) == ["/about", "/classify", "/live", "/teach_clip", "/teach_learn", "/teach_try", "/timeline"]


@pytest.mark.parametrize("endpoint", ["/classify", "/timeline"])
def test_a_bad_video_is_refused_in_one_line_without_a_path(client: Any, tmp_path: Path, endpoint: str) -> None:
    broken = bad_videos.write_silent_codec(tmp_path / "a<b>.mp4")
    with pytest.raises(gradio_client.exceptions.AppError) as error:
        client.predict(gradio_client.handle_file(str(broken)), api_name=endpoint)
    assert "no frame of it can be decoded (h264)" in str(error.value)
    assert "/" not in str(error.value)
    assert "<b>" not in str(error.value)


def test_nothing_given_is_refused(client: Any) -> None:
    with pytest.raises(gradio_client.exceptions.AppError, match="Nothing was given to look at"):
        client.predict(None, api_name="/classify")


@pytest.mark.parametrize("path", ["/etc/hostname", "model", "http://127.0.0.1:9/clip.mp4"])
def test_no_path_of_the_server_and_no_link_is_taken(space: RunningSpace, trained_model: Path, path: str) -> None:
    answer = call_with_path(space, str(trained_model / "config.json") if path == "model" else path)
    assert "event: error" in answer
    assert "hidden_size" not in answer


def test_no_file_of_the_server_is_served(space: RunningSpace, trained_model: Path) -> None:
    for path in (trained_model / "config.json", space.folder / "log.txt", Path(__file__), SCRIPTS / "predict.py"):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"{space.url}/gradio_api/file={urllib.parse.quote(str(path))}")  # noqa: S310
        assert error.value.code in (403, 404)


def test_an_oversize_upload_is_refused_before_it_is_read(space: RunningSpace) -> None:
    address = urllib.parse.urlparse(space.url)
    with socket.create_connection((address.hostname or "", address.port or 0), timeout=120) as connection:
        connection.sendall(
            b"POST /gradio_api/upload HTTP/1.1\r\nHost: here\r\nContent-Length: 300000000\r\n"
            b"Content-Type: multipart/form-data; boundary=line\r\n\r\n"
        )
        answer = connection.recv(1000).decode()
    assert answer.startswith("HTTP/1.1 413")


def test_a_cancelled_request_stops_computing(client: Any, space: RunningSpace, tmp_path: Path) -> None:
    pictures = generate_frames("grow", 1, seed=3)
    times = range(0, 500_000, 500)
    video = write_video(tmp_path / "long.mp4", (pictures[n % 24] for n in range(1000)), presentation_times=times)
    job = client.submit(gradio_client.handle_file(str(video)), api_name="/timeline")
    while not any("part" in answer and answer["part"] for answer, _ in job.outputs()):
        assert not job.done()
        time.sleep(0.05)
    job.cancel()
    assert wait_until_nothing_is_kept(space) == []
    idle = processor_seconds(space)
    time.sleep(2)
    assert processor_seconds(space) - idle < 1


def processor_seconds(space: RunningSpace) -> float:
    fields = Path(f"/proc/{space.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@pytest.fixture(scope="module")
def with_tools(trained_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSpace]:
    """The Space as an MCP server."""
    pytest.importorskip("mcp")
    with running_space(trained_model, tmp_path_factory.mktemp("mcp"), "--mcp") as running:
        yield running
        assert wait_until_nothing_is_kept(running) == []


def use_tool(space: RunningSpace, name: str, clip: Path | None = None, **arguments: Any) -> Any:
    """What a visitor of the MCP server gets, each time by a connection of its own."""
    if clip is not None:
        arguments["frame" if name == "live" else "video"] = f"{space.url}/gradio_api/file={upload(space, clip)}"

    async def use() -> Any:
        async with mcp_client(space) as client:
            result = await client.call_tool(name, arguments)
            said = result.content[0].text
            return said if result.isError else ast.literal_eval(said)

    return _in_a_thread(use())


@asynccontextmanager
async def mcp_client(space: RunningSpace) -> AsyncIterator[Any]:
    from mcp import ClientSession
    from mcp.client.streamable_http import streamable_http_client

    async with (
        streamable_http_client(f"{space.url}/gradio_api/mcp/") as (read, write, _),
        ClientSession(read, write) as client,
    ):
        await client.initialize()
        yield client


def _in_a_thread(work: Coroutine[Any, Any, Any]) -> Any:
    # In this thread the event loop of the browser runs, if a test has opened one.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def test_endpoints_are_tools_of_an_mcp_server(with_tools: RunningSpace, tmp_path: Path) -> None:
    from PIL import Image

    async def names() -> list[str]:
        async with mcp_client(with_tools) as client:
            return [tool.name for tool in (await client.list_tools()).tools]

    endpoints = ["about", "classify", "live", "teach_clip", "teach_learn", "teach_try", "timeline"]
    assert sorted(_in_a_thread(names())) == endpoints
    clip = write_video(tmp_path / "clip.mp4", generate_frames("grow", 1, seed=3))
    assert use_tool(with_tools, "classify", clip)["top"][0]["label"] == "grow"
    session = ""
    for picture in generate_frames("green_to_red", 2, seed=3)[::4]:
        Image.fromarray(picture).save(tmp_path / "frame.png")
        answer = use_tool(with_tools, "live", tmp_path / "frame.png", session=session)
        session = answer["session"]
    assert answer["top"][0]["label"] == "green_to_red"


def test_visitors_of_an_mcp_server_do_not_see_one_another(with_tools: RunningSpace, tmp_path: Path) -> None:
    taught = {"one": ("grow", "darken"), "other": ("brighten", "shrink")}
    sessions = dict.fromkeys(taught, "")
    for number in range(2):
        for place in range(2):
            for who, actions in taught.items():
                name = f"{who}-{place}-{number}.mp4"
                clip = write_video(tmp_path / name, generate_frames(actions[place], number, seed=3))
                action = f"{who} {place}"
                answer = use_tool(with_tools, "teach_clip", clip, action=action, session=sessions[who])
                sessions[who] = answer["session"]
    for who, session in sessions.items():
        labels = [f"{who} 0", f"{who} 1"]
        assert use_tool(with_tools, "teach_learn", keep=False, session=session)["learned"]["labels"] == labels
        clip = write_video(tmp_path / "clip.mp4", generate_frames("grow", 7, seed=3))
        answer = use_tool(with_tools, "teach_try", clip, session=session)
        assert sorted(row["label"] for row in answer["top"]) == labels
    assert "Learn your actions first" in use_tool(with_tools, "teach_try", clip)
    assert "not there" in use_tool(with_tools, "teach_learn", keep=False, session="guessed")
