"""ResNet-50 frame features, an LSTM over time: a video action classifier for the Hugging Face ecosystem."""

from transformers import AutoConfig, AutoModel, AutoModelForVideoClassification, AutoVideoProcessor

from .configuration_resnet_lstm import ResNetLSTMConfig
from .modeling_resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMModel
from .video_decoding import decode_video, probe_video
from .video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .video_sources import VideoDecodingError

__version__ = "0.1.0"

AutoConfig.register("resnet_lstm", ResNetLSTMConfig)
AutoModel.register(ResNetLSTMConfig, ResNetLSTMModel)
AutoModelForVideoClassification.register(ResNetLSTMConfig, ResNetLSTMForVideoClassification)
AutoVideoProcessor.register(ResNetLSTMConfig, ResNetLSTMVideoProcessor)

# Saved models carry these files, so that they load where this package is not installed.
ResNetLSTMConfig.register_for_auto_class()
ResNetLSTMModel.register_for_auto_class("AutoModel")
ResNetLSTMForVideoClassification.register_for_auto_class("AutoModelForVideoClassification")
ResNetLSTMVideoProcessor.register_for_auto_class("AutoVideoProcessor")

__all__ = [
    "ResNetLSTMConfig",
    "ResNetLSTMForVideoClassification",
    "ResNetLSTMModel",
    "ResNetLSTMVideoProcessor",
    "VideoDecodingError",
    "__version__",
    "decode_video",
    "probe_video",
]
