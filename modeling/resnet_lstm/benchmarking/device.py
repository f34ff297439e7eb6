"""What a GPU does of what it and the decoders before it could: extraction, a clip, a live frame, a training step."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..features import ClipFile
from ..feeding import DeviceFeeder, default_batch_size, default_num_workers, load_pictures
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .extraction import extract_anew
from .feeding import decode_in_processes
from .figures import Figure
from .live import time_live
from .turns import Contender, ratios, time_in_turns

TRAINING_BATCH_SIZE = 8


def time_device(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    clips: Sequence[ClipFile],
    num_rounds: int,
) -> list[Figure]:
    """Time what a model does on the device where it is, against what the device and the decoders can do.

    Args:
        model: In evaluation mode, compiled.
        processor: Its processor.
        clips: All of them are extracted in each round.
        num_rounds: How many rounds.

    Returns:
        Extraction by default settings against the slower of decoding and computing; a clip and a frame that come alone
        against their share of a batch; a training step against forward and backward of the backbone.
    """
    return [
        *_time_extraction(model, processor, clips, num_rounds),
        *_time_one_clip(model, processor, clips[0], num_rounds),
        *time_live({f"torch on {model.device}": model}, processor, clips[0].path, num_rounds),
        *_time_training_step(model, processor, num_rounds),
    ]


def _time_extraction(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    clips: Sequence[ClipFile],
    num_rounds: int,
) -> list[Figure]:
    base, device = model.resnet_lstm, model.device
    num_workers = max(1, default_num_workers(device))
    pixel_values = _batch(model, processor, clips[0], default_batch_size(device))

    def decode(number: int) -> None:
        decode_in_processes([clip.path for clip in clips], processor, num_workers)

    @torch.inference_mode()
    def compute(number: int) -> None:
        for _ in range(0, len(clips), len(pixel_values)):
            base.extract_frame_features(pixel_values)
        _wait_for(device)

    def extract(number: int) -> None:
        extract_anew(base, processor, clips)

    rounded_up = -(-len(clips) // len(pixel_values)) * len(pixel_values)
    contenders = [
        Contender(f"decoding alone, {num_workers} processes", decode, per=len(clips)),
        Contender(f"backbone alone, {len(pixel_values)} clips at a time", compute, per=rounded_up),
        Contender("extraction from files", extract, per=len(clips)),
    ]
    seconds = time_in_turns(contenders, num_rounds, "extraction")
    slower = max(contenders[:2], key=lambda contender: float(seconds[contender.name].mean()))
    return ratios("extraction by default settings", seconds, slower.name)


def _time_one_clip(
    model: ResNetLSTMForVideoClassification, processor: ResNetLSTMVideoProcessor, clip: ClipFile, num_rounds: int
) -> list[Figure]:
    batch = _batch(model, processor, clip, default_batch_size(model.device))

    @torch.inference_mode()
    def together(number: int) -> None:
        model(batch).logits.cpu()

    @torch.inference_mode()
    def alone(number: int) -> None:
        model(batch[:1]).logits.cpu()

    contenders = [Contender("its share of a batch", together, per=len(batch)), Contender("a clip alone", alone)]
    return ratios("a clip, ready on the device", time_in_turns(contenders, num_rounds, "clip"), contenders[0].name)


def _time_training_step(
    model: ResNetLSTMForVideoClassification, processor: ResNetLSTMVideoProcessor, num_rounds: int
) -> list[Figure]:
    device, size = model.device, dict(processor.size)
    trained = ResNetLSTMForVideoClassification(model.config).to(device).train()
    trained.unfreeze_backbone()
    optimizer = torch.optim.AdamW(trained.parameters(), fused=device.type == "cuda")
    shape = (TRAINING_BATCH_SIZE, processor.num_frames, 3, size["height"], size["width"])
    pixel_values = torch.randn(shape, device=device)
    labels = torch.zeros(TRAINING_BATCH_SIZE, dtype=torch.long, device=device)
    dtype = model.resnet_lstm.inference_dtype or torch.float32

    def backbone(number: int) -> None:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            features, _ = trained.resnet_lstm.read_frames(pixel_values.flatten(0, 1))
        features.float().sum().backward()
        trained.zero_grad()
        _wait_for(device)

    def step(number: int) -> None:
        with torch.autocast(device.type, dtype, enabled=dtype != torch.float32):
            loss = trained(pixel_values, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        _wait_for(device)

    contenders = [
        Contender("backbone, forward and backward", backbone, per=TRAINING_BATCH_SIZE),
        Contender("training step", step, per=TRAINING_BATCH_SIZE),
    ]
    seconds = time_in_turns(contenders, num_rounds, "training steps")
    return ratios("training all of the model", seconds, contenders[0].name)


def _batch(
    model: ResNetLSTMForVideoClassification, processor: ResNetLSTMVideoProcessor, clip: ClipFile, batch_size: int
) -> torch.Tensor:
    """`[batch_size, T, 3, height, width]`, on the model's device."""
    pictures = load_pictures(clip.path, processor).pictures
    return DeviceFeeder(processor, model.device).pixel_values([pictures] * batch_size)


def _wait_for(device: torch.device) -> None:
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
