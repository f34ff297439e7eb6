"""A clip from its file to its five best answers, in each runtime, against the limit and against others."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torchvision.models.video import r3d_18, s3d
from transformers import VideoMAEConfig, VideoMAEForVideoClassification

from ..device_precision import has_fast_bfloat16, precision_name
from ..inference import EXPORT_FORMATS, ClipPrediction, leave_cores_to, load_model, predict_clips
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .figures import Figure
from .matrix_multiply import flop_of, matrix_multiply_limit
from .turns import Contender, ratios, time_in_turns

logger = logging.getLogger(__name__)

# A model in each runtime, by its name.
Models = Mapping[str, ResNetLSTMForVideoClassification]


def load_models(name: str) -> dict[str, ResNetLSTMForVideoClassification]:
    """The model on the CPU, in PyTorch and in each runtime that is installed and that it was exported for.

    In bfloat16 too, where the processor is fast in it and the runtime computes in it.

    Args:
        name: A directory or a Hub id.
    """
    models = {}
    precisions = ["fp32", "bf16"] if has_fast_bfloat16("cpu") else ["fp32"]
    ways = [("torch", precision, False) for precision in precisions]
    for runtime in EXPORT_FORMATS:
        ways += [(runtime, precision, False) for precision in precisions if runtime != "onnx" or precision == "fp32"]
        ways.append((runtime, "auto", True))
    for runtime, precision, int8 in ways:
        title = f"{runtime} {'int8' if int8 else precision}"
        try:
            models[title], _ = load_model(name, runtime=runtime, int8=int8, precision=precision, device="cpu")
        except (ImportError, OSError, ValueError) as error:
            logger.warning("%s is left out: %s", title, error)
    return models


def time_clips(
    models: Models, processor: ResNetLSTMVideoProcessor, files: Sequence[Path], num_rounds: int, peers: bool
) -> list[Figure]:
    """Time prediction from files, the backbone on ready tensors, and, as `peers`, other networks on theirs.

    Args:
        models: To compare; the first computes in PyTorch.
        processor: Their processor.
        files: Clips; each round takes the next one.
        num_rounds: How many rounds.
        peers: Also time VideoMAE-base, r3d_18 and s3d, with random weights, on clips of the size each is made for.
    """
    plain = next(iter(models.values())).resnet_lstm
    half = torch.bfloat16
    pixel_values = processor(files[0], return_tensors="pt")["pixel_values"]  # [1, T, C, height, width]
    flop = flop_of(plain.backbone, pixel_values[0])
    contenders = [matrix_multiply_limit(flop)]
    in_half = [title for title in models if title.endswith(precision_name(half))]
    if in_half:
        contenders.append(matrix_multiply_limit(flop, half))
    for title, model in models.items():
        runtime = title.split()[0]
        contenders.append(Contender(f"file to top 5, {title}", _from_file(model, processor, files, runtime)))
    for title, model in models.items():
        contenders.append(Contender(f"backbone alone, {title}", _backbone(model, pixel_values)))
    contenders.append(Contender("backbone as it is", _unfolded(plain.backbone, pixel_values)))
    contenders.append(Contender("backbone as it is, frame by frame", _frame_by_frame(plain.backbone, pixel_values)))
    if peers:
        contenders += _peers()
    seconds = time_in_turns(contenders, num_rounds, "clips")
    figures = ratios("a clip of 16 frames", seconds, contenders[0].name)
    if in_half:
        own = {name: times for name, times in seconds.items() if name.endswith(precision_name(half))}
        figures += ratios(f"a clip of 16 frames, {precision_name(half)}", own, contenders[1].name)
    return figures


def _from_file(
    model: ResNetLSTMForVideoClassification, processor: ResNetLSTMVideoProcessor, files: Sequence[Path], runtime: str
) -> Callable[[int], object]:
    num_threads = torch.get_num_threads()

    def run(number: int) -> object:
        leave_cores_to(runtime)  # as `predict` does
        (prediction,) = predict_clips(model, processor, [files[number % len(files)]])
        torch.set_num_threads(num_threads)
        if not isinstance(prediction, ClipPrediction):
            raise ValueError(prediction.error)  # noqa: TRY004 - the clip is at fault
        return prediction.top_k(5)

    return run


def _backbone(model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor) -> Callable[[int], object]:
    @torch.inference_mode()
    def run(number: int) -> object:
        return model.resnet_lstm.extract_frame_features(pixel_values)

    return run


def _unfolded(backbone: torch.nn.Module, pixel_values: torch.Tensor) -> Callable[[int], object]:
    @torch.inference_mode()
    def run(number: int) -> object:
        return backbone(pixel_values[0])

    return run


def _frame_by_frame(backbone: torch.nn.Module, pixel_values: torch.Tensor) -> Callable[[int], object]:
    @torch.inference_mode()
    def run(number: int) -> object:
        return [backbone(frame[None]) for frame in pixel_values[0]]

    return run


def _peers() -> list[Contender]:
    networks: dict[str, tuple[torch.nn.Module, torch.Tensor]] = {
        "VideoMAE-base, 16 frames of 224": (
            VideoMAEForVideoClassification(VideoMAEConfig()),
            torch.randn(1, 16, 3, 224, 224),
        ),
        "r3d_18, 16 frames of 112": (r3d_18(), torch.randn(1, 3, 16, 112, 112)),
        "s3d, 16 frames of 224": (s3d(), torch.randn(1, 3, 16, 224, 224)),
    }

    def contender(name: str, network: torch.nn.Module, clip: torch.Tensor) -> Contender:
        network.eval()

        @torch.inference_mode()
        def run(number: int) -> object:
            return network(clip)

        return Contender(name, run)

    return [contender(name, network, clip) for name, (network, clip) in networks.items()]
