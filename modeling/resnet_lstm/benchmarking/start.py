"""What the first answer and the Space's first page cost, over what the libraries take to load."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np

from ..inference import predict_clips
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .figures import Figure
from .turns import Contender, ratios, time_in_turns

_SECONDS_BETWEEN_TRIES = 0.02


def time_start(
    model_dir: Path,
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    clip: Path,
    num_rounds: int,
) -> list[Figure]:
    """Time `resnet-lstm predict` on one clip from a cold start, against importing torch and transformers.

    Args:
        model_dir: The model it is given.
        model: The same model, in this process.
        processor: Its processor.
        clip: The clip.
        num_rounds: How many rounds.
    """
    libraries = "import torch, transformers"
    contenders = [
        Contender(libraries, lambda number: _run_python("-c", libraries)),
        Contender(
            "resnet-lstm predict, cold",
            lambda number: _run_python("-m", "resnet_lstm_command", "predict", str(model_dir), str(clip)),
        ),
        Contender("the same, warm", lambda number: list(predict_clips(model, processor, [clip]))),
    ]
    seconds = time_in_turns(contenders, num_rounds, "start")
    beyond = seconds["resnet-lstm predict, cold"] - seconds[libraries] - seconds["the same, warm"]
    seconds["what the start adds to both"] = np.maximum(beyond, 0.0)
    return ratios("start", seconds, libraries, unit="start")


def time_space_start(app: Path, model_dir: Path, num_rounds: int) -> list[Figure]:
    """Time the Space from its start to its first page, against importing its libraries and loading the model.

    Args:
        app: `app.py`.
        model_dir: The model it is given.
        num_rounds: How many rounds.
    """
    libraries_and_model = (
        "import sys, gradio, torch, transformers, resnet_lstm\n"
        "resnet_lstm.ResNetLSTMForVideoClassification.from_pretrained(sys.argv[1])"
    )
    name = "imports, model loaded"
    contenders = [
        Contender(name, lambda number: _run_python("-c", libraries_and_model, str(model_dir))),
        Contender("space/app.py, to its first page", lambda number: _wait_for_first_page(app, model_dir)),
    ]
    return ratios("start of the Space", time_in_turns(contenders, num_rounds, "space"), name, unit="start")


def _run_python(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)  # noqa: S603 - what is named here


def _wait_for_first_page(app: Path, model_dir: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(app), "--model", str(model_dir), "--port", str(port)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    env = os.environ | {"GRADIO_ANALYTICS_ENABLED": "0"}
    with subprocess.Popen(command, env=env, **silent) as server:  # type: ignore[call-overload] # noqa: S603 - as above
        try:
            while server.poll() is None:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=30):
                        return
                except (urllib.error.URLError, OSError):
                    time.sleep(_SECONDS_BETWEEN_TRIES)
            raise OSError(f"{app} ended before its first page, with exit code {server.returncode}.")
        finally:
            server.terminate()  # so that it deletes its files
