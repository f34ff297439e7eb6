"""What the first answer costs, over what the libraries take to load and what the next answers cost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np

from ..inference import predict_clips
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .figures import Figure
from .turns import Contender, ratios, time_in_turns


def time_start(
    script: Path,
    model_dir: Path,
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    clip: Path,
    num_rounds: int,
) -> list[Figure]:
    """Time `predict.py` on one clip from a cold start, against importing torch and transformers.

    Args:
        script: `predict.py`.
        model_dir: The model it is given.
        model: The same model, in this process.
        processor: Its processor.
        clip: The clip.
        num_rounds: How many rounds.
    """
    libraries = "import torch, transformers"

    def in_new_process(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], check=True, capture_output=True)  # noqa: S603 - what is named here

    contenders = [
        Contender(libraries, lambda number: in_new_process("-c", libraries)),
        Contender("predict.py, cold", lambda number: in_new_process(str(script), str(model_dir), str(clip))),
        Contender("the same, warm", lambda number: list(predict_clips(model, processor, [clip]))),
    ]
    seconds = time_in_turns(contenders, num_rounds, "start")
    beyond = seconds["predict.py, cold"] - seconds[libraries] - seconds["the same, warm"]
    seconds["what the start adds to both"] = np.maximum(beyond, 0.0)
    return ratios("start", seconds, libraries, unit="start")
