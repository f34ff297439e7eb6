"""The one model of the Space: loaded in the background while the page is already up, shared by all requests."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from limits import VideoRefusedError, without_path
from steps import Progress, Report, in_steps

if TYPE_CHECKING:
    import numpy as np
    import torch

    from resnet_lstm import ResNetLSTMConfig, ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
    from resnet_lstm.feeding import ClipPictures
    from resnet_lstm.inference import ClipPrediction, DecisionPlaces, LivePrediction, Timeline
    from resnet_lstm.teaching import TaughtModel

logger = logging.getLogger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])
Result = TypeVar("Result")

try:
    import spaces
except ImportError:  # elsewhere than on Spaces
    spaces = None

# What a request may take of a ZeroGPU; the GPU itself needs a small part of it.
_GPU_SECONDS = {"classify": 30, "timeline": 120, "live": 5}


@dataclass(frozen=True)
class Answer:
    """What a model says of a clip, and what it has read of it.

    Attributes:
        prediction: What it says.
        pictures: `[T, height, width, 3]` uint8, what it has looked at.
        frame_features: `[T, D]`, what it makes of them.
        sha256: Of the clip's bytes.
        taught: The taught model that says so; None for the Space's.
    """

    prediction: ClipPrediction
    pictures: torch.Tensor
    frame_features: torch.Tensor
    sha256: str
    taught: ResNetLSTMForVideoClassification | None = None


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
        self._answer = _on_gpu(self._answer_here, _GPU_SECONDS["classify"])
        self._places = _on_gpu(self._places_here, _GPU_SECONDS["classify"])
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

    def config_of(self, answer: Answer) -> ResNetLSTMConfig:
        """The configuration of the model that has answered."""
        return self.config if answer.taught is None else answer.taught.config

    def answer(self, path: str, taught: ResNetLSTMForVideoClassification | None = None) -> Iterator[Progress | Answer]:
        """What a clip shows, and what was read of it.

        Args:
            path: The clip.
            taught: Says so in the place of the Space's model, which it was taught from.

        Raises:
            VideoRefusedError: It cannot be read.
            ModelUnavailableError: The model could not be loaded.
        """
        yield from self._loading()
        if taught is None:
            yield from self._answer(path)
        else:
            yield from self._answer_here(path, taught)

    def classify(
        self, path: str, taught: ResNetLSTMForVideoClassification | None = None
    ) -> Iterator[Progress | ClipPrediction]:
        """What a clip shows; arguments and errors are those of `answer`."""
        for step in self.answer(path, taught):
            yield step if isinstance(step, Progress) else step.prediction

    def in_order(self, answer: Answer, order: str) -> Iterator[Progress | ClipPrediction]:
        """What a clip that was answered shows when its frames come in another order, by what was read of them.

        Args:
            answer: To the clip as it was filmed.
            order: As in `resnet_lstm.evaluation.order`.
        """
        model, _ = self.model()

        def work(report: Report) -> ClipPrediction:
            import torch

            from resnet_lstm.evaluation.order import in_order
            from resnet_lstm.feeding import ClipPictures
            from resnet_lstm.inference import predict_features

            report(0, None)
            as_filmed = answer.prediction
            order_of_frames = in_order(torch.arange(len(answer.pictures)), order, answer.sha256)
            pictures = answer.pictures[order_of_frames]
            clip = ClipPictures(pictures, as_filmed.seconds, pictures, as_filmed.damage)
            features = answer.frame_features[order_of_frames]
            return predict_features(answer.taught or model, as_filmed.source, clip, features)

        yield from in_steps("Reading its frames in another order", work)

    def places(self, answer: Answer) -> Iterator[Progress | DecisionPlaces]:
        """Where in its pictures the answer to a clip comes from."""
        yield from self._places(answer)

    def label(self, path: str, min_score: float) -> Iterator[Progress | Timeline]:
        """What happens in a video, and when. Raises as `classify` does."""
        yield from self._loading()
        yield from self._label(path, min_score)

    def look(
        self, frame: np.ndarray, seconds: float, state: dict[str, torch.Tensor]
    ) -> tuple[LivePrediction, dict[str, torch.Tensor]]:
        """What is going on after one more frame of a camera, and what to remember. `frame` is `[H, W, 3]` uint8."""
        return self._look(frame, seconds, state)

    def taught(self, model: ResNetLSTMForVideoClassification) -> TaughtEngine:
        """What looks at a camera's frames with a model that was taught from that of this Space."""
        return TaughtEngine(self, model)

    @property
    def can_be_taught(self) -> bool:
        """Whether what one request makes is there for the next: the workers of ZeroGPU keep nothing."""
        return spaces is None

    def read_clip(self, path: str) -> Iterator[Progress | tuple[torch.Tensor, np.ndarray]]:
        """What the model makes of a clip's frames, `[T, D]`, and the frames, `[T, H, W, 3]`. Raises as `classify`."""
        from resnet_lstm.inference import read_pictures

        yield from self._loading()
        model, processor = self.model()

        def work(report: Report) -> tuple[torch.Tensor, np.ndarray]:
            report(0, None)
            clip = _load_pictures(path, processor)
            features = read_pictures(model, processor, clip)
            assert clip.shown is not None  # noqa: S101 - they were asked for
            return features.cpu(), clip.shown.numpy()

        yield from self._refusing(path, in_steps(f"Looking at {processor.num_frames} frames", work))

    def teach(
        self,
        clips: Mapping[str, Sequence[torch.Tensor]],
        base: ResNetLSTMForVideoClassification | None,
        *,
        keep: bool,
    ) -> Iterator[Progress | TaughtModel]:
        """A model that knows these actions too, or, without `keep`, these alone.

        Args:
            clips: What `read_clip` gave of each action's clips.
            base: What is taught; None is the model of this Space.
            keep: Whether what it knows already stays.

        Raises:
            VideoRefusedError: It cannot be taught so.
        """
        from resnet_lstm.data.video_folder import DatasetError
        from resnet_lstm.teaching import TeachingError, teach

        yield from self._loading()
        model, processor = self.model()

        def work(report: Report) -> TaughtModel:
            report(0, None)
            taught = teach(base or model, processor, clips, replace=not keep)
            # Nothing of it is kept twice: frames are read by the Space's own model.
            taught.model.resnet_lstm = model.resnet_lstm
            return taught

        try:
            yield from in_steps("Learning", work)
        except (TeachingError, DatasetError) as error:
            raise VideoRefusedError(str(error)) from None

    def _load(self) -> None:
        try:
            from resnet_lstm.inference import leave_cores_to, load_model, warm_up

            warm_up()
            loaded = load_model(self.name, runtime=self._runtime, int8=self._int8)
            leave_cores_to(self._runtime)
            self._loaded = loaded
            if self.can_be_taught:
                # So that the first who learns does not wait for it; who wants an answer meanwhile does not either.
                threading.Thread(target=import_module, args=("resnet_lstm.teaching",), daemon=True).start()
        except Exception:
            logger.exception("%s could not be loaded", self.name)

    def _loading(self) -> Iterator[Progress]:
        while self._thread.is_alive():
            yield Progress("Waking the model")
            self._thread.join(0.5)

    def _answer_here(
        self, path: str, taught: ResNetLSTMForVideoClassification | None = None
    ) -> Iterator[Progress | Answer]:
        from resnet_lstm.data.video_folder import file_sha256
        from resnet_lstm.inference import predict_features, read_pictures

        model, processor = self.model()

        def work(report: Report) -> Answer:
            report(0, None)
            clip = _load_pictures(path, processor)
            features = read_pictures(model, processor, clip)
            prediction = predict_features(taught or model, path, clip, features)
            return Answer(prediction, clip.pictures, features.cpu(), file_sha256(Path(path)), taught)

        yield from self._refusing(path, in_steps(f"Looking at {processor.num_frames} frames", work))

    def _places_here(self, answer: Answer) -> Iterator[Progress | DecisionPlaces]:
        from resnet_lstm.feeding import DeviceFeeder
        from resnet_lstm.inference import decision_places

        model, processor = self.model()

        def work(report: Report) -> DecisionPlaces:
            report(0, None)
            pixel_values = DeviceFeeder(processor, model.device).pixel_values([answer.pictures])[0]
            return decision_places(answer.taught or model, pixel_values, answer.prediction.top_k(1)[0])

        yield from in_steps("Looking where it comes from", work)

    def _label_here(self, path: str, min_score: float) -> Iterator[Progress | Timeline]:
        from resnet_lstm.inference import label_timeline, open_frames, open_frames_apart

        model, processor = self.model()
        reader = open_frames_apart if spaces is None else open_frames

        def work(report: Report) -> Timeline:
            return label_timeline(model, processor, path, min_score=min_score, progress=report, reader=reader)

        yield from self._refusing(path, in_steps("Watching the video", work))

    @staticmethod
    def _refusing(path: str, steps: Iterator[Result]) -> Iterator[Result]:
        """The steps; what cannot be decoded is refused without its path on this machine."""
        from resnet_lstm import VideoDecodingError

        try:
            yield from steps
        except VideoDecodingError as error:
            raise VideoRefusedError(without_path(error, path)) from None

    def _look_here(
        self,
        frame: np.ndarray,
        seconds: float,
        state: dict[str, torch.Tensor],
        taught: ResNetLSTMForVideoClassification | None = None,
    ) -> tuple[LivePrediction, dict[str, torch.Tensor]]:
        from resnet_lstm.inference import LiveSession

        model, processor = self.model()
        session = LiveSession(taught or model, processor)
        session.load_state_dict(state)
        return session.update(frame, seconds), session.state_dict()


@dataclass(frozen=True)
class TaughtEngine:
    """Looks at a camera's frames with a taught model.

    Attributes:
        engine: Holds the model that it was taught from.
        model: The taught one.
    """

    engine: Engine
    model: ResNetLSTMForVideoClassification

    @property
    def config(self) -> ResNetLSTMConfig:
        """The taught model's configuration."""
        return self.model.config

    def look(
        self, frame: np.ndarray, seconds: float, state: dict[str, torch.Tensor]
    ) -> tuple[LivePrediction, dict[str, torch.Tensor]]:
        """As `Engine.look`."""
        return self.engine._look_here(frame, seconds, state, self.model)


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
