"""What the fit of the classifier takes of very many clips, made up while they are read.

    python -m resnet_lstm.benchmarking.closed_form --clips 1000000 --labels 400 --features 2048
    torchrun --standalone --nproc_per_node 2 -m resnet_lstm.benchmarking.closed_form --clips 1000000

Prints the seconds of the whole and of making up the clips alone, the most memory that a process has taken, and how the
classifier does on clips of groups that it has not seen.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch

from ..accelerator import create_accelerator, own_share
from ..device_precision import processor_name
from ..training.cross_validated_fit import fit_by_sums, group_folds
from ..training.fold_sums import FoldSums
from .extraction import peak_bytes

CHUNK = 2048
CLIPS_OF_A_GROUP = 25


def made_up_clips(
    chunks: np.ndarray, num_labels: int, num_features: int
) -> Iterator[tuple[np.ndarray, torch.Tensor, np.ndarray]]:
    """Clips, chunk by chunk, which a seed makes of a chunk's number: those of a class lie around a point of its own.

    Yields:
        The numbers of the clips `[CHUNK]`, their features `[CHUNK, H]` and their labels `[CHUNK]`.
    """
    centres = 0.1 * torch.randn(num_labels, num_features, generator=torch.Generator().manual_seed(0))
    for chunk in chunks.tolist():
        clips = np.arange(chunk * CHUNK, (chunk + 1) * CHUNK)
        labels = label_of(clips, num_labels)
        noise = torch.randn(CHUNK, num_features, generator=torch.Generator().manual_seed(1 + chunk))
        yield clips, noise.add_(centres[torch.from_numpy(labels)]), labels


def label_of(clips: np.ndarray, num_labels: int) -> np.ndarray:
    """The labels of clips by their numbers `[N]`: those of a group have one."""
    return clips // CLIPS_OF_A_GROUP % num_labels


def measure(num_clips: int, num_labels: int, num_features: int) -> dict[str, float]:
    """Fit to so many clips, to the full chunk; all processes of the run must make this call."""
    num_chunks = -(-num_clips // CHUNK)
    chunks, clips = np.arange(num_chunks)[own_share()], np.arange(num_chunks * CHUNK)
    started = time.perf_counter()
    for _ in made_up_clips(chunks, num_labels, num_features):
        pass
    making = time.perf_counter() - started

    started = time.perf_counter()
    groups = clips // CLIPS_OF_A_GROUP
    folds = group_folds(label_of(clips, num_labels), groups)
    sums = FoldSums(num_features, num_labels, int(folds.max()) + 1)
    for members, features, labels in made_up_clips(chunks, num_labels, num_features):
        sums.add(features, labels, groups[members].astype(str).tolist(), folds[members])
    sums.add_up_processes()
    summed = time.perf_counter() - started
    fit, _ = fit_by_sums(sums)
    whole = time.perf_counter() - started
    _, unseen, labels = next(made_up_clips(np.array([num_chunks]), num_labels, num_features))
    return {
        "clips": sums.num_clips,
        "seconds": whole,
        "seconds_of_sums": summed,
        "seconds_of_making_up": making,
        "peak_gigabytes": peak_bytes() / 1e9,
        "top1_of_unseen_groups": float((fit.classifier(unseen).argmax(dim=1).numpy() == labels).mean()),
        "shrinkage": fit.shrinkage,
        "prior_groups": fit.prior_groups,
    }


def main(arguments: list[str] | None = None) -> int:
    """Measure, and print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1_000_000)
    parser.add_argument("--labels", type=int, default=400)
    parser.add_argument("--features", type=int, default=2048)
    args = parser.parse_args(arguments)
    accelerator = create_accelerator()
    figures = measure(args.clips, args.labels, args.features)
    machine = {"processor": processor_name(), "threads": torch.get_num_threads()}
    shape = {"labels": args.labels, "features": args.features, "processes": accelerator.num_processes}
    accelerator.print(json.dumps({**machine, **shape, **figures}, indent=2))
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return 0


if __name__ == "__main__":
    sys.exit(main())
