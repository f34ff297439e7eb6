"""Clips -> what the classifier reads of each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..features import UNIFORM, ClipFile, FeatureCache, extract_features
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..video_sources import VideoDecodingError
from .clips import TeachingClip

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReadClips:
    """What could be read of clips.

    Attributes:
        clips: N clips.
        features: `[N, H]` float32 on the CPU, the `clip_features` that the model gives of each.
        lstm_logits: `[N, L]`, what the LSTM adds to the logits, before these are divided by the temperature.
        errors: The clips that could not be read, each with the reason in a line that names it.
    """

    clips: list[TeachingClip]
    features: torch.Tensor
    lstm_logits: torch.Tensor
    errors: list[tuple[TeachingClip, str]]


@torch.no_grad()
def read_clips(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    clips: Sequence[TeachingClip],
    cache: FeatureCache | None = None,
    *,
    batch_size: int | None = None,
    num_workers: int | None = None,
) -> ReadClips:
    """Pass clips through the model, in evaluation mode.

    Args:
        model: The model.
        processor: Its processor.
        clips: The clips.
        cache: Frame features of files to use, and to add to where they are missing; without it nothing is written.
        batch_size: Clips that pass the backbone together on their way into the cache.
        num_workers: Processes that decode these.
    """
    errors_of_path: dict[Path, str] = {}
    if cache is not None:
        files = [ClipFile(Path(clip.source), clip.sha256) for clip in clips if clip.sha256 is not None]
        errors_of_path = extract_features(
            model.resnet_lstm,
            processor,
            cache,
            files,
            [UNIFORM],
            batch_size=batch_size,
            num_workers=num_workers,
            distributed=False,
        ).failed
    base, config = model.resnet_lstm, model.config
    read, errors = [], []
    features, lstm_logits = [torch.empty(0, config.hidden_size)], [torch.empty(0, config.num_labels)]
    for clip in clips:
        if cache is None or clip.sha256 is None:
            try:
                pixel_values = processor(clip.source, return_tensors="pt")["pixel_values"].to(model.device)
            except VideoDecodingError as error:
                logger.warning("left out: %s", error)
                errors.append((clip, str(error)))
                continue
            frame_features = base.extract_frame_features(pixel_values)  # [1, T, D]
        elif cache.has(clip.sha256, UNIFORM):
            frame_features = cache.load(clip.sha256, UNIFORM)[None].to(model.device)
        else:
            errors.append((clip, errors_of_path[Path(clip.source)]))
            continue
        read.append(clip)
        outputs = model(frame_features=frame_features)
        features.append(outputs.clip_features.cpu())
        lstm_logits.append((outputs.logits * config.temperature - model.classifier(outputs.clip_features)).cpu())
    return ReadClips(read, torch.cat(features), torch.cat(lstm_logits), errors)
