"""An epoch of the head's training against its matrix multiplications alone."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import DataLoaderConfiguration

from ..accelerator import create_accelerator
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..training.datasets import FeatureDataset
from ..training.frozen_backbone import GroupedFeatures, fit_linear_part
from ..training.loop import TrainingLoop
from ..training.settings import TrainingSettings
from .figures import Figure
from .turns import Contender, ratios, time_in_turns


def time_epochs(
    model: ResNetLSTMForVideoClassification, dataset: FeatureDataset, groups: list[str], num_rounds: int
) -> list[Figure]:
    """Time epochs of the default recipe on cached features.

    Args:
        model: Newly made on the backbone that made the features; it is trained.
        dataset: The clips.
        groups: `[N]`, the source each clip was cut from.
        num_rounds: How many epochs.
    """
    settings = TrainingSettings(num_train_epochs=num_rounds + 2)
    fit_linear_part(model, GroupedFeatures(dataset, groups))
    accelerator = create_accelerator(
        dataloader_config=DataLoaderConfiguration(split_batches=True, use_seedable_sampler=True, data_seed=0)
    )
    with tempfile.TemporaryDirectory() as directory:
        class_weights = torch.ones(model.config.num_labels)
        loop = TrainingLoop(model, dataset, None, class_weights, settings, Path(directory), accelerator)
        contenders = [
            Contender("matrix multiplications of an epoch", _multiplications(model, len(dataset), settings)),
            Contender("epoch", lambda number: loop.run(num_epochs=loop.progress.epoch + 1)),
        ]
        seconds = time_in_turns(contenders, num_rounds, "epochs")
    return ratios("training the head", seconds, contenders[0].name, unit="epoch")


def _multiplications(
    model: ResNetLSTMForVideoClassification, num_clips: int, settings: TrainingSettings
) -> Callable[[int], None]:
    """Multiplies matrices of the shapes, and as often, as forward and backward do, and does nothing else."""
    config, batch = model.config, settings.train_batch_size
    frames, hidden, units = config.num_frames, config.hidden_size, config.lstm_hidden_size
    rows = batch * frames
    # (rows, inner, columns) and how often in a batch. The classifier is fitted and what it reads has no gradient.
    shapes: list[tuple[tuple[int, int, int], int]] = [
        ((rows, hidden, config.num_labels), 1),
        ((rows, hidden, config.lstm_input_size), 1),
        ((config.lstm_input_size, rows, hidden), 1),
        ((rows, units, config.num_labels), 1),
        ((rows, config.num_labels, units), 1),
        ((config.num_labels, rows, units), 1),
    ]
    for layer in range(config.num_lstm_layers):
        size = units if layer else config.lstm_input_size
        shapes += [
            ((rows, size, 4 * units), 1),
            ((rows, 4 * units, size), 1),
            ((4 * units, rows, size), 1),
            ((batch, units, 4 * units), frames),
            ((batch, 4 * units, units), frames),
            ((4 * units, rows, units), 1),
        ]
    pairs = [((torch.randn(m, k), torch.randn(k, n), torch.empty(m, n)), times) for (m, k, n), times in shapes]
    num_batches = int(np.ceil(num_clips / batch))

    @torch.inference_mode()
    def run(number: int) -> None:
        for _ in range(num_batches):
            for (left, right, product), times in pairs:
                for _ in range(times):
                    torch.mm(left, right, out=product)

    return run
