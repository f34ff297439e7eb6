"""A published Space holds what its folder holds, and runs from there; the real gradio_client finds it on the Hub."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

import resnet_lstm
from hub_processes import Publisher, hub_environment, run_python
from loopback_hub import LoopbackHub

pytest.importorskip("gradio")
PACKAGE = Path(resnet_lstm.__file__).parent
REPO = "someone/greeter"
APP = """
import gradio as gr
demo = gr.Interface(lambda name: f"Hello {name}", "text", "text", api_name="greet")
if __name__ == "__main__":
    demo.launch()
"""
README = """---
title: Greeter
sdk: gradio
app_file: app.py
license: apache-2.0
---
Greets.
"""
# Runs the app from a snapshot of the Space, as the Hub does, and calls it by the Space's name.
RUN = """
import json, runpy, sys
from gradio_client import Client
from huggingface_hub import snapshot_download
repo, port = sys.argv[1:]
root = snapshot_download(repo, repo_type="space")
demo = runpy.run_path(root + "/app.py")["demo"]
demo.launch(server_name="127.0.0.1", server_port=int(port), prevent_thread_lock=True, quiet=True)
print(json.dumps(Client(repo, verbose=False).predict("Hub", api_name="/greet")))
"""


def write_space(folder: Path) -> Path:
    (folder / "__pycache__").mkdir(parents=True)
    for name, text in {"README.md": README, "app.py": APP, "requirements.txt": "numpy\n"}.items():
        (folder / name).write_text(text)
    (folder / "__pycache__" / "app.pyc").write_bytes(b"")
    (folder / ".env").write_text("HF_TOKEN=secret")
    return folder


def test_a_published_space_holds_its_folder_and_runs(
    publish: Publisher, loopback_hub: LoopbackHub, tmp_path: Path
) -> None:
    space = write_space(tmp_path / "space")
    publish("space", space, "--repo", REPO)
    names = ("README.md", "app.py", "requirements.txt")
    content = loopback_hub.content(REPO, "space")
    package = {name: content.pop(name) for name in list(content) if name.startswith("resnet_lstm/")}
    assert content == {name: (space / name).read_bytes() for name in names}
    # An app finds the package beside it.
    files = [*PACKAGE.rglob("*.py"), PACKAGE / "py.typed"]
    sources = {f"resnet_lstm/{path.relative_to(PACKAGE)}": path.read_bytes() for path in files}
    assert package == sources
    repository = loopback_hub.repository(REPO, "space")
    assert repository.sdk == "gradio"
    publish("space", space, "--repo", REPO)
    assert len(repository.history()) == 1

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    repository.host = f"http://127.0.0.1:{port}"
    environment = hub_environment(loopback_hub.url, tmp_path / "home", GRADIO_ANALYTICS_ENABLED="False")
    assert json.loads(run_python(RUN, REPO, port, environment=environment)) == "Hello Hub"


@pytest.mark.parametrize(
    ("wrong", "right", "says"),
    [
        ("sdk: static", "sdk: gradio", "sdk is 'static', must be 'gradio'"),
        ("app_file: main.py", "app_file: app.py", "app_file is 'main.py', which is no file in"),
        ("emoji: x", "license: apache-2.0", "names no licence"),
        ("title: [", "title: Greeter", "its metadata cannot be read"),
    ],
)
def test_a_space_that_would_not_run_is_refused(
    publish: Publisher, loopback_hub: LoopbackHub, tmp_path: Path, wrong: str, right: str, says: str
) -> None:
    space = write_space(tmp_path / "space")
    (space / "README.md").write_text(README.replace(right, wrong))
    outcome = publish("space", space, "--repo", REPO, status=2)
    assert says in outcome.err
    assert outcome.err.count("\n") == 1
    assert not loopback_hub.requests
