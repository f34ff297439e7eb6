"""The statistics of a model that keeps none, from the dataset that it was trained on."""

from __future__ import annotations

import numpy as np
import torch

from ..data.video_folder import DatasetError, VideoFolder
from ..features import FeatureCache, clip_files
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..training.cross_validated_fit import fit_by_cross_validation
from ..training.discriminant import DiscriminantSolver
from ..training.frozen_backbone import fit_known_score
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .clip_features import read_clips
from .clips import TeachingClip

SPLITS = ("train", "validation")


@torch.no_grad()
def learn_statistics(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    folder: VideoFolder,
    cache: FeatureCache | None = None,
    *,
    batch_size: int | None = None,
    num_workers: int | None = None,
) -> None:
    """Give a model the statistics of its classes, so that it can be taught. What it predicts stays as it is.

    What tells known actions from others is learned anew with them.

    Args:
        model: The model; only what it keeps of its classes is changed.
        processor: Its processor.
        folder: What it was trained on: clips of all its classes, and of no others.
        cache: Frame features to use, and to add to where they are missing.
        batch_size: Clips that pass the backbone together on their way into the cache.
        num_workers: Processes that decode these.

    Raises:
        DatasetError: The dataset has other classes than the model, or no clip of one that can be read.
    """
    label2id = model.config.label2id
    if set(folder.labels) != set(label2id):
        differing = sorted(set(folder.labels) ^ set(label2id))
        raise DatasetError(
            f"{folder.root}: not what the model was trained on; only one of the two has {', '.join(differing)}."
        )
    clips = [
        TeachingClip(file.path, clip.label, clip.file_name, folder.group_of(clip), file.sha256)
        for split in SPLITS
        for clip, file in zip(folder.clips(split), clip_files(folder, split), strict=True)
    ]
    read = read_clips(model, processor, clips, cache, batch_size=batch_size, num_workers=num_workers)
    labels = np.array([label2id[clip.label] for clip in read.clips], dtype=np.int64)
    missing = [name for name, index in label2id.items() if index not in labels]
    if missing:
        raise DatasetError(f"{folder.root}: no clip of {', '.join(missing)} for training that can be read.")
    fit = fit_by_cross_validation(read.features, labels, [clip.group for clip in read.clips], len(label2id))
    # The model's own classifier has been divided by what its clips asked for then.
    discriminant = DiscriminantSolver(fit.moments, len(label2id)).classifier(fit.shrinkage, fit.prior_groups)
    divisor = float(discriminant.weight.norm() / model.classifier.weight.norm())
    known_scores = fit_known_score(model, fit, divisor / fit.temperature * model.config.temperature)
    model.set_class_statistics(
        fit.moments.to_statistics(len(label2id), fit.shrinkage, fit.prior_groups, divisor, known_scores)
    )
