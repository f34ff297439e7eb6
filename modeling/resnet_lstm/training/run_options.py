"""How a run is carried out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out, as opposed to what it shall learn (`TrainingSettings`).

    Attributes:
        cache_dir: The folder of feature caches.
        num_views: Views of each training clip that are cached and drawn from; 1 means no augmentation.
        extraction_batch_size: Clips that pass the backbone together while features are extracted; by default as the
            device wants it.
        num_workers: Processes that load ahead; by default chosen by the machine.
        precision: What the backbone computes in, see `device_precision`; "auto" goes by what accelerate was launched
            with, and where it was not told either, by the device.
        report_to: Trackers of accelerate ("tensorboard", "trackio", "wandb"), none if empty.
        resume: Go on from the output directory's checkpoint.
        overwrite: Replace a model that is there already.
    """

    cache_dir: Path
    num_views: int = 1
    extraction_batch_size: int | None = None
    num_workers: int | None = None
    precision: str = "auto"
    report_to: tuple[str, ...] = ()
    resume: bool = False
    overwrite: bool = False
