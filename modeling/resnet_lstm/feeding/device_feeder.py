"""Pictures -> the model's input, on its device: they travel as bytes and become numbers there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

import numpy as np
import torch

from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor

_Computed = TypeVar("_Computed", torch.Tensor, tuple[torch.Tensor, ...])


class DeviceFeeder:
    """Brings pictures to a device and normalises them there.

    To a GPU they go through pinned memory on a stream of their own, while it computes on those before; the caller does
    not wait.

    Args:
        processor: Makes the model's input.
        device: Where the model is.
    """

    def __init__(self, processor: ResNetLSTMVideoProcessor, device: torch.device) -> None:
        self.processor = processor
        self.device = device
        self._staging = torch.empty(0, dtype=torch.uint8)
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def pixel_values(self, clips: Sequence[torch.Tensor], mirrored: Sequence[bool] = ()) -> torch.Tensor:
        """The model's input.

        Args:
            clips: B times `[T, height, width, 3]` uint8, in the size that the model reads.
            mirrored: Which of them to mirror left to right; none if left out.

        Returns:
            `[B, T, 3, height, width]` float32, on the device.
        """
        pixel_values = self.processor.normalize_pictures(self._moved(clips))
        if any(mirrored):
            is_mirrored = torch.tensor(list(mirrored)).to(self.device, non_blocking=True)
            pixel_values = torch.where(is_mirrored[:, None, None, None, None], pixel_values.flip(-1), pixel_values)
        return pixel_values

    def _moved(self, clips: Sequence[torch.Tensor]) -> torch.Tensor:
        shape = (len(clips), *clips[0].shape)
        if self._stream is None:
            if len(clips) == 1:
                return clips[0][None].to(self.device)
            # Memory that is used again: of a new block each page would have to be mapped.
            if self._staging.shape[1:] != shape[1:] or len(self._staging) < len(clips):
                self._staging = torch.empty(shape, dtype=torch.uint8)
            return _stacked(clips, self._staging[: len(clips)]).to(self.device)
        pinned = _stacked(clips, torch.empty(shape, dtype=torch.uint8, pin_memory=True))
        with torch.cuda.stream(self._stream):
            pictures = pinned.to(self.device, non_blocking=True)
        computing = torch.cuda.current_stream(self.device)
        computing.wait_stream(self._stream)
        # Its memory is given to nobody else before what computes on it is done.
        pictures.record_stream(computing)
        return pictures


def _stacked(clips: Sequence[torch.Tensor], out: torch.Tensor) -> torch.Tensor:
    # By numpy, in this thread: PyTorch's threads would wait for each other while decoders use the cores.
    np.stack([clip.numpy() for clip in clips], out=out.numpy())
    return out


class HalvingBatches(Generic[_Computed]):
    """Computes batches, and halves them where the device's memory is too small for a whole one.

    Args:
        compute: A batch `[B, ...]` -> `[B, ...]`, or several such tensors.

    Attributes:
        size: The most that is computed at a time; None as long as whole batches fit.
    """

    def __init__(self, compute: Callable[[torch.Tensor], _Computed]) -> None:
        self._compute: Callable[[torch.Tensor], _Computed] = compute
        self.size: int | None = None

    def __call__(self, batch: torch.Tensor) -> _Computed:
        """What `compute` gives.

        Raises:
            torch.OutOfMemoryError: Not even one fits.
        """
        while True:
            try:
                if self.size is None or len(batch) <= self.size:
                    return self._compute(batch)
                return _joined([self._compute(part) for part in batch.split(self.size)])
            except torch.OutOfMemoryError:
                size = min(self.size or len(batch), len(batch))
                if size <= 1:
                    raise
                self.size = size // 2
            # Outside of the handler: its traceback would keep alive what has been computed.
            torch.cuda.empty_cache()


def _joined(parts: list[_Computed]) -> _Computed:
    if isinstance(parts[0], torch.Tensor):
        return torch.cat(parts)
    return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))


def default_batch_size(device: torch.device | str) -> int:
    """Clips that pass a backbone together: one on a CPU, whose cores are busy with it; on a GPU as many as fill it."""
    return 1 if torch.device(device).type == "cpu" else 32
