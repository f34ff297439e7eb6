"""A trained model and its processor, ready to predict."""

from __future__ import annotations

import torch
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError
from transformers import AutoConfig
from transformers.utils import VIDEO_PROCESSOR_NAME

from ..configuration_resnet_lstm import ResNetLSTMConfig
from ..device_precision import best_device, precision_name
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .exports import EXPORT_FORMATS, Export, locate_export
from .runtimes import GraphBackbone, load_graph

RUNTIMES = ("torch", *EXPORT_FORMATS)


def load_model(
    name: str,
    *,
    runtime: str = "torch",
    int8: bool = False,
    precision: str = "auto",
    device: torch.device | str | None = None,
) -> tuple[ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor]:
    """Load a model, in evaluation mode, compiled, and its processor.

    Args:
        name: A directory or a Hub id.
        runtime: What computes the frame features where no gradients are wanted: "torch"; or "onnx" or "openvino", on
            the CPU, from what `resnet-lstm export` has made of the model.
        int8: Take the export that computes them with 8-bit integers.
        precision: What they are computed in, see `device_precision`: "auto", "fp32", "bf16" or "fp16". Of an export
            with 8-bit integers, what is not computed with these.
        device: Where "torch" computes, by default on the GPU if there is one.

    Raises:
        ImportError: The runtime is not installed.
        OSError: There is no such model, or a file of it is missing, or it has not been exported.
        ValueError: It is another kind of model, its weights are damaged, or its export is stale or damaged.
    """
    if runtime not in RUNTIMES:
        raise ValueError(f"runtime {runtime!r}: must be one of {', '.join(RUNTIMES)}.")
    if int8 and runtime == "torch":
        raise ValueError(f"int8 needs an exported model: runtime must be {' or '.join(EXPORT_FORMATS)}, not torch.")
    try:
        config = AutoConfig.from_pretrained(name)
    except HFValidationError as error:
        raise FileNotFoundError(
            f"{name}: there is no such directory, and nothing on the Hub has such a name."
        ) from error
    if not isinstance(config, ResNetLSTMConfig):
        raise ValueError(  # noqa: TRY004 - a user named the wrong model
            f"{name}: is a {config.model_type} model; a {ResNetLSTMConfig.model_type} one was expected."
        )
    try:
        model = ResNetLSTMForVideoClassification.from_pretrained(name)
    except SafetensorError as error:
        raise ValueError(f"{name}: its weights are damaged ({error}).") from error
    except RuntimeError as error:
        # All that transformers raises where the shapes differ, after a report on which.
        raise ValueError(
            f"{name}: its weights are of another architecture than its config.json says. Put back the config.json "
            "that was saved with them, or train again."
        ) from error
    processor = _load_processor(name)
    if runtime == "torch":
        model.to(device or best_device()).eval().compile_for_inference(precision=precision)
    else:
        path = locate_export(name, Export(runtime, int8), config)
        graph = load_graph(runtime, path, outputs=["frame_features"], precision=precision)
        model.eval().compile_for_inference(GraphBackbone(graph), precision=precision_name(graph.dtype))
    return model, processor


def _load_processor(name: str) -> ResNetLSTMVideoProcessor:
    processor: ResNetLSTMVideoProcessor = ResNetLSTMVideoProcessor.from_pretrained(name)
    if processor.num_frames < 1:
        raise ValueError(
            f"{name}: num_frames={processor.num_frames} in its {VIDEO_PROCESSOR_NAME}: must be 1 or more. Put back "
            "the file that was saved with the model."
        )
    return processor


def leave_cores_to(runtime: str) -> None:
    """Keep PyTorch's threads out of the way of a runtime that has threads of its own, in this whole process.

    Beside it PyTorch has little to compute, and when that is done its threads wait for more, each spinning on a core.
    A program calls this after `load_model`, which gives the runtime as many threads as PyTorch has till then.

    Args:
        runtime: As in `load_model`; "torch" keeps its threads.
    """
    if runtime != "torch":
        torch.set_num_threads(1)
