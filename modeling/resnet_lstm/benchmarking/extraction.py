"""Extracting features from files against the backbone alone, and the memory that takes."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from ..data import SPLITS, VideoFolder
from ..features import UNIFORM, ClipFile, FeatureCache, clip_files, extract_features
from ..inference import load_model
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .figures import Figure
from .turns import Contender, ratios, time_in_turns


def time_extraction(
    model: ResNetLSTMModel, processor: ResNetLSTMVideoProcessor, clips: Sequence[ClipFile], num_rounds: int
) -> list[Figure]:
    """Time the extraction of clips, none of them cached, against the backbone on as many ready tensors.

    Args:
        model: In evaluation mode.
        processor: Its processor.
        clips: All of them are extracted in each round.
        num_rounds: How many rounds.
    """
    pixel_values = processor(clips[0].path, return_tensors="pt")["pixel_values"]  # [1, T, C, height, width]

    @torch.inference_mode()
    def backbone(number: int) -> None:
        for _ in clips:
            model.extract_frame_features(pixel_values)

    def extraction(number: int) -> None:
        extract_anew(model, processor, clips)

    contenders = [
        Contender("backbone on ready tensors", backbone, per=len(clips)),
        Contender("extraction from files", extraction, per=len(clips)),
    ]
    return ratios("extraction", time_in_turns(contenders, num_rounds, "extraction"), contenders[0].name)


def extract_anew(
    model: ResNetLSTMModel, processor: ResNetLSTMVideoProcessor, clips: Sequence[ClipFile], **feeding: int
) -> None:
    """Extract clips, none of them cached, and keep nothing; `feeding` are `batch_size` and `num_workers`."""
    with tempfile.TemporaryDirectory() as root:
        cache = FeatureCache.of_model(root, model, processor)
        extract_features(model, processor, cache, clips, [UNIFORM], distributed=False, **feeding)


def peak_bytes() -> int:
    """The most memory that this process has held."""
    # Linux counts in KiB, macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def peak_memory_of_extraction(dataset: Path, model_dir: Path, num_clips: Sequence[int]) -> list[Figure]:
    """Peak memory of extracting so many clips, each in a process of its own, relative to the first.

    Args:
        dataset: A VideoFolder.
        model_dir: The model whose backbone makes the features.
        num_clips: How many clips, each in its turn.
    """
    figures = []
    peaks = [_peak_bytes(dataset, model_dir, number) for number in num_clips]
    for number, peak in zip(num_clips, peaks, strict=True):
        ratio = peak / peaks[0]
        name, reference = f"{number} clips ({peak / 2**20:.0f} MiB)", f"{num_clips[0]} clips"
        figures.append(Figure("peak memory of extraction", name, reference, ratio, ratio, ratio, None, "", 1))
    return figures


def _peak_bytes(dataset: Path, model_dir: Path, num_clips: int) -> int:
    with tempfile.TemporaryDirectory() as root:
        command = [sys.executable, "-m", __name__, str(dataset), str(model_dir), str(num_clips), root]
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - it is this module
    return int(run.stdout.split()[-1])


def _main(dataset: str, model_dir: str, num_clips: str, root: str) -> None:
    folder = VideoFolder.open(dataset)
    clips = [clip for split in SPLITS if folder.clips(split) for clip in clip_files(folder, split)]
    model, processor = load_model(model_dir)
    cache = FeatureCache(root, model.resnet_lstm, processor)
    chosen = [clips[index] for index in np.linspace(0, len(clips) - 1, int(num_clips)).astype(int)]
    extract_features(model.resnet_lstm, processor, cache, chosen, [UNIFORM], distributed=False)
    sys.stdout.write(f"{peak_bytes()}\n")


if __name__ == "__main__":
    _main(*sys.argv[1:])
