"""ResNet-LSTM configuration."""

from __future__ import annotations

import math
from typing import Any, cast

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig, ResNetConfig

from .frame_reading import NUM_BANDS, motion_stages


@strict
class ResNetLSTMConfig(PreTrainedConfig):
    r"""
    What the weights of a [`ResNetLSTMModel`] need, and nothing of how they were trained. The defaults give a ResNet-50
    in the layout of [microsoft/resnet-50](https://huggingface.co/microsoft/resnet-50) and an LSTM of 256 units.

    Args:
        backbone_config (`ResNetConfig` or `dict`, *optional*):
            The network that turns one frame into one feature vector.
        num_frames (`int`, *optional*, defaults to 16):
            T, how many frames the processor samples from a clip. The model itself takes any number.
        frames_per_second (`float`, *optional*):
            How many of these frames a second of the training clips gave, in the median clip: what changes from frame
            to frame depends on it, so a long video and a camera are read at this rate. None where it is not known.
        temporal_change (`bool`, *optional*, defaults to `True`):
            Besides the features of each frame, the head reads how much each has changed since frames before.
        change_lags (`list[int]`, *optional*, defaults to `(1, 3)`):
            With `temporal_change`, how many frames back the frames lie that each is compared with; the first frame
            stands for those before it. None, as in a saved configuration that does not name it, compares with the
            frame before alone, and the first frame with nothing.
        num_motion_stages (`int`, *optional*, defaults to 2):
            With `temporal_change`, the head also reads what has changed in the upper, the middle and the lower band of
            the maps of so many of the backbone's stages before the last, as far as there are: where something moves,
            which the mean over the picture does not tell. A saved configuration that does not name it has 0.
        num_lstm_layers (`int`, *optional*, defaults to 1):
            Stacked LSTM layers. 0 leaves the LSTM out; without `temporal_change` either, the model is blind to the
            order of the frames, the baseline that reading them in order has to beat.
        lstm_input_size (`int`, *optional*, defaults to 256):
            Size that each frame's features are projected to before the LSTM.
        lstm_hidden_size (`int`, *optional*, defaults to 256):
            Units of each LSTM layer.
        dropout (`float`, *optional*, defaults to 0.5):
            Dropout on what enters the LSTM, and on what enters a classifier that is trained: of a clip's features,
            each in all of its frames or in none.
        temperature (`float`, *optional*, defaults to 1.0):
            What the logits are divided by, so that a score of 0.8 is right in eight of ten clips.
        early_exit_score (`float`, *optional*):
            The score of the best answer at which no further frame need be read: in 99 of 100 clips the answer stays.
            None where it was not measured.
        known_threshold (`float`, *optional*):
            Below this `known_score` a clip is taken for none of the model's actions: 5 of 100 clips that do show one
            of them fall below it. None where the model does not tell.
        background_label_id (`int`, *optional*):
            The label of clips that show none of the actions, where the model was trained on such too. What is taken
            for it is taken for none of the actions.
        num_class_directions (`int`, *optional*, defaults to 0):
            Directions of the covariance that are kept, beside the mean of each class, so that the model can be taught
            further classes without its training clips. 0 where nothing is kept.
        initializer_range (`float`, *optional*, defaults to 0.02):
            Standard deviation of the classifier's initial weights.

    Example:

    ```python
    >>> from resnet_lstm import ResNetLSTMConfig, ResNetLSTMForVideoClassification

    >>> config = ResNetLSTMConfig(num_labels=25)
    >>> model = ResNetLSTMForVideoClassification(config)
    ```
    """

    model_type = "resnet_lstm"
    keys_to_ignore_at_inference = ["frame_logits", "lstm_state", "frame_features", "clip_features", "known_score"]  # noqa: RUF012
    sub_configs = {"backbone_config": ResNetConfig}  # noqa: RUF012 - a class constant, as in transformers

    backbone_config: ResNetConfig | dict[str, Any] | None = None
    num_frames: int = 16
    frames_per_second: float | None = None
    temporal_change: bool = True
    change_lags: list[int] | tuple[int, ...] | None = (1, 3)
    num_motion_stages: int = 2
    num_lstm_layers: int = 1
    lstm_input_size: int = 256
    lstm_hidden_size: int = 256
    dropout: float = 0.5
    temperature: float = 1.0
    early_exit_score: float | None = None
    known_threshold: float | None = None
    background_label_id: int | None = None
    num_class_directions: int = 0
    initializer_range: float = 0.02

    def __post_init__(self, **kwargs: Any) -> None:
        if not isinstance(self.backbone_config, ResNetConfig):
            self.backbone_config = ResNetConfig(**(self.backbone_config or {}))
        super().__post_init__(**kwargs)
        if self.id2label and not self.label2id:  # type: ignore[has-type]
            self.label2id = {label: index for index, label in self.id2label.items()}

    def validate_sizes(self) -> None:
        """Every count is a possible one."""
        if self.num_frames < 1:
            raise ValueError(f"num_frames={self.num_frames}: a clip needs at least one frame.")
        if self.frames_per_second is not None and not 0 < self.frames_per_second < math.inf:
            raise ValueError(f"frames_per_second={self.frames_per_second}: must be above 0, or None.")
        if self.change_lags is not None and (not self.change_lags or min(self.change_lags) < 1):
            raise ValueError(
                f"change_lags={self.change_lags}: each must be 1 or more, and there must be one; or None."
            )
        if self.num_motion_stages < 0:
            raise ValueError(f"num_motion_stages={self.num_motion_stages}: must be 0 (none) or more.")
        if self.num_lstm_layers < 0:
            raise ValueError(f"num_lstm_layers={self.num_lstm_layers}: must be 0 (no LSTM) or more.")
        if self.num_class_directions < 0:
            raise ValueError(f"num_class_directions={self.num_class_directions}: must be 0 (nothing kept) or more.")
        for name in ("lstm_input_size", "lstm_hidden_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)}: must be at least 1.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout}: must be in [0, 1).")
        if self.temperature <= 0:
            raise ValueError(f"temperature={self.temperature}: must be above 0.")
        if self.early_exit_score is not None and not 0 < self.early_exit_score <= 1:
            raise ValueError(f"early_exit_score={self.early_exit_score}: must be above 0 and at most 1, or None.")
        if self.known_threshold is not None and not 0 <= self.known_threshold <= 1:
            raise ValueError(f"known_threshold={self.known_threshold}: must be from 0 to 1, or None.")
        if self.background_label_id is not None and self.background_label_id < 0:
            raise ValueError(f"background_label_id={self.background_label_id}: must be 0 or more, or None.")

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any) -> Any:
        # Models that were saved before there were these fields.
        return super().from_dict({"change_lags": None, "num_motion_stages": 0, **config_dict}, **kwargs)

    def to_dict(self) -> dict[str, Any]:
        """As `PreTrainedConfig.to_dict`, without the place that the backbone was loaded from: it is of one machine."""
        content = super().to_dict()
        content["backbone_config"].pop("_name_or_path", None)
        return content

    @property
    def motion_stage_sizes(self) -> list[int]:
        """The channels of the maps whose bands are read, of the latest stage first."""
        sizes = cast(ResNetConfig, self.backbone_config).hidden_sizes
        return [sizes[stage] for stage in motion_stages(len(sizes), self.num_motion_stages)]

    @property
    def pooled_size(self) -> int:
        """C, the channels of the backbone's last map; the mean of each is what a frame's features begin with."""
        return cast(ResNetConfig, self.backbone_config).hidden_sizes[-1]

    @property
    def frame_feature_size(self) -> int:
        """D, the size of one frame's feature vector: the mean of the last map, and the bands of those before it."""
        return self.pooled_size + NUM_BANDS * sum(self.motion_stage_sizes)

    @property
    def hidden_size(self) -> int:
        """H, the size of what the head reads of each frame: the mean of its last map, and what has changed."""
        return self.pooled_size + (self.frame_feature_size * len(self.lags) if self.temporal_change else 0)

    @property
    def background_label(self) -> str | None:
        """The name of the class of clips that show none of the actions, where there is one."""
        return None if self.background_label_id is None else self.id2label[self.background_label_id]

    @property
    def lags(self) -> list[int]:
        """How many frames back the frames lie that each is compared with."""
        return [1] if self.change_lags is None else list(self.change_lags)


__all__ = ["ResNetLSTMConfig"]
