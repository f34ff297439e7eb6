"""What feeding a device costs: the pipeline before a device that takes no time, against the decoding alone."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from ..features import UNIFORM, ClipFile, FeatureCache, extract_features
from ..feeding import load_pictures
from ..modeling_resnet_lstm import ResNetLSTMModel
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .figures import Figure
from .turns import Contender, ratios, time_in_turns


class InstantModel(ResNetLSTMModel):
    """A model on a device that takes no time."""

    def compile_for_inference(self, *args: object, **kwargs: object) -> None:
        pass

    def extract_frame_features(self, pixel_values: torch.Tensor) -> torch.Tensor:
        return torch.empty(*pixel_values.shape[:2], self.config.frame_feature_size)


class DeviceNormalises(ResNetLSTMVideoProcessor):
    """Leaves to the device what the device does."""

    def normalize_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        return pictures


def time_feeding(
    model: ResNetLSTMModel,
    processor: ResNetLSTMVideoProcessor,
    clips: Sequence[ClipFile],
    num_rounds: int,
    num_workers: int,
    batch_size: int = 16,
) -> list[Figure]:
    """Time the extraction from files to the cache with a device that takes no time.

    Args:
        model: Of whose shape the features are.
        processor: Its processor.
        clips: All of them pass in each round.
        num_rounds: How many rounds.
        num_workers: Processes that decode.
        batch_size: Clips that pass the device together.

    Returns:
        The pipeline against decoding alone, and the seconds of a clip in the main process against that too.
    """
    instant = InstantModel(model.config)
    on_device = DeviceNormalises.from_dict(processor.to_dict())
    in_main: list[float] = []

    def decode(number: int) -> None:
        decode_in_processes([clip.path for clip in clips], processor, num_workers)

    alone = f"decoding alone, {num_workers} processes"
    pipeline = "the pipeline, to a device that takes no time"
    # Removed when nothing is timed any more.
    with tempfile.TemporaryDirectory() as root:

        def feed(number: int) -> None:
            cache = FeatureCache(tempfile.mkdtemp(dir=root), instant, on_device)
            with main_process_seconds(in_main, len(clips)):
                extract_features(
                    instant,
                    on_device,
                    cache,
                    clips,
                    [UNIFORM],
                    batch_size=batch_size,
                    num_workers=num_workers,
                    distributed=False,
                )

        contenders = [Contender(alone, decode, per=len(clips)), Contender(pipeline, feed, per=len(clips))]
        seconds = time_in_turns(contenders, num_rounds, "feeding")
    figures = ratios("feeding a device", seconds, alone)
    main = np.array(in_main[-num_rounds:])
    return [*figures, Figure.of("feeding a device", "of it in the main process", main, alone, seconds[alone], "clip")]


def decode_in_processes(paths: Sequence[Path], processor: ResNetLSTMVideoProcessor, num_workers: int) -> None:
    """Decode clips, and keep nothing of them."""
    with ProcessPoolExecutor(num_workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        list(pool.map(_decode, paths, itertools.repeat(processor)))


def _decode(path: Path, processor: ResNetLSTMVideoProcessor) -> None:
    load_pictures(path, processor)


@contextmanager
def main_process_seconds(seconds: list[float], num_clips: int = 1) -> Iterator[None]:
    """Put into a list for how long this process has kept a core busy meanwhile, all of its threads together.

    Args:
        seconds: The list.
        num_clips: What the seconds are divided by.
    """
    started = time.process_time()
    yield
    seconds.append((time.process_time() - started) / num_clips)
