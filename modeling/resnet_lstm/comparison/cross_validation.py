"""Recipes are trained on some groups and score the others, until every clip has been scored by models that have not
seen its source video."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import DataLoaderConfiguration, set_seed
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.model_selection import StratifiedGroupKFold
from torch import nn
from tqdm.auto import tqdm

from ..accelerator import create_accelerator
from ..data.splits import hold_out_validation
from ..data.video_folder import Clip, DatasetError, VideoFolder
from ..evaluation.calibration import fit_temperature
from ..evaluation.order import ORDERS, in_order
from ..features import UNIFORM, ClipFile, FeaturesInMemory, clip_files, training_views
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..training.class_weights import class_weights
from ..training.datasets import FeatureDataset
from ..training.frozen_backbone import GroupedFeatures, train_head
from ..training.loop import TrainingLoop, TrainingResult
from ..whole_file import written_whole
from .recipes import Recipe

logger = logging.getLogger(__name__)

SCORING_BATCH_SIZE = 32
TIMED_PASSES = 50


@dataclass(frozen=True)
class LabelledClips:
    """The clips of an experiment.

    Attributes:
        clips: Their metadata.
        files: Their files.
        labels: `[N]`, their label ids.
        groups: `[N]`, the source each was cut from.
        label_names: `[L]`.
    """

    clips: list[Clip]
    files: list[ClipFile]
    labels: np.ndarray
    groups: list[str]
    label_names: list[str]

    @classmethod
    def of(cls, folder: VideoFolder, splits: Sequence[str]) -> LabelledClips:
        """The clips of some splits of a dataset."""
        clips = [clip for split in splits for clip in folder.clips(split)]
        return cls(
            clips,
            [file for split in splits for file in clip_files(folder, split)],
            np.array([folder.labels.index(clip.label) for clip in clips]),
            [folder.group_of(clip) for clip in clips],
            folder.labels,
        )

    def __len__(self) -> int:
        return len(self.clips)


@dataclass(frozen=True)
class Fold:
    """Indices of clips: those to train on, those that choose the epoch and the temperature, those to score."""

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def group_folds(clips: LabelledClips, num_folds: int, seed: int = 0) -> list[Fold]:
    """Folds that no group lies across, each with near the same classes; validation groups are taken from training.

    Raises:
        DatasetError: There are fewer groups than folds.
    """
    num_groups = len(set(clips.groups))
    if num_groups < num_folds:
        raise DatasetError(f"{num_groups} groups cannot make {num_folds} folds: a group lies in one fold.")
    splitter = StratifiedGroupKFold(num_folds, shuffle=True, random_state=seed)
    folds = []
    with warnings.catch_warnings():
        # A class of fewer clips than folds is in some folds only.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        split = list(splitter.split(np.zeros(len(clips)), clips.labels, clips.groups))
    for rest, test in split:
        split_of = hold_out_validation([clips.clips[index] for index in rest], seed)
        in_validation = np.array([split_of[clips.clips[index]] == "validation" for index in rest])
        folds.append(Fold(rest[~in_validation], rest[in_validation], test))
    return folds


@dataclass(frozen=True)
class Trained:
    """One training's scores on the clips of its fold.

    Attributes:
        logits: `[N', L]` with the frames in each of `ORDERS`, of the fold's test clips.
        temperature: Fitted on the fold's validation clips.
        seconds: Training time.
        epochs: How many were trained.
        best_epoch: The one that was kept; None if it was the start.
        parameters: Weights of the head.
    """

    logits: dict[str, np.ndarray]
    temperature: float
    seconds: float
    epochs: int
    best_epoch: int | None
    parameters: int


@dataclass(frozen=True)
class CrossValidation:
    """A recipe's scores on all clips, by models that have not seen their groups.

    Attributes:
        logits: `[S, N, L]` with the frames in each of `ORDERS`; S seeds.
        calibrated_logits: `[S, N, L]`, as filmed, divided by the temperature of each training.
        seconds: `[S, F]` training time; F folds.
        kept_epochs: `[S, F]`, how many the LSTM was trained for in the end; 0 where it got no say.
        parameters: Weights of the head.
        head_milliseconds: What the head takes for a frame of a clip, the backbone not counted.
    """

    logits: dict[str, np.ndarray]
    calibrated_logits: np.ndarray
    seconds: np.ndarray
    kept_epochs: np.ndarray
    parameters: int
    head_milliseconds: float


def cross_validate(
    name: str,
    recipe: Recipe,
    clips: LabelledClips,
    folds: Sequence[Fold],
    seeds: Sequence[int],
    features: FeaturesInMemory,
    backbone: str,
    output_dir: Path,
) -> CrossValidation:
    """Train a recipe once for each seed and fold. What an earlier call has trained is read from `output_dir`.

    Args:
        name: The recipe's name.
        recipe: What to train.
        clips: The clips; their features must be in the cache in all views that the recipe trains on.
        folds: Of `group_folds`.
        seeds: Of initial weights, order of clips and dropout.
        features: The clips' features.
        backbone: What made them.
        output_dir: Where scores are kept, one file for each training.
    """
    num_seeds, num_clips, num_labels = len(seeds), len(clips), len(clips.label_names)
    logits = {order: np.zeros((num_seeds, num_clips, num_labels), np.float32) for order in ORDERS}
    calibrated = np.zeros((num_seeds, num_clips, num_labels), np.float32)
    seconds, kept_epochs = np.zeros((num_seeds, len(folds))), np.zeros((num_seeds, len(folds)), int)
    parameters = 0
    for s, seed in enumerate(tqdm(seeds, desc=name, unit="seed")):
        for f, fold in enumerate(folds):
            trained = _trained(name, recipe, clips, fold, seed, features, backbone, output_dir)
            for order in ORDERS:
                logits[order][s, fold.test] = trained.logits[order]
            calibrated[s, fold.test] = trained.logits[ORDERS[0]] / trained.temperature
            seconds[s, f], parameters = trained.seconds, trained.parameters
            kept_epochs[s, f] = 0 if trained.best_epoch is None else trained.best_epoch + 1
    milliseconds = _head_milliseconds(recipe.build(backbone, clips.label_names), clips, features)
    return CrossValidation(logits, calibrated, seconds, kept_epochs, parameters, milliseconds)


@torch.inference_mode()
def _head_milliseconds(head: nn.Module, clips: LabelledClips, features: FeaturesInMemory) -> float:
    """Median time of a frame over repeated passes of one clip."""
    head.eval()
    frame_features = features.load(clips.files[0].sha256, UNIFORM)[None]  # [1, T, D]
    times = []
    for _ in range(TIMED_PASSES):
        started = time.perf_counter()
        head(frame_features=frame_features)
        times.append(time.perf_counter() - started)
    return 1000 * float(np.median(times)) / frame_features.shape[1]


def _trained(
    name: str,
    recipe: Recipe,
    clips: LabelledClips,
    fold: Fold,
    seed: int,
    features: FeaturesInMemory,
    backbone: str,
    output_dir: Path,
) -> Trained:
    path = output_dir / name / f"{training_key(recipe, clips, fold, seed, features)}.safetensors"
    if path.is_file():
        return _read(path)
    trained = train_fold(recipe, clips, fold, seed, features, backbone)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {field: value for field, value in asdict(trained).items() if field != "logits"}
    with written_whole(path) as temporary:
        save_file(trained.logits, temporary, metadata={"training": json.dumps(metadata)})
    return trained


def training_key(recipe: Recipe, clips: LabelledClips, fold: Fold, seed: int, features: FeaturesInMemory) -> str:
    """A name that tells a training from all others."""
    facts = json.dumps(
        {
            "recipe": recipe.facts(),
            "features": features.cache.key,
            "seed": seed,
            **{
                split: [clips.files[index].sha256 for index in getattr(fold, split)]
                for split in ("train", "validation", "test")
            },
        },
        sort_keys=True,
    )
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _read(path: Path) -> Trained:
    with safe_open(path, framework="np") as file:
        logits = {order: file.get_tensor(order) for order in ORDERS}
        return Trained(logits, **json.loads(file.metadata()["training"]))


def train_fold(
    recipe: Recipe, clips: LabelledClips, fold: Fold, seed: int, features: FeaturesInMemory, backbone: str
) -> Trained:
    """Train a recipe on a fold and score the fold's test clips, with the frames in each of `ORDERS`."""
    head, result = train_head_on_fold(recipe, clips, fold, seed, features, backbone)
    temperature = 1.0
    if isinstance(head, ResNetLSTMForVideoClassification) and recipe.closed_form:
        temperature, head.config.temperature = head.config.temperature, 1.0
    elif len(fold.validation):
        logits = score_clips(head, clips, fold.validation, features)
        temperature = fit_temperature(logits, clips.labels[fold.validation])
    return Trained(
        {order: score_clips(head, clips, fold.test, features, order) for order in ORDERS},
        temperature,
        result.seconds,
        len(result.history),
        result.best_epoch,
        sum(parameter.numel() for name, parameter in head.named_parameters() if ".backbone." not in name),
    )


def train_head_on_fold(
    recipe: Recipe, clips: LabelledClips, fold: Fold, seed: int, features: FeaturesInMemory, backbone: str
) -> tuple[nn.Module, TrainingResult]:
    """Train a recipe on a fold's training and validation clips: the head, and how the training went."""
    settings = recipe.training_settings(seed)
    set_seed(seed)
    head = recipe.build(backbone, clips.label_names)

    def dataset(indices: np.ndarray, num_views: int = 1) -> FeatureDataset:
        views = training_views(num_views, settings.flip)
        return FeatureDataset([clips.files[i] for i in indices], clips.labels[indices].tolist(), features, views, seed)

    train = dataset(fold.train, recipe.num_views)
    validation = dataset(fold.validation) if len(fold.validation) else None
    accelerator = create_accelerator(
        dataloader_config=DataLoaderConfiguration(split_batches=True, use_seedable_sampler=True, data_seed=seed)
    )

    closed_form = recipe.closed_form and isinstance(head, ResNetLSTMForVideoClassification)

    def make_loop(train: FeatureDataset, validation: FeatureDataset | None, directory: Path) -> TrainingLoop:
        weights = class_weights(train.labels, len(clips.label_names), settings.class_weight)
        return TrainingLoop(
            head, train, validation, weights, settings, directory, accelerator, start_is_candidate=closed_form
        )

    with tempfile.TemporaryDirectory() as directory:
        if isinstance(head, ResNetLSTMForVideoClassification) and closed_form:
            result = train_head(
                head,
                GroupedFeatures(train, [clips.groups[i] for i in fold.train]),
                None
                if validation is None
                else GroupedFeatures(validation, [clips.groups[i] for i in fold.validation]),
                make_loop,
                Path(directory),
                refit=settings.refit,
            )
        else:
            result = make_loop(train, validation, Path(directory)).run()
    accelerator.free_memory()
    return head, result


@torch.inference_mode()
def score_clips(
    head: nn.Module, clips: LabelledClips, indices: np.ndarray, features: FeaturesInMemory, order: str = "as filmed"
) -> np.ndarray:
    """Logits `[N', L]` of some clips, with their frames in one of `ORDERS`."""
    head.eval()
    logits = []
    for start in range(0, len(indices), SCORING_BATCH_SIZE):
        batch = []
        for index in indices[start : start + SCORING_BATCH_SIZE]:
            file = clips.files[index]
            frame_features = features.load(file.sha256, UNIFORM)  # [T, D]
            batch.append(in_order(frame_features, order, file.sha256))
        logits.append(head(frame_features=torch.stack(batch)).logits.float().numpy())
    return np.concatenate(logits)
