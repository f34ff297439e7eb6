"""A trained model and a few clips of new classes -> a model that knows these too, in seconds.

The linear discriminant is fitted anew, to the new clips and to the statistics that the model keeps of its training
clips (`ClassStatistics`); no old clip is needed. The LSTM keeps its say about the classes that stay, and has none
about new ones.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..data.class_names import background_label_id
from ..data.leakage import Leakage
from ..evaluation import EvaluationReport, evaluate_predictions
from ..evaluation.report import percent
from ..features import FeatureCache
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..training.cross_validated_fit import DiscriminantFit
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .class_names import names_after_teaching
from .clip_features import read_clips
from .clips import ClipsOfClass, TeachingClip, check_clips, collect_clips
from .errors import TeachingError
from .known_actions import teach_known_score
from .refit import refit_discriminant

# What the clips are called where a dataset would name a split and how it was made.
SPLIT, SCHEME = "taught", "one recording left out at a time"


@dataclass(frozen=True)
class TaughtModel:
    """What came of teaching.

    Attributes:
        model: Knows the new classes; in evaluation mode, on the device of the model that was taught.
        classes: The names of those it was taught.
        clips: What it was taught by.
        errors: Clips that could not be read and were left out, each with the reason.
        report: How the clips are recognised, each without its recording, among all classes of the model.
        seconds: What it took, all included.
    """

    model: ResNetLSTMForVideoClassification
    classes: list[str]
    clips: list[TeachingClip]
    errors: list[tuple[TeachingClip, str]]
    report: EvaluationReport
    seconds: float

    def summary(self) -> str:
        """A few lines for the terminal."""
        lines = [
            f"taught {len(self.classes)} classes by {len(self.clips)} clips in {self.seconds:.1f} s; kept "
            f"{self.model.config.num_labels - len(self.classes)} others",
            f"leaving out one recording at a time, {percent(self.report.metrics.top1)} of the clips are recognised "
            f"among {self.model.config.num_labels} classes:",
        ]
        rows = [row for row in self.report.metrics.per_class if row.clips]
        width = max(len(row.label) for row in rows)
        lines += [f"  {row.label:{width}}  {round((row.recall or 0) * row.clips)} of {row.clips}" for row in rows]
        return "\n".join(lines)


def teach(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    classes: Mapping[str, ClipsOfClass],
    *,
    replace: bool = False,
    group_regex: str | None = None,
    cache: FeatureCache | None = None,
    batch_size: int | None = None,
    num_workers: int | None = None,
) -> TaughtModel:
    """Teach a trained model classes by a few clips of each. The model itself stays as it is; nothing is saved.

    Args:
        model: The model.
        processor: Its processor.
        classes: The clips of each class, two or more: files, folders of files, URLs, anything else that the processor
            takes, such as frames `[T, H, W, 3]`, or `frame_features` `[T, D]` that this model gave of them. A class
            that the model knows learns from them too.
        replace: Know these classes alone; how much clips of one class differ is still learned from the old ones.
        group_regex: What in a file name tells the recording it was cut from: the first capture group, or the whole
            match. Without it, and for what is no file, each clip counts as a recording of its own.
        cache: Frame features of files to use, and to add to where they are missing; without it nothing is kept.
        batch_size: Clips that pass the backbone together on their way into the cache.
        num_workers: Processes that decode these.

    Raises:
        DatasetError: The expression is none, or finds no recording in a file name.
        FileNotFoundError: A folder holds no clip.
        TeachingError: The model keeps no statistics of the classes that it shall keep; a name is empty, or nearly
            another's; fewer than two classes would come of it; a file is not there or stands for two classes; or a
            class has fewer than two clips that can be read, or all of one recording.
    """
    started = time.monotonic()
    statistics = model.class_statistics
    if statistics is None and not replace:
        raise TeachingError(
            "the model keeps no statistics of its classes, so that it cannot be taught others beside them: it was "
            "trained together with its backbone, or by an earlier version. Give the dataset that it was trained on, "
            "train it again on a frozen backbone, or have all of its classes replaced."
        )
    known = [] if replace else [model.config.id2label[index] for index in range(model.config.num_labels)]
    names = names_after_teaching(known, classes)
    clips = collect_clips(classes, group_regex)
    check_clips(classes, clips)
    was_training = model.training
    model.eval()
    read = read_clips(model, processor, clips, cache, batch_size=batch_size, num_workers=num_workers)
    model.train(was_training)
    check_clips(classes, read.clips, read.errors)

    labels = np.array([names.index(clip.label) for clip in read.clips])
    groups = [clip.group for clip in read.clips]
    fit, offsets = refit_discriminant(statistics, read.features, labels, groups, len(names), keep_classes=not replace)
    taught = _with_classes(model, names, len(known), fit)
    old_known_score = None if replace or model.known_score is None else copy.deepcopy(model.known_score).cpu()
    known_scores = teach_known_score(taught, fit, old_known_score, statistics)
    kept = fit.moments.to_statistics(len(names), fit.shrinkage, fit.prior_groups, fit.temperature, known_scores)
    kept.offsets.copy_(offsets)
    taught.set_class_statistics(kept)
    logits = fit.held_out_logits.copy()
    logits[:, : len(known)] += read.lstm_logits[:, : len(known)].numpy()
    report = _report(logits / taught.config.temperature, labels, read.clips, names, group_regex)
    return TaughtModel(taught, list(classes), read.clips, read.errors, report, time.monotonic() - started)


def _with_classes(
    model: ResNetLSTMForVideoClassification, names: Sequence[str], num_kept: int, fit: DiscriminantFit
) -> ResNetLSTMForVideoClassification:
    """A copy of a model for these classes, with the classifier of the fit.

    The LSTM says of the first `num_kept` classes, which are the model's own, what it said, and nothing of the others.
    At what score reading may stop early is not known any more.
    """
    taught = copy.deepcopy(model).eval()
    config = taught.config
    taught.forget_classes()
    config.temperature = model.config.temperature
    config.background_label_id = background_label_id(names)
    config.id2label = dict(enumerate(names))
    config.label2id = {name: index for index, name in enumerate(names)}
    taught.num_labels = len(names)
    taught.classifier = nn.Linear(config.hidden_size, len(names), dtype=torch.float32, device=model.device)
    taught.set_classifier(fit.classifier.weight, fit.classifier.bias)
    taught.classifier.requires_grad_(True)
    if model.lstm_classifier is not None:
        weight = torch.zeros(len(names), config.lstm_hidden_size, device=model.device)
        weight[:num_kept] = model.lstm_classifier.weight[:num_kept].detach()
        taught.lstm_classifier = nn.Linear(
            config.lstm_hidden_size, len(names), bias=False, dtype=torch.float32, device=model.device
        )
        taught.lstm_classifier.weight.data.copy_(weight)
    return taught


def _report(
    logits: np.ndarray,
    labels: np.ndarray,
    clips: Sequence[TeachingClip],
    names: Sequence[str],
    group_regex: str | None,
) -> EvaluationReport:
    taught = list(dict.fromkeys(clip.label for clip in clips))
    groups_known = group_regex is not None
    leakage = Leakage(SPLIT, len(clips), groups_known, shared_group=() if groups_known else None, same_bytes=())
    return evaluate_predictions(
        logits,
        labels,
        [clip.group for clip in clips],
        [clip.name for clip in clips],
        names,
        split=SPLIT,
        split_scheme=SCHEME,
        leaky=False,
        leakage=leakage.to_dict(),
        model_name="resnet-lstm",
        dataset_name=f"clips of {', '.join(taught)}",
    )
