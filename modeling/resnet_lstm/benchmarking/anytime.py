"""What reading a clip only until sure saves, and what it costs in accuracy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm.auto import tqdm

from ..inference.anytime import read_until_sure
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .figures import Figure


@dataclass(frozen=True)
class AnytimeAccuracy:
    """What became of the answers.

    Attributes:
        clips: How many clips there were.
        top1_full: With all frames read.
        top1_anytime: With frames read until sure.
        agreement: The share of clips that both answer alike.
        frames_read: The mean share of frames that were read.
    """

    clips: int
    top1_full: float
    top1_anytime: float
    agreement: float
    frames_read: float


def time_anytime(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    files: Sequence[Path],
    labels: Sequence[int],
) -> tuple[list[Figure], AnytimeAccuracy]:
    """Time both ways of reading on each clip in turn, the clips decoded already.

    Args:
        model: With an `early_exit_score`.
        processor: Its processor.
        files: The clips, best ones that the model was not trained on.
        labels: `[N]`, their label ids.
    """
    sure_at = model.config.early_exit_score
    if sure_at is None:
        raise ValueError("this model has no early_exit_score: it was trained without validation clips.")
    seconds = np.zeros((2, len(files)))
    answers = np.zeros((2, len(files)), int)
    frames_read = np.zeros(len(files))
    for index, file in enumerate(tqdm(files, unit="clip", desc="anytime", leave=False)):
        pixel_values = processor(file, return_tensors="pt")["pixel_values"]  # [1, T, C, height, width]

        def read_frames(indices: list[int], pixel_values: torch.Tensor = pixel_values) -> torch.Tensor:
            return model.resnet_lstm.extract_frame_features(pixel_values[:, indices])[0]

        with torch.inference_mode():
            started = time.perf_counter()
            full = model(pixel_values=pixel_values).logits
            half_way = time.perf_counter()
            reading = read_until_sure(model, read_frames, pixel_values.shape[1], sure_at)
            seconds[:, index] = half_way - started, time.perf_counter() - half_way
        answers[:, index] = int(full.argmax()), int(reading.logits.argmax())
        frames_read[index] = len(reading.indices) / pixel_values.shape[1]
    figure = _ratio_of_sums(seconds)
    top1_full, top1_anytime = (answers == np.array(labels)).mean(axis=1)
    agreement = np.mean(answers[0] == answers[1])
    accuracy = AnytimeAccuracy(
        len(files), float(top1_full), float(top1_anytime), float(agreement), float(frames_read.mean())
    )
    return [figure], accuracy


def _ratio_of_sums(seconds: np.ndarray) -> Figure:
    """Of the mean clip: quick clips must not outweigh slow ones."""
    generator = np.random.default_rng(0)
    drawn = generator.integers(0, seconds.shape[1], (1000, seconds.shape[1]))
    sums = seconds[:, drawn].sum(axis=-1)  # [2, 1000]
    low, high = np.quantile(sums[1] / sums[0], (0.25, 0.75))
    mean = float(seconds[1].sum() / seconds[0].sum())
    return Figure(
        "anytime", "read until sure", "all frames", mean, float(low), float(high), float(seconds[1].mean()), "clip",
        seconds.shape[1],
    )  # fmt: skip
