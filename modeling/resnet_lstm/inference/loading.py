"""A trained model and its processor, ready to predict."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from transformers import AutoConfig

from ..configuration_resnet_lstm import ResNetLSTMConfig
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor


def load_model(name: str) -> tuple[ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor]:
    """Load a model, in evaluation mode, compiled, on the GPU if there is one, and its processor.

    Args:
        name: A directory or a Hub id.

    Raises:
        OSError: There is no such model, or a file of it is missing.
        ValueError: It is another kind of model, or its weights are damaged.
    """
    config = AutoConfig.from_pretrained(name)
    if not isinstance(config, ResNetLSTMConfig):
        raise ValueError(  # noqa: TRY004 - a user named the wrong model
            f"{name}: is a {config.model_type} model; a {ResNetLSTMConfig.model_type} one was expected."
        )
    try:
        model = ResNetLSTMForVideoClassification.from_pretrained(name)
    except SafetensorError as error:
        raise ValueError(f"{name}: its weights are damaged ({error}).") from error
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).eval().compile_for_inference()
    return model, ResNetLSTMVideoProcessor.from_pretrained(name)
