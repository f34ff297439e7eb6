"""The one model of the Space: loaded in the background while the page is already up, shared by all requests."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from limits import VideoRefusedError, without_path
from steps import Progress, Report, in_steps

if TYPE_CHECKING:
    import numpy as np
    import torch

    from resnet_lstm import ResNetLSTMConfig, ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
    from resnet_lstm.feeding import ClipPictures
    from resnet_lstm.inference import ClipPrediction, LivePrediction, Timeline

logger = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])

try:
    import spaces
except ImportError:  # elsewhere than on Spaces
    spaces = None

# What a request may take of a ZeroGPU; the GPU itself needs a small part of it.
_GPU_SECONDS = {"classify": 30, "timeline": 120, "live": 5}


class ModelUnavailableError(RuntimeError):
    """The model could not be loaded; the cause is in the log, the message is for users."""


class Engine:
    """Loads the model once and computes with it. Everything heavy is imported by the thread that loads.

    Args:
        name: A directory or a Hub id.
        runtime: What computes the frame features, as in `load_model`.
        int8: Compute them with 8-bit integers.
    """

    def __init__(self, name: str, *, runtime: str = "torch", int8: bool = False) -> None:
        self.name = name
        self._runtime = runtime
        self._int8 = int8
        self._loaded: tuple[ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor] | None = None
        self._thread = threading.Thread(target=self._load, name="load", daemon=True)
        self._classify = _on_gpu(self._classify_here, _GPU_SECONDS["classify"])
        self._label = _on_gpu(self._label_here, _GPU_SECONDS["timeline"])
        self._look = _on_gpu(self._look_here, _GPU_SECONDS["live"])

    def check(self) -> None:
        """See, without loading it, that a directory holds a model of the right kind.

        Raises:
            ValueError: It does not.
        """
        directory = Path(self.name)
        if not directory.is_dir():
            if directory.is_absolute() or self.name.count("/") > 1 or self.name.startswith("."):
                raise ValueError(f"{self.name}: no such directory.")
            return
        config = directory / "config.json"
        model_type = json.loads(config.read_text("utf-8")).get("model_type") if config.is_file() else None
        if model_type != "resnet_lstm":
            raise ValueError(f"{self.name}: holds no resnet_lstm model (found: {model_type or 'no config.json'}).")

    def start_loading(self) -> None:
        """Load in the background; on ZeroGPU at once, since the workers there are copies of this process."""
        if os.environ.get("SPACES_ZERO_GPU"):
            self._load()
        else:
            self._thread.start()

    def model(self) -> tuple[ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor]:
        """The model and its processor, as soon as they are loaded.

        Raises:
            ModelUnavailableError: They could not be loaded.
        """
        if self._thread.is_alive():
            self._thread.join()
        if self._loaded is None:
            raise ModelUnavailableError("The model could not be loaded. Its owner finds the cause in the log.")
        return self._loaded

    @property
    def config(self) -> ResNetLSTMConfig:
        """The model's configuration. Raises as `model` does."""
        return self.model()[0].config

    def classify(self, path: str) -> Iterator[Progress | ClipPrediction]:
        """What a clip shows.

        Raises:
            VideoRefusedError: It cannot be read.
            ModelUnavailableError: The model could not be loaded.
        """
        yield from self._loading()
        yield from self._classify(path)

    def label(self, path: str, min_score: float) -> Iterator[Progress | Timeline]:
        """What happens in a video, and when. Raises as `classify` does."""
        yield from self._loading()
        yield from self._label(path, min_score)

    def look(
        self, frame: np.ndarray, seconds: float, state: dict[str, torch.Tensor]
    ) -> tuple[LivePrediction, dict[str, torch.Tensor]]:
        """What is going on after one more frame of a camera, and what to remember. `frame` is `[H, W, 3]` uint8."""
        return self._look(frame, seconds, state)

    def _load(self) -> None:
        try:
            from resnet_lstm.inference import leave_cores_to, load_model, warm_up

            warm_up()
            loaded = load_model(self.name, runtime=self._runtime, int8=self._int8)
            leave_cores_to(self._runtime)
            self._loaded = loaded
        except Exception:
            logger.exception("%s could not be loaded", self.name)

    def _loading(self) -> Iterator[Progress]:
        while self._thread.is_alive():
            yield Progress("Waking the model")
            self._thread.join(0.5)

    def _classify_here(self, path: str) -> Iterator[Progress | ClipPrediction]:
        from resnet_lstm import VideoDecodingError
        from resnet_lstm.inference import predict_pictures

        model, processor = self.model()

        def work(report: Report) -> ClipPrediction:
            report(0, None)
            return predict_pictures(model, processor, path, _load_pictures(path, processor))

        try:
            yield from in_steps(f"Looking at {processor.num_frames} frames", work)
        except VideoDecodingError as error:
            raise VideoRefusedError(without_path(error, path)) from None

    def _label_here(self, path: str, min_score: float) -> Iterator[Progress | Timeline]:
        from resnet_lstm import VideoDecodingError
        from resnet_lstm.inference import label_timeline, open_frames, open_frames_apart

        model, processor = self.model()
        reader = open_frames_apart if spaces is None else open_frames

        def work(report: Report) -> Timeline:
            return label_timeline(model, processor, path, min_score=min_score, progress=report, reader=reader)

        try:
            yield from in_steps("Watching the video", work)
        except VideoDecodingError as error:
            raise VideoRefusedError(without_path(error, path)) from None

    def _look_here(
        self, frame: np.ndarray, seconds: float, state: dict[str, torch.Tensor]
    ) -> tuple[LivePrediction, dict[str, torch.Tensor]]:
        from resnet_lstm.inference import LiveSession

        session = LiveSession(*self.model())
        session.load_state_dict(state)
        return session.update(frame, seconds), session.state_dict()


def read_model_file(name: str, file: str) -> Path | None:
    """A file published with a model; None where there is none.

    Args:
        name: A directory or a Hub id.
        file: Its name there.
    """
    if Path(name).is_dir():
        path = Path(name) / file
        return path if path.is_file() else None
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return Path(hf_hub_download(name, file))
    except (HfHubHTTPError, LocalEntryNotFoundError) as error:
        logger.warning("%s of %s was not read: %s", file, name, error)
        return None


def _load_pictures(path: str, processor: ResNetLSTMVideoProcessor) -> ClipPictures:
    """What the model looks at, decoded by another process; a worker of ZeroGPU may have none, and is one itself."""
    from resnet_lstm.feeding import load_pictures
    from resnet_lstm.inference import load_pictures_apart

    if spaces is None:
        return load_pictures_apart(path, processor)
    return load_pictures(path, processor, num_threads=0, to_show=True)


def _on_gpu(function: Function, seconds: int) -> Function:
    return function if spaces is None else spaces.GPU(duration=seconds)(function)
