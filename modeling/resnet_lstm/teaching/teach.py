"""A trained model and a few clips of new classes -> a model that knows these too, in seconds.

The linear discriminant is fitted anew, from the statistics that the model keeps of its training clips (`ClassStatistics`)
and from the new clips; no old clip is needed. The LSTM keeps its say about the old classes and has none about new ones.
"""

from __future__ import annotations

import copy
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..data.video_folder import DatasetError
from ..features import UNIFORM, FeatureCache, FeaturesInMemory, default_cache_dir, extract_features
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..training.class_moments import ClassMoments
from ..training.discriminant import DiscriminantSolver, fit_by_cross_validation
from ..training.frozen_backbone import keep_class_statistics
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .clips import TaughtClips
from .held_out import held_out_logits
from .known_actions import teach_known_score
from .old_classes import moments_of

logger = logging.getLogger(__name__)

BATCH_SIZE = 64


class TeachingError(ValueError):
    """A model cannot be taught what it shall be taught."""


@dataclass(frozen=True)
class TaughtModel:
    """What came of teaching.

    Attributes:
        model: Knows the new classes; in evaluation mode, on the device of the model that was taught.
        clips: What it was taught by; clips that could not be decoded are not among them.
        new_classes: Their names.
        held_out_logits: `[N, L]`, what it would say of each clip without the clip's recording; NaN where the class
            has no other recording.
        seconds: What it took, all included.
    """

    model: ResNetLSTMForVideoClassification
    clips: TaughtClips
    new_classes: list[str]
    held_out_logits: np.ndarray
    seconds: float

    @property
    def labels(self) -> np.ndarray:
        """`[N]`, the label ids of the clips."""
        return np.array([self.model.config.label2id[label] for label in self.clips.labels])

    @property
    def scored(self) -> np.ndarray:
        """`[M]`, the indices of the clips that could be held out."""
        return np.flatnonzero(~np.isnan(self.held_out_logits).any(axis=1))

    @property
    def held_out_top1(self) -> float | None:
        """The part of the clips that is right where their recording is left out; None where none could be."""
        if not len(self.scored):
            return None
        return float((self.held_out_logits[self.scored].argmax(axis=1) == self.labels[self.scored]).mean())

    def summary(self) -> str:
        """A few lines for the terminal."""
        kept = self.model.config.num_labels - len(self.new_classes)
        lines = [
            f"taught {', '.join(self.new_classes)} by {len(self.clips.files)} clips of {len(set(self.clips.groups))} "
            f"recordings in {self.seconds:.1f} s; {kept} classes kept"
        ]
        if self.held_out_top1 is None:
            lines.append("how well cannot be told: each class has one recording")
        else:
            lines.append(
                f"leaving out one recording at a time, {100 * self.held_out_top1:.1f} % of {len(self.scored)} clips "
                f"are right among {self.model.config.num_labels} classes"
            )
        return "\n".join(lines)


def teach(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    classes: Mapping[str, Sequence[str | os.PathLike[str]]],
    *,
    replace: bool = False,
    group_regex: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    precision: str = "auto",
    batch_size: int | None = None,
    num_workers: int | None = None,
) -> TaughtModel:
    """Teach a trained model new classes by a few clips of each. The model itself stays as it is.

    Args:
        model: Trained on a frozen backbone.
        processor: Its processor.
        classes: For each new class its clips, files or folders, see `TaughtClips.of`. A second call finds their
            features in the cache.
        replace: Know the new classes alone; how much clips of one class differ is still learned from the old ones.
        group_regex: What in a file name tells the recording, see `TaughtClips.of`.
        cache_dir: The folder of feature caches, by default the user's.
        precision: What the backbone computes in, see `device_precision`.
        batch_size: Clips that pass the backbone together, by default as the device wants it.
        num_workers: Processes that decode, by default as the device wants it.

    Raises:
        DatasetError: A class has no clip that can be decoded, or see `TaughtClips.of`.
        TeachingError: A class is known already, there would be one class only, or the model keeps no statistics of
            its classes and shall keep them.
    """
    started = time.monotonic()
    check_can_be_taught(model, classes, replace)
    clips = TaughtClips.of(classes, group_regex)
    base = copy.deepcopy(model.resnet_lstm)
    cache = FeatureCache(default_cache_dir() if cache_dir is None else Path(cache_dir), base, processor, precision)
    extract_features(
        base,
        processor,
        cache,
        clips.files,
        [UNIFORM],
        batch_size=batch_size,
        num_workers=num_workers,
        distributed=False,
    )
    clips = clips.where([cache.has(file.sha256, UNIFORM) for file in clips.files])
    for label in classes:
        if label not in clips.labels:
            raise DatasetError(f"class {label!r}: none of its clips can be decoded.")
    taught, logits = teach_by_features(model, clips, FeaturesInMemory(cache), replace=replace)
    return TaughtModel(taught, clips, list(classes), logits, time.monotonic() - started)


def check_can_be_taught(
    model: ResNetLSTMForVideoClassification, classes: Sequence[str] | Mapping[str, object], replace: bool
) -> None:
    """Raise a `TeachingError` where a model cannot be taught these classes."""
    known = [] if replace else [label for label in classes if label in model.config.label2id]
    if known:
        raise TeachingError(f"{', '.join(known)}: known to the model already. Choose another name, or replace all.")
    if not replace and model.class_statistics is None:
        raise TeachingError(
            "The model keeps no statistics of its classes, so it cannot be taught more beside them: it was trained "
            "with its backbone, or by an earlier version. Train it again, or replace all its classes."
        )
    if len(classes) + (0 if replace else model.config.num_labels) < 2:
        raise TeachingError(f"{', '.join(classes) or 'no class'}: a model needs two classes to tell apart.")


@torch.no_grad()
def teach_by_features(
    model: ResNetLSTMForVideoClassification, clips: TaughtClips, features: FeaturesInMemory, *, replace: bool = False
) -> tuple[ResNetLSTMForVideoClassification, np.ndarray]:
    """As `teach`, by clips whose features are there. The model that was taught, and the clips' held-out logits."""
    new_classes = list(dict.fromkeys(clips.labels))
    check_can_be_taught(model, new_classes, replace)
    statistics = model.class_statistics
    old_names = [] if replace else [model.config.id2label[index] for index in range(model.config.num_labels)]
    names = [*old_names, *new_classes]
    labels = np.array([names.index(label) for label in clips.labels])
    head_features = clip_features(model, clips, features)  # [N, H]

    old = None if statistics is None else moments_of(statistics)
    if replace and old is not None:
        old = old.without_classes()
    new = ClassMoments.of(head_features, labels, clips.groups)
    moments = new if old is None else old.and_also(new)
    if statistics is None:
        fit = fit_by_cross_validation(head_features, labels, clips.groups, len(names))
        shrinkage, divisor = fit.shrinkage, fit.temperature
    else:
        shrinkage, divisor = float(statistics.shrinkage), float(statistics.divisor)
    solver = DiscriminantSolver(moments, len(names))
    classifier = solver.classifier(shrinkage).divided_by(divisor)
    logits = held_out_logits(old, head_features, labels, clips.groups, len(names), shrinkage) / divisor

    taught = with_classes(model, names)
    taught.set_classifier(classifier.weight, classifier.bias)
    taught.classifier.requires_grad_(True)
    logits = logits / taught.config.temperature
    scored = np.flatnonzero(~np.isnan(logits).any(axis=1))
    spread = solver.spread(shrinkage)
    known_scores = teach_known_score(
        taught,
        model,
        spread,
        torch.from_numpy(logits[scored]).float(),
        spread.squared_distances(head_features[scored]),
        torch.from_numpy(labels[scored]),
    )
    keep_class_statistics(taught, moments, shrinkage, divisor, known_scores)
    return taught, logits


def clip_features(
    model: ResNetLSTMForVideoClassification, clips: TaughtClips, features: FeaturesInMemory
) -> torch.Tensor:
    """What the classifier reads of clips, `[N, H]` on the CPU: the mean over their frames."""
    base, parts = model.resnet_lstm, []
    for start in range(0, len(clips.files), BATCH_SIZE):
        batch = [features.load(file.sha256, UNIFORM) for file in clips.files[start : start + BATCH_SIZE]]
        magnitudes = base.magnitudes(torch.stack(batch).to(model.device))
        parts.append(base.normalised(magnitudes).mean(dim=1).cpu())
    return torch.cat(parts)


def with_classes(model: ResNetLSTMForVideoClassification, names: Sequence[str]) -> ResNetLSTMForVideoClassification:
    """A copy of a model for these classes, its classifier still to be set.

    The LSTM says of an old class what it said, and nothing of a new one. When reading may stop is not known any more.
    """
    taught = copy.deepcopy(model).eval()
    config = taught.config
    kept = [label for label in names if label in config.label2id]
    old_ids = [config.label2id[label] for label in kept]
    config.id2label = dict(enumerate(names))
    config.label2id = {label: index for index, label in enumerate(names)}
    config.early_exit_score = None
    taught.num_labels = len(names)
    taught.classifier = nn.Linear(config.hidden_size, len(names), dtype=torch.float32, device=model.device)
    if model.lstm_classifier is not None:
        weight = torch.zeros(len(names), config.lstm_hidden_size, device=model.device)
        weight[: len(kept)] = model.lstm_classifier.weight[old_ids]
        taught.lstm_classifier = nn.Linear(
            config.lstm_hidden_size, len(names), bias=False, dtype=torch.float32, device=model.device
        )
        taught.lstm_classifier.weight.data.copy_(weight)
    return taught
