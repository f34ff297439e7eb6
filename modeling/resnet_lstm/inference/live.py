"""A camera, followed frame by frame: what is going on now, at a constant cost a frame."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from ..configuration_resnet_lstm import ResNetLSTMConfig
from ..feeding import DeviceFeeder
from ..modeling_resnet_lstm import LSTMState, ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .frame_reader import training_rate
from .prediction import is_unknown


@dataclass(frozen=True)
class LivePrediction:
    """What a model says after a frame.

    Attributes:
        seconds: The frame's moment.
        frame_logits: `[L]` float32, what this frame adds: those of the model called once on all frames so far.
        logits: `[L]` float32, the mean of all frames' logits, each counting half as much for every half-life that has
            passed since.
        scores: `[L]` float32, the softmax of `logits`.
        known_score: How probable it is, from 0 to 1, that one of the model's actions is there at all; None where the
            model does not tell.
    """

    seconds: float
    frame_logits: np.ndarray
    logits: np.ndarray
    scores: np.ndarray
    known_score: float | None

    def top_k(self, k: int) -> list[int]:
        """The ids of the k best labels, best first; all of them where there are fewer."""
        return [int(label) for label in np.argsort(-self.logits, kind="stable")[:k]]

    def is_unknown(self, config: ResNetLSTMConfig, min_known: float | None = None) -> bool:
        """Whether none of the actions of a model with this configuration is to be taken for there.

        Args:
            config: The model's.
            min_known: Below this `known_score` none is; by default the model's `known_threshold`.
        """
        return is_unknown(self.top_k(1)[0], self.known_score, config, min_known)


class LiveSession:
    """Takes one frame at a time and goes on from the LSTM's state: nothing is computed twice, and nothing kept but it.

    The LSTM's state is never restarted: on clips played eight times over, 128 frames on end, the frames' answers are
    as good in the last round as in the first. What is over fades by the half-life.

    The frames should come at `frames_per_second`, the rate that the model was trained at, since it reads what changes
    from one to the next; `open_live` gives them so.

    Args:
        model: On the device where it shall run; it is put into evaluation mode.
        processor: Makes the model's input.
        half_life_seconds: After how long a frame counts half as much as a new one. By default the memory holds as much
            as a training clip: the weights of endlessly many frames sum to its `num_frames`. `math.inf` never
            forgets, and the scores are then those of one clip of all frames so far.

    Raises:
        ValueError: `half_life_seconds` is not above 0.
    """

    def __init__(
        self,
        model: ResNetLSTMForVideoClassification,
        processor: ResNetLSTMVideoProcessor,
        *,
        half_life_seconds: float | None = None,
    ) -> None:
        self.model = model.eval()
        self.processor = processor
        self._feeder = DeviceFeeder(processor, model.device)
        self.frames_per_second = training_rate(model.config)
        if half_life_seconds is None:
            # The integral of 0.5 ** (t / half-life) over all t >= 0 is half-life / log(2).
            half_life_seconds = math.log(2) * model.config.num_frames / self.frames_per_second
        if not half_life_seconds > 0:
            raise ValueError(f"half_life_seconds={half_life_seconds}: must be above 0; math.inf never forgets.")
        self.half_life_seconds = half_life_seconds
        self.reset()

    def reset(self) -> None:
        """Forget all frames."""
        self._lstm_state: LSTMState | None = None
        self._logit_sum = torch.zeros(self.model.config.num_labels, dtype=torch.float64)
        self._feature_sum = torch.zeros(self.model.config.hidden_size, dtype=torch.float64)
        self._weight = 0.0
        self._seconds = -math.inf

    @torch.inference_mode()
    def update(self, frame: np.ndarray, seconds: float) -> LivePrediction:
        """Look at the next frame.

        Args:
            frame: `[H, W, 3]` uint8, RGB.
            seconds: Its moment, on any clock, not before that of the last frame.

        Raises:
            ValueError: The frame has another shape or type, or time went backwards.
        """
        if frame.ndim != 3 or frame.shape[-1] != 3 or frame.dtype != np.uint8:
            raise ValueError(f"a frame of shape {list(frame.shape)}, {frame.dtype}: [H, W, 3] uint8 was expected.")
        if not self._seconds <= seconds < math.inf:
            raise ValueError(f"a frame at {seconds} s after one at {self._seconds} s: time must not go backwards.")
        picture = torch.from_numpy(self.processor.resize_picture(frame))
        pixel_values = self._feeder.pixel_values([picture[None]])  # [1, 1, C, height, width]
        outputs = self.model.resnet_lstm(pixel_values, lstm_state=self._lstm_state)
        self._lstm_state = outputs.lstm_state
        frame_logits = self.model.frame_logits(outputs.last_hidden_state)[0, 0].float().cpu()  # [L]
        frame_read = outputs.last_hidden_state[0, 0, : self.model.config.hidden_size].float().cpu()  # [H]

        kept = 0.5 ** ((seconds - self._seconds) / self.half_life_seconds) if self._weight else 0.0
        self._logit_sum = kept * self._logit_sum + frame_logits
        self._feature_sum = kept * self._feature_sum + frame_read
        self._weight = kept * self._weight + 1
        self._seconds = seconds
        logits = (self._logit_sum / self._weight).float()
        clip_features = (self._feature_sum / self._weight).to(self.model.device, torch.float32)
        known_score = self.model.known_probability(clip_features[None])
        return LivePrediction(
            seconds,
            frame_logits.numpy(),
            logits.numpy(),
            scores=logits.softmax(dim=0).numpy(),
            known_score=None if known_score is None else float(known_score),
        )

    def state_dict(self) -> dict[str, torch.Tensor]:
        """All that the session remembers, as safetensors keeps it; empty before the first frame."""
        if self._lstm_state is None:
            return {}
        hidden, cell, frame_features = (tensor.detach().cpu().clone() for tensor in self._lstm_state)
        return {
            "hidden": hidden,
            "cell": cell,
            "frame_features": frame_features,
            "logit_sum": self._logit_sum.clone(),
            "feature_sum": self._feature_sum.clone(),
            "weight": torch.tensor(self._weight, dtype=torch.float64),
            "seconds": torch.tensor(self._seconds, dtype=torch.float64),
        }

    def load_state_dict(self, state: Mapping[str, torch.Tensor]) -> None:
        """Go on from where a session of the same model was.

        Args:
            state: From `state_dict`.

        Raises:
            ValueError: It is of another model, or no such state.
        """
        if not state:
            self.reset()
            return
        config = self.model.config
        units = [config.num_lstm_layers, 1, config.lstm_hidden_size]
        expected = {
            "hidden": units,
            "cell": units,
            "frame_features": [max(config.lags), 1, config.frame_feature_size],
            "logit_sum": [config.num_labels],
            "feature_sum": [config.hidden_size],
            "weight": [],
            "seconds": [],
        }
        found = {name: list(tensor.shape) for name, tensor in state.items()}
        if found != expected:
            raise ValueError(f"a session's state of {found} was given, this model's is {expected}: was it another's?")
        hidden, cell, frame_features = (
            state[name].to(self.model.device, torch.float32, copy=True)
            for name in ("hidden", "cell", "frame_features")
        )
        self._lstm_state = hidden, cell, frame_features
        self._logit_sum, self._feature_sum = state["logit_sum"].clone(), state["feature_sum"].clone()
        self._weight, self._seconds = float(state["weight"]), float(state["seconds"])
