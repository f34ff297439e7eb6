"""Shards extracted by the workers of a Ray cluster: it starts them, places them, and starts anew those that die."""

from __future__ import annotations

import importlib
import os
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from .shard_extraction import SECONDS_BETWEEN_LOOKS, ShardExtraction, ShardExtractor

_EXTRACTED = "extracted"


class RayMissingError(ImportError):
    """Ray is not installed."""


def require_ray_data() -> Any:
    """The optional module `ray.data`.

    Raises:
        RayMissingError: It is not installed.
    """
    # It would tell its makers of each run.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        return importlib.import_module("ray.data")
    except ImportError as error:
        raise RayMissingError("workers of Ray need the package ray: pip install 'resnet-lstm[ray]'.") from error


def extract_shards_by_ray(build: Callable[[], ShardExtractor], num_workers: int) -> ShardExtraction:
    """Extract all shards, by workers on the cluster at $RAY_ADDRESS, or on one of this machine alone.

    The output must be a folder that all of them share. A shard of a worker that dies is given to another one.

    Args:
        build: Makes the extractor of a worker, in its process.
        num_workers: How many; each gets a GPU where the cluster has some, and its share of the cores.

    Raises:
        RayMissingError: Ray is not installed.
    """
    data = require_ray_data()
    ray = importlib.import_module("ray")
    here = build()
    missing = [number for number, shard in enumerate(here.shards) if here.footer(shard) is None]
    extracted = 0
    if missing:
        started_here = not ray.is_initialized()
        if started_here:
            ray.init(log_to_driver=False)
        try:
            resources = ray.cluster_resources()
            done = data.from_items([{"shard": number} for number in missing], override_num_blocks=len(missing))
            done = done.map_batches(
                _Worker,
                fn_constructor_args=(build,),
                batch_size=1,
                compute=data.ActorPoolStrategy(size=num_workers),
                num_cpus=max(1, int(resources.get("CPU", 1)) // num_workers),
                num_gpus=1 if resources.get("GPU") else 0,
            )
            extracted = sum(row[_EXTRACTED] for row in done.iter_rows())
        finally:
            if started_here:
                ray.shutdown()
    return replace(here.finish(), extracted=extracted)


class _Worker:
    """Extracts the shards that it is given by their numbers."""

    def __init__(self, build: Callable[[], ShardExtractor]) -> None:
        self._extractor = build()

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        for number in batch["shard"]:
            shard = self._extractor.shards[number]
            # Who is at it may be one whose death Ray has seen before the system has.
            while not self._extractor.extract(shard):
                time.sleep(SECONDS_BETWEEN_LOOKS)
        return {_EXTRACTED: np.ones(len(batch["shard"]), np.int64)}
