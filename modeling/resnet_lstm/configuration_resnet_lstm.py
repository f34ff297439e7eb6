"""ResNet-LSTM configuration."""

from __future__ import annotations

from typing import Any, cast

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig, ResNetConfig


@strict
class ResNetLSTMConfig(PreTrainedConfig):
    r"""
    What the weights of a [`ResNetLSTMModel`] need, and nothing of how they were trained. The defaults give a ResNet-50
    in the layout of [microsoft/resnet-50](https://huggingface.co/microsoft/resnet-50) and an LSTM of 512 units.

    Args:
        backbone_config (`ResNetConfig` or `dict`, *optional*):
            The network that turns one frame into one feature vector.
        num_frames (`int`, *optional*, defaults to 16):
            T, how many frames the processor samples from a clip. The model itself takes any number.
        num_lstm_layers (`int`, *optional*, defaults to 1):
            Stacked LSTM layers. 0 leaves the LSTM out: the model is then blind to the order of the frames, the
            baseline that an LSTM has to beat.
        lstm_hidden_size (`int`, *optional*, defaults to 512):
            Units of each LSTM layer.
        dropout (`float`, *optional*, defaults to 0.5):
            Dropout on the features that enter the LSTM and on those that enter the classifier.
        layer_norm_eps (`float`, *optional*, defaults to 1e-5):
            Epsilon of the layer normalisation of the frame features.
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
    keys_to_ignore_at_inference = ["frame_logits", "lstm_state", "frame_features"]  # noqa: RUF012
    sub_configs = {"backbone_config": ResNetConfig}  # noqa: RUF012 - a class constant, as in transformers

    backbone_config: ResNetConfig | dict[str, Any] | None = None
    num_frames: int = 16
    num_lstm_layers: int = 1
    lstm_hidden_size: int = 512
    dropout: float = 0.5
    layer_norm_eps: float = 1e-5
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
        if self.num_lstm_layers < 0:
            raise ValueError(f"num_lstm_layers={self.num_lstm_layers}: must be 0 (no LSTM) or more.")
        if self.lstm_hidden_size < 1:
            raise ValueError(f"lstm_hidden_size={self.lstm_hidden_size}: must be at least 1.")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout={self.dropout}: must be in [0, 1).")

    @property
    def frame_feature_size(self) -> int:
        """D, the size of one frame's feature vector."""
        backbone_config = cast(ResNetConfig, self.backbone_config)
        return backbone_config.hidden_sizes[-1]

    @property
    def hidden_size(self) -> int:
        """Size of what the classifier reads for each frame: its own features beside the LSTM's output."""
        return self.frame_feature_size + (self.lstm_hidden_size if self.num_lstm_layers else 0)


__all__ = ["ResNetLSTMConfig"]
