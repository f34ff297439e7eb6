"""The head on a frozen backbone: a linear part in closed form, and an LSTM that has to improve on it."""

from __future__ import annotations

import copy
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ..accelerator import add_up, found_by_first, own_stretch
from ..evaluation.calibration import LEAST_CLIPS_FOR_TEMPERATURE, fit_temperature
from ..evaluation.intervals import mean_and_standard_error
from ..evaluation.metrics import compute_metrics, log_probabilities
from ..features import View
from ..inference.anytime import fit_early_exit_score, reading_stages
from ..known_score import KnownScore
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from .background import lower_background
from .cross_validated_fit import DiscriminantFit, fit_by_cross_validation, fit_by_sums, group_folds
from .datasets import FeatureDataset
from .fold_sums import FoldSums, most_rows
from .loop import TrainingLoop, TrainingResult

logger = logging.getLogger(__name__)

BATCH_SIZE = 64
REFIT_FOLDER = "refit"

# What part of the clips that show one of the model's actions may be taken for none of them.
KNOWN_CLIPS_REFUSED = 0.05

# Makes the loop for a training set, a validation set (or none) and the folder of its checkpoints.
MakeLoop = Callable[[FeatureDataset, FeatureDataset | None, Path], TrainingLoop]


@dataclass(frozen=True)
class GroupedFeatures:
    """Clips to train or validate on.

    Attributes:
        dataset: Their features and labels.
        groups: `[N]`, the source each clip was cut from.
    """

    dataset: FeatureDataset
    groups: Sequence[str]

    def and_also(self, other: GroupedFeatures) -> GroupedFeatures:
        """These clips and those of `other`, all in the views of these, which the cache must hold."""
        mine, others = self.dataset, other.dataset
        joined = FeatureDataset(
            [*mine.clips, *others.clips], [*mine.labels, *others.labels], mine.cache, mine.views, mine.seed
        )
        return GroupedFeatures(joined, [*self.groups, *other.groups])


def train_head(
    model: ResNetLSTMForVideoClassification,
    train: GroupedFeatures,
    validation: GroupedFeatures | None,
    make_loop: MakeLoop,
    output_dir: Path,
    *,
    refit: bool = True,
    resume: bool = False,
) -> TrainingResult:
    """Train all but the backbone.

    First the linear part is fitted, in closed form (`discriminant`). Then the LSTM learns, epoch by epoch, what the
    linear part leaves; the linear part's logits of a training clip are here those of a fit without its group, as sure
    and as wrong as on clips it has not seen. The epoch with the best validation figure is kept; or the start, where
    the LSTM has no say, if no epoch has less loss on the validation clips by more than chance. The temperature, and
    the score at which reading may stop early, are fitted on the validation clips. Then all is done again on training
    and validation clips together, for as many epochs as were best. Last, what a clip of a known action is like is
    learned from the linear part's view of clips that it has not seen (`known_score`), and the statistics of the
    classes are kept, by which the model can be taught further ones.

    Args:
        model: As built; its backbone made the features.
        train: The training clips.
        validation: The clips that choose the epoch and the temperature; without them the LSTM is left out of it.
        make_loop: Makes the training loop.
        output_dir: Where checkpoints go.
        refit: Whether to end with the training on all clips.
        resume: Go on from the checkpoints in `output_dir`.
    """
    started, in_loops = time.monotonic(), 0.0
    result, figures = TrainingResult([], None, 0.0), None

    def run_loop(
        train: FeatureDataset, validation: FeatureDataset | None, directory: Path, epochs: int | None = None
    ) -> TrainingResult:
        nonlocal started, in_loops
        paused = time.monotonic()
        of_loop = make_loop(train, validation, directory).run(resume, num_epochs=epochs)
        # The loop counts its own seconds, those before an interruption too.
        started += time.monotonic() - paused
        in_loops += of_loop.seconds
        return of_loop

    initial = copy.deepcopy(_head_state(model))
    model.config.temperature = sureness = 1.0
    model.config.early_exit_score = None
    model.set_known_score(None, None)
    model.set_class_statistics(None)
    fit = fit_linear_part(model, train)
    if validation is not None:
        # The start at its best: no epoch may win by being more or less sure.
        sureness = fitted_temperature(model, validation.dataset)
        divide_linear_part(model, train.dataset, sureness)
        if model.lstm_classifier is not None:
            result = _kept_if_better(
                model, validation, partial(run_loop, train.dataset, validation.dataset, output_dir)
            )
        temperature = fitted_temperature(model, validation.dataset)
        figures = validation_figures(model, validation.dataset)
        model.config.early_exit_score = fitted_early_exit_score(model, validation.dataset, temperature)
        if refit:
            everything = train.and_also(validation)
            model.load_state_dict(initial, strict=False)
            fit = fit_linear_part(model, everything)
            divide_linear_part(model, everything.dataset, sureness)
            if result.best_epoch is not None:
                (output_dir / REFIT_FOLDER).mkdir(exist_ok=True)
                run_loop(everything.dataset, None, output_dir / REFIT_FOLDER, result.best_epoch + 1)
        model.config.temperature = temperature
    known_scores = fit_known_score(model, fit, sureness * model.config.temperature)
    _keep_statistics(model, fit, sureness, known_scores)
    model.classifier.requires_grad_(True)
    return replace(result, seconds=time.monotonic() - started + in_loops, validation=figures)


def _head_state(model: ResNetLSTMForVideoClassification) -> dict[str, torch.Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if ".backbone." not in name}


@torch.no_grad()
def fit_linear_part(model: ResNetLSTMForVideoClassification, train: GroupedFeatures) -> DiscriminantFit:
    """Set the statistics of the features and the classifier that reads them, and the dataset's logit corrections.

    Of many clips the features are not kept, and each process reads a part of them; all must make this call.
    """
    dataset, base, device = train.dataset, model.resnet_lstm, model.device
    num_views, num_labels = len(dataset.views), model.config.num_labels
    rows = [(clip.sha256, view) for clip in dataset.clips for view in dataset.views]
    is_shared = len(rows) > most_rows(model.config.hidden_size)
    share = np.arange(len(rows))[own_stretch(len(rows)) if is_shared else slice(None)]
    totals = torch.zeros(2, model.config.hidden_size, dtype=torch.float64)
    num_frames = torch.zeros(1, dtype=torch.float64)
    for _, frame_features in _batches(dataset, rows, share):
        magnitudes = base.magnitudes(frame_features.to(device)).flatten(0, 1).double().cpu()  # [B * T, H]
        totals += torch.stack([magnitudes.sum(dim=0), (magnitudes**2).sum(dim=0)])
        num_frames += len(magnitudes)
    if is_shared:
        add_up(totals)
        add_up(num_frames)
    mean, square_mean = totals / num_frames
    base.set_feature_statistics(mean.float(), (square_mean - mean**2).clamp_min(0).float())

    def read() -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        for indices, frame_features in _batches(dataset, rows, share):
            yield indices, base.normalised(base.magnitudes(frame_features.to(device))).mean(dim=1)  # [B, H]

    labels = np.repeat(np.array(dataset.labels), num_views)
    groups = np.repeat(np.array(train.groups), num_views)
    corrections = torch.zeros(len(rows), num_labels)
    if is_shared:
        fit, held_out = _fit_to_shares(read, labels, groups, num_labels, dataset.seed, device)
        for indices, features in read():
            corrections[indices] = held_out(indices, features.cpu()) - fit.classifier(features.cpu())
        add_up(corrections)
    else:
        features = torch.cat([features.cpu() for _, features in read()])  # [N * V, H]
        fit = fit_by_cross_validation(features, labels, groups.tolist(), num_labels, dataset.seed)
        corrections = torch.from_numpy(fit.held_out_logits).float() - fit.classifier(features)
    if model.config.background_label_id is not None:
        fit = lower_background(fit, model.config.background_label_id)
    model.set_classifier(fit.classifier.weight, fit.classifier.bias)
    dataset.logit_corrections = corrections.nan_to_num(0.0).unflatten(0, (-1, num_views))
    return fit


def _fit_to_shares(
    read: Callable[[], Iterator[tuple[np.ndarray, torch.Tensor]]],
    labels: np.ndarray,
    groups: np.ndarray,
    num_labels: int,
    seed: int,
    device: torch.device,
) -> tuple[DiscriminantFit, Callable[[np.ndarray, torch.Tensor], torch.Tensor]]:
    """The fit to clips of which each process reads its own, and what gives held-out logits of some of them."""
    folds = group_folds(labels, groups, seed)
    sums: FoldSums | None = None
    for indices, features in read():
        if sums is None:
            where = device if device.type == "cuda" else "cpu"  # others have no float64
            sums = FoldSums(features.shape[1], num_labels, int(folds.max()) + 1, device=where)
        sums.add(features, labels[indices], groups[indices], folds[indices])
    assert sums is not None  # noqa: S101 - there are more clips than processes
    sums.add_up_processes()
    fit, without_fold = fit_by_sums(sums)

    def held_out(indices: np.ndarray, features: torch.Tensor) -> torch.Tensor:
        return torch.from_numpy(without_fold.score(features, labels[indices], folds[indices])[0]).float()

    return fit, held_out


@torch.no_grad()
def fit_known_score(model: ResNetLSTMForVideoClassification, fit: DiscriminantFit, divisor: float) -> np.ndarray:
    """Let the model tell whether a clip shows one of its actions, if there are clips enough to learn it from.

    Args:
        model: With its linear part and temperature set.
        fit: Of its linear part.
        divisor: What the fit's logits have been divided by since.

    Returns:
        The known scores of the clips of actions that were held out, `[M]`; empty where there are too few.
    """
    background = model.config.background_label_id
    scored = np.flatnonzero(~np.isnan(fit.held_out_distances) & (fit.labels != background))
    if len(scored) < LEAST_CLIPS_FOR_TEMPERATURE:
        return np.empty(0)
    logits = torch.from_numpy(fit.held_out_logits[scored] / divisor).float()
    distances = torch.from_numpy(fit.held_out_distances[scored]).float()
    known_score = KnownScore(model.config.hidden_size, model.config.num_labels, background)
    known_score.set_statistics(
        logits, distances, torch.from_numpy(fit.labels[scored]), fit.spread.centre, fit.spread.directions
    )
    known_scores = known_score.probability(logits, distances).numpy()
    model.set_known_score(known_score, float(np.quantile(known_scores, KNOWN_CLIPS_REFUSED)))
    return known_scores


def divide_linear_part(model: ResNetLSTMForVideoClassification, dataset: FeatureDataset, temperature: float) -> None:
    """Divide the logits of the linear part, and the dataset's logit corrections with them."""
    model.set_classifier(model.classifier.weight / temperature, model.classifier.bias / temperature)
    if dataset.logit_corrections is not None:
        dataset.logit_corrections = dataset.logit_corrections / temperature


def fitted_temperature(model: ResNetLSTMForVideoClassification, dataset: FeatureDataset) -> float:
    """What the model's logits are best divided by on these clips; 1 where they are too few to tell."""
    if len(dataset) < LEAST_CLIPS_FOR_TEMPERATURE:
        return 1.0
    return fit_temperature(score(model, dataset), np.array(dataset.labels))


def _keep_statistics(
    model: ResNetLSTMForVideoClassification, fit: DiscriminantFit, sureness: float, known_scores: np.ndarray
) -> None:
    """Let the model keep what it can be taught by; the logits of the fit have been divided by `sureness` since."""
    num_labels, background = model.config.num_labels, model.config.background_label_id
    statistics = fit.moments.to_statistics(
        num_labels, fit.shrinkage, fit.prior_groups, fit.temperature * sureness, known_scores
    )
    if background is not None:
        statistics.offsets[background] = -fit.background_offset / sureness
    model.set_class_statistics(statistics)


def _kept_if_better(
    model: ResNetLSTMForVideoClassification, validation: GroupedFeatures, train: Callable[[], TrainingResult]
) -> TrainingResult:
    """Train, and go back to the start where that is not clearly worse on the validation clips."""
    start = copy.deepcopy(_head_state(model))
    losses = clip_losses(model, validation.dataset)
    result = train()
    if found_by_first(partial(_beats, model, losses, validation)):
        return result
    model.load_state_dict(start, strict=False)
    return replace(result, best_epoch=None)


def clip_losses(model: ResNetLSTMForVideoClassification, dataset: FeatureDataset) -> np.ndarray:
    """The cross entropy of each clip, `[N]`, with the model as sure as is best on these clips."""
    logits, labels = score(model, dataset), np.array(dataset.labels)
    if len(dataset) >= LEAST_CLIPS_FOR_TEMPERATURE:
        logits = logits / fit_temperature(logits, labels)
    return -log_probabilities(logits)[np.arange(len(labels)), labels]


def _beats(model: ResNetLSTMForVideoClassification, losses: np.ndarray, clips: GroupedFeatures) -> bool:
    """Whether a model has less loss on clips than these, `[N]`, by more than the standard error of the difference.

    Twice as much would be surer, but would cost a few validation clips of actions that differ in order alone the LSTM
    that they need, where one that is kept by chance costs half a point.
    """
    gain, error = mean_and_standard_error(losses - clip_losses(model, clips.dataset), clips.groups)
    logger.info("the LSTM lowers the loss on the validation clips by %.4f, with a standard error of %.4f", gain, error)
    return gain > error


def validation_figures(model: ResNetLSTMForVideoClassification, dataset: FeatureDataset) -> dict[str, float]:
    """`loss`, `top1` and `macro_f1` of a model on clips, as sure as it is best on them."""
    logits = score(model, dataset)
    if len(dataset) >= LEAST_CLIPS_FOR_TEMPERATURE:
        logits = logits / fit_temperature(logits, np.array(dataset.labels))
    metrics = compute_metrics(
        logits,
        dataset.labels,
        groups=[str(index) for index in range(len(dataset))],
        label_names=[str(index) for index in range(model.config.num_labels)],
    )
    return {"loss": metrics.loss, "top1": metrics.top1, "macro_f1": metrics.macro_f1}


def fitted_early_exit_score(
    model: ResNetLSTMForVideoClassification, dataset: FeatureDataset, temperature: float
) -> float | None:
    """The score at which reading a clip may stop; None where these clips are too few to tell."""
    if len(dataset) < LEAST_CLIPS_FOR_TEMPERATURE:
        return None
    stages = reading_stages(model.config.num_frames)
    return fit_early_exit_score(np.stack([score(model, dataset, stage) for stage in stages]) / temperature)


@torch.inference_mode()
def score(
    model: ResNetLSTMForVideoClassification, dataset: FeatureDataset, frames: Sequence[int] | None = None
) -> np.ndarray:
    """Logits `[N, L]` of clips, from their features in the first view, of all frames or of some."""
    was_training = model.training
    model.eval()
    read = slice(None) if frames is None else list(frames)
    logits = [
        model(frame_features=frame_features[:, read].to(model.device)).logits.float().cpu()
        for _, frame_features in _batches(dataset, [(clip.sha256, dataset.views[0]) for clip in dataset.clips])
    ]
    model.train(was_training)
    return torch.cat(logits).numpy()


def _batches(
    dataset: FeatureDataset, rows: Sequence[tuple[str, View]], chosen: np.ndarray | None = None
) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
    """Indices `[B]` and features `[B, T, D]` of clips by their hashes and views; of all, or of the chosen ones."""
    chosen = np.arange(len(rows)) if chosen is None else chosen
    for start in range(0, len(chosen), BATCH_SIZE):
        indices = chosen[start : start + BATCH_SIZE]
        yield indices, torch.stack([dataset.cache.load(*rows[index]) for index in indices])
