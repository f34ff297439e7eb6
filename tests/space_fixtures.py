"""A model that was really trained, a Space that really runs, and a browser, for all tests of the Space."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import av
import pytest
from transformers import ResNetConfig, ResNetModel, set_seed

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import build_from_folders
from resnet_lstm.data.generated_clips import generate_frames, write_generated_clips
from resnet_lstm.training import RunOptions, TrainingSettings, train_classifier

if TYPE_CHECKING:
    from engine import Engine

APP = Path(__file__).parents[1] / "space" / "app.py"
ACTIONS = ("grow", "brighten", "green_to_red")
_START_SECONDS = 180
SIZES = {"desk": (1280, 900), "phone": (390, 844)}
TIMEOUT_MILLISECONDS = 120_000
# The log, and what an older PyTorch writes into the folder for temporary files when it is imported.
_NOT_OF_REQUESTS = ("log.txt", "_remote_module_non_scriptable.py")
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
)


@dataclass(frozen=True)
class RunningSpace:
    """A Space that was started.

    Attributes:
        url: Where it answers.
        process: The server.
        folder: Where it keeps temporary files.
    """

    url: str
    process: subprocess.Popen[str]
    folder: Path

    def kept_files(self) -> list[Path]:
        """The files that it keeps of requests; its own examples are none."""
        files = (path for path in self.folder.rglob("*") if path.is_file() and "examples" not in path.parts)
        return sorted(path for path in files if path.name not in _NOT_OF_REQUESTS)

    def log(self) -> str:
        """What it has written so far."""
        return (self.folder / "log.txt").read_text()


def wait_until_nothing_is_kept(space: RunningSpace) -> list[Path]:
    """What is there of requests at last: nothing, but results that can still be fetched."""
    for _ in range(600):
        kept = [path for path in space.kept_files() if not path.name.endswith(("-annotated.mp4", "my-actions.zip"))]
        if not kept:
            return []
        time.sleep(0.1)
    return kept


@contextmanager
def running_space(model: Path, folder: Path, *arguments: str, app: Path = APP, **env: str) -> Iterator[RunningSpace]:
    """Start a Space on a free port of this machine, and end it with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(app), "--model", str(model), "--port", str(port), *arguments]
    environment = os.environ | {"TMPDIR": str(folder), "HF_HUB_OFFLINE": "1", "GRADIO_ANALYTICS_ENABLED": "0"} | env
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, text=True, env=environment)
    space = RunningSpace(f"http://127.0.0.1:{port}", process, folder)
    try:
        _wait_until_it_answers(space)
        yield space
    finally:
        process.terminate()
        process.wait(120)


def _wait_until_it_answers(space: RunningSpace) -> None:
    for _ in range(10 * _START_SECONDS):
        if space.process.poll() is not None:
            break
        try:
            with urllib.request.urlopen(space.url, timeout=60):  # noqa: S310 - this machine
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"the Space did not start:\n{space.log()}")


@pytest.fixture(scope="session")
def trained_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of two random layers and a fitted head that tells `ACTIONS` apart."""
    root = tmp_path_factory.mktemp("trained")
    set_seed(0)
    resnet = ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[1, 1], layer_type="basic")
    ResNetModel(resnet).save_pretrained(root / "backbone")
    clips = write_generated_clips(root / "clips", 16, classes=ACTIONS)
    train_classifier(
        build_from_folders(clips, root / "dataset"),
        root / "model",
        lambda **config: ResNetLSTMForVideoClassification.from_backbone(
            root / "backbone", **{**config, "lstm_input_size": 16, "lstm_hidden_size": 16}
        ),
        ResNetLSTMVideoProcessor(size={"height": 64, "width": 64}),
        TrainingSettings(num_train_epochs=1, flip=False),
        RunOptions(cache_dir=root / "cache", num_workers=0),
        train_baseline=False,
    )
    return root / "model"


@pytest.fixture(scope="module")
def engine(trained_model: Path) -> Engine:
    """What computes in the Space, with that model."""
    from engine import Engine

    engine = Engine(str(trained_model))
    engine.start_loading()
    engine.model()
    return engine


@pytest.fixture(scope="session")
def space(trained_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningSpace]:
    """The Space with that model."""
    pytest.importorskip("gradio")
    with running_space(trained_model, tmp_path_factory.mktemp("space")) as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser of this machine; none is downloaded."""
    pytest.importorskip("playwright")
    for name in ("chromium", "chromium-browser", "google-chrome"):
        if path := shutil.which(name):
            return path
    pytest.skip("no chromium is installed")


@pytest.fixture(scope="session")
def screenshots(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where screenshots are kept: the folder that the variable SPACE_SCREENSHOTS names, or a temporary one."""
    folder = os.environ.get("SPACE_SCREENSHOTS")
    path = Path(folder) if folder else tmp_path_factory.mktemp("screenshots")
    path.mkdir(parents=True, exist_ok=True)
    return path


@pytest.fixture(scope="session")
def browser(chromium: str, camera: Path) -> Iterator[Any]:
    """A browser whose webcam plays `camera`, in an endless loop."""
    from playwright.sync_api import sync_playwright

    fake_camera = (
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-video-capture={camera}",
    )
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=[*CHROMIUM_ARGUMENTS, *fake_camera])
        yield running
        running.close()


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw video of green squares and circles that turn red, as Chromium takes it for a webcam."""
    path = tmp_path_factory.mktemp("camera") / "camera.y4m"
    with path.open("wb") as file:
        file.write(b"YUV4MPEG2 W320 H240 F25:1 Ip A1:1 C420jpeg\n")
        for number in range(3):
            for picture in generate_frames("green_to_red", number, 5, size=(240, 320)):
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
                file.write(b"FRAME\n" + frame.to_ndarray().tobytes())
    return path


def open_tab(page: Any, name: str) -> None:
    """By its name, or on a phone, where not all tabs may fit, from the menu of the others."""
    tab = page.get_by_role("tab", name=name)
    others = page.locator(".overflow-menu > button:visible")
    tab.or_(others).first.wait_for()
    if not tab.is_visible():
        others.click()
        tab = page.locator(".overflow-dropdown button", has_text=name)
    tab.click()


def upload(page: Any, path: Path, where: str = "#clip") -> None:
    page.set_input_files(f"{where} input[type=file]", str(path))


def start_camera(page: Any) -> None:
    open_tab(page, "Live")
    page.locator("#camera").get_by_text("Click to Access Webcam").click()
    # As a person would: who presses record before there is a picture records nothing.
    page.wait_for_function("document.querySelector('#camera video')?.videoWidth > 0")
    page.locator("#camera .capture-button").click()
