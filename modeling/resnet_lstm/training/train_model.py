"""A run's model is trained: its head on the features of a frozen backbone, or all of it on clips from the start."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from ..features import UNIFORM, FeatureShards, FeaturesInMemory, training_views
from ..feeding import default_num_workers
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from .class_weights import class_weights
from .datasets import ClipDataset, FeatureDataset
from .frozen_backbone import GroupedFeatures, train_head
from .loop import TrainingLoop, TrainingResult
from .run import Run, decodable


def train_model(
    run: Run, model: ResNetLSTMForVideoClassification, output_dir: Path, log_prefix: str = ""
) -> TrainingResult:
    """Train a model as it comes.

    Args:
        run: The run.
        model: With a frozen backbone the head is trained (`train_head`), else all of it by gradient descent.
        output_dir: Where checkpoints go.
        log_prefix: Put before the names of the figures that trackers get.
    """
    if not model.resnet_lstm.backbone_is_frozen:
        run.require_clips("Training the backbone")
    train = _train_on_features if model.resnet_lstm.backbone_is_frozen else _train_on_clips
    return train(run, model, output_dir, log_prefix)


def grouped_features(
    run: Run, model: ResNetLSTMForVideoClassification, read_views: int | None = None
) -> dict[str, GroupedFeatures]:
    """The features of a run's clips, split by split, extracted where they are missing.

    Args:
        run: The run.
        model: Its backbone makes the features.
        read_views: How many views of a training clip are read; by default as the run's options say.
    """
    settings, options = run.settings, run.options
    cache = run.features(model)
    views = training_views(options.num_views, settings.flip)
    clips = {}
    for split in run.splits:
        # Clips that validate are trained on in the end.
        views_of_split = views if split == "train" or settings.refit else [UNIFORM]
        clips[split] = run.extracted(run.labelled_clips(split, model.config), model, cache, views_of_split)
    run.check_not_empty(clips)
    held = cache if isinstance(cache, FeatureShards) else FeaturesInMemory(cache)
    grouped = {}
    for split, (files, labels) in clips.items():
        views_of_split = views[:read_views] if split == "train" else [UNIFORM]
        dataset = FeatureDataset(files, labels, held, views_of_split, settings.seed)
        grouped[split] = GroupedFeatures(dataset, [run.group_of[clip.path] for clip in files])
    return grouped


def clip_workers(run: Run) -> int:
    """How many processes decode clips while a backbone is trained on them."""
    if run.options.num_workers is not None:
        return run.options.num_workers
    # On a CPU training takes longer than decoding: half of the cores are enough.
    return default_num_workers(run.accelerator.device) or (os.cpu_count() or 2) // 2


def label_weights(run: Run, labels: list[int] | Any) -> torch.Tensor:
    """The weight of each class in the training loss, `[L]`."""
    return class_weights(labels, len(run.folder.labels), run.settings.class_weight)


def _train_on_features(
    run: Run, model: ResNetLSTMForVideoClassification, output_dir: Path, log_prefix: str
) -> TrainingResult:
    grouped = grouped_features(run, model)
    facts = run.facts(model, {split: list(features.dataset.clips) for split, features in grouped.items()})

    def make_loop(train: FeatureDataset, validation: FeatureDataset | None, checkpoint_dir: Path) -> TrainingLoop:
        return TrainingLoop(
            model,
            train,
            validation,
            label_weights(run, train.labels),
            run.settings,
            checkpoint_dir,
            run.accelerator,
            split_scheme=run.folder.split_scheme,
            log_prefix=log_prefix if checkpoint_dir == output_dir else f"{log_prefix}refit/",
            run_facts=facts,
            start_is_candidate=True,
        )

    return train_head(
        model,
        grouped["train"],
        grouped.get("validation"),
        make_loop,
        output_dir,
        refit=run.settings.refit,
        resume=run.options.resume,
    )


def _train_on_clips(
    run: Run, model: ResNetLSTMForVideoClassification, output_dir: Path, log_prefix: str
) -> TrainingResult:
    clips = {split: decodable(run.labelled_clips(split, model.config)) for split in run.splits}
    run.check_not_empty(clips)
    datasets = {}
    for split, (files, labels) in clips.items():
        augment = split == "train"
        datasets[split] = ClipDataset(
            files, labels, run.processor, augment, augment and run.settings.flip, run.settings.seed
        )
    loop = TrainingLoop(
        model,
        datasets["train"],
        datasets.get("validation"),
        label_weights(run, datasets["train"].labels),
        run.settings,
        output_dir,
        run.accelerator,
        clip_workers(run),
        split_scheme=run.folder.split_scheme,
        log_prefix=log_prefix,
        run_facts=run.facts(model, {split: files for split, (files, _) in clips.items()}),
    )
    result = loop.run(run.options.resume)
    if result.best_epoch is not None:
        model.config.temperature = result.history[result.best_epoch].get("validation_temperature", 1.0)
    return result
