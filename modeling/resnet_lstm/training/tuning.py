"""A pretrained backbone is tuned, carefully, and no more of it kept than does better on validation clips.

It begins at the frozen model with its classifier in closed form, which stays as it is: the features move. A training
clip looks to the loss as it does to a classifier that was fitted without its group. Then, at a few points on the line
from the pretrained to the tuned weights, the features are computed anew and the classifier is fitted to them again.
The point that does best on the validation clips is kept. The frozen model is the first of them, so that the result is
never below it there.
"""

from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..data.video_folder import DatasetError
from ..device_precision import backbone_dtype
from ..features import UNIFORM, MapCache, training_views
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..whole_file import written_whole
from .clip_augmentation import ClipAugmentation
from .datasets import ClipDataset, MapDataset
from .features_by_maps import keep_features
from .frozen_backbone import GroupedFeatures, fit_linear_part, validation_figures
from .loop import TrainingLoop, TrainingResult
from .output_directory import TUNED_FOLDER, TUNING_FOLDER, TUNING_LOG_FILE
from .pull_to_start import PullToStart
from .run import Run
from .settings import TrainingSettings
from .train_model import clip_workers, grouped_features, label_weights, train_model
from .tuned_parts import TunedByClips, TunedByMaps, tuned_parameter_groups
from .tuning_settings import TuningSettings
from .weight_line import POINTS, WeightLine

_WARMUP_RATIO = 0.1


@dataclass(frozen=True)
class Candidate:
    """A trained model.

    Attributes:
        model: With its head.
        result: Of the training of its head.
    """

    model: ResNetLSTMForVideoClassification
    result: TrainingResult


@dataclass(frozen=True)
class TuningOutcome:
    """What came of a tuning.

    Attributes:
        settings: How it was tuned.
        points: Validation figures at each point of the line, of the classifier in closed form: `loss`, `top1` and
            `macro_f1`.
        chosen: The point with the best of them.
        is_kept: Whether the whole model at that point, with its LSTM, is better than the frozen one too; otherwise
            the frozen one is kept.
        frozen, tuned: Validation figures of the whole models; of the tuned one only where the chosen point is not 0.
    """

    settings: TuningSettings
    points: dict[float, dict[str, float]]
    chosen: float
    is_kept: bool
    frozen: dict[str, float]
    tuned: dict[str, float] | None

    def in_words(self) -> dict[str, Any]:
        """For the model card: name to value."""
        kept = f"{self.chosen:g} of the way from frozen to tuned" if self.is_kept else "the frozen model"
        words: dict[str, Any] = {**asdict(self.settings), "backbone that was kept": kept}
        for point, figures in self.points.items():
            words[f"validation at {point:g} of the way, linear part"] = _figures_in_words(figures)
        words["validation, frozen"] = _figures_in_words(self.frozen)
        if self.tuned is not None:
            words[f"validation, {self.chosen:g} of the way"] = _figures_in_words(self.tuned)
        return words


def tune(
    run: Run,
    frozen: Candidate,
    build_model: Callable[[], ResNetLSTMForVideoClassification],
    tuning: TuningSettings,
    output_dir: Path,
) -> tuple[Candidate, TuningOutcome]:
    """Tune the backbone of a frozen model that has been trained, and keep the better of the two.

    It can be killed and resumed as the training of a head can: with `run.options.resume` it ends the same.

    Args:
        run: The run.
        frozen: What it has come to without tuning.
        build_model: Makes the model as it was before its head was trained, on its device.
        tuning: What is tuned, and how.
        output_dir: Where checkpoints and the log of the tuning go.

    Returns:
        The better of the two, and how it came about. Call `check_can_tune` first.
    """
    directory = output_dir / TUNING_FOLDER
    if run.accelerator.is_main_process:
        if not run.options.resume:
            shutil.rmtree(directory, ignore_errors=True)
            shutil.rmtree(output_dir / TUNED_FOLDER, ignore_errors=True)
        directory.mkdir(exist_ok=True)
        (output_dir / TUNED_FOLDER).mkdir(exist_ok=True)
    run.accelerator.wait_for_everyone()

    model = build_model()
    backbone = model.resnet_lstm.backbone
    pretrained = copy.deepcopy(backbone.state_dict())
    maps = _extracted_maps(run, model, tuning) if tuning.unfreeze == "last_stage" else None
    epochs = _tune_weights(run, model, maps, tuning, directory)
    line = WeightLine(backbone, pretrained)

    # What is computed at points that are not kept shall not stay in the user's cache.
    on_line = replace(run, options=replace(run.options, cache_dir=directory / "features"))
    points: dict[float, dict[str, float]] = {}
    for point in tqdm(POINTS, desc="line", unit="point", disable=not run.accelerator.is_main_process):
        line.move_to(point)
        if point and maps is not None:
            keep_features(on_line, model, maps)
        grouped = grouped_features(on_line if point else run, model)
        fit_linear_part(model, grouped["train"])
        points[point] = validation_figures(model, grouped["validation"].dataset)
    chosen = best_point(points, run.settings)
    kept, tuned = frozen, None
    if chosen:
        line.move_to(chosen)
        tuned_model = build_model()
        tuned_model.resnet_lstm.backbone.load_state_dict(backbone.state_dict())
        tuned = Candidate(tuned_model, train_model(on_line, tuned_model, output_dir / TUNED_FOLDER, "tuned/"))
        kept = _better(frozen, tuned, run.settings)
    outcome = TuningOutcome(tuning, points, chosen, kept is tuned, _of(frozen), None if tuned is None else _of(tuned))
    if run.accelerator.is_main_process:
        _write_log(output_dir / TUNING_LOG_FILE, epochs, outcome)
    return kept, outcome


def check_can_tune(run: Run, model: ResNetLSTMForVideoClassification, tuning: TuningSettings) -> None:
    """Raise what stands against tuning a model.

    Raises:
        DatasetError: There are no validation clips to choose by.
        ValueError: The model's backbone is trained already.
    """
    if not model.resnet_lstm.backbone_is_frozen:
        raise ValueError(f"unfreeze={tuning.unfreeze}: the model comes with its backbone unfrozen and is trained so.")
    if "validation" not in run.splits:
        raise DatasetError(
            f"{run.folder.root}: unfreeze={tuning.unfreeze} needs validation clips, to tell whether tuning helps."
        )


def best_point(points: dict[float, dict[str, float]], settings: TrainingSettings) -> float:
    """The point with the best figure; of equals the one that is nearest to the frozen model."""
    return min(points, key=lambda point: (_cost(points[point], settings), point))


def _cost(figures: dict[str, float], settings: TrainingSettings) -> float:
    value = figures[settings.metric_for_best_model]
    return value if settings.metric_for_best_model == "loss" else -value


def _better(frozen: Candidate, tuned: Candidate, settings: TrainingSettings) -> Candidate:
    return tuned if _cost(_of(tuned), settings) < _cost(_of(frozen), settings) else frozen


def _of(candidate: Candidate) -> dict[str, float]:
    assert candidate.result.validation is not None  # noqa: S101 - `check_can_tune` has looked
    return candidate.result.validation


def _extracted_maps(run: Run, model: ResNetLSTMForVideoClassification, tuning: TuningSettings) -> MapCache:
    """The cache of maps, with all that tuning and the line read in it."""
    maps = MapCache(run.options.cache_dir, model.resnet_lstm, run.processor, run.precision)
    views = training_views(run.options.num_views, run.settings.flip)
    tuned_on = training_views(max(run.options.num_views, tuning.tuning_views), run.settings.flip)
    wanted = {"train": tuned_on, "validation": views if run.settings.refit else [UNIFORM]}
    for split in run.splits:
        run.extracted(run.labelled_clips(split, model.config), model, maps, wanted[split])
    return maps


def _tune_weights(
    run: Run,
    model: ResNetLSTMForVideoClassification,
    maps: MapCache | None,
    tuning: TuningSettings,
    directory: Path,
) -> list[dict[str, Any]]:
    """Leave the tuned weights in the model's backbone. Returns the record of each epoch."""
    frozen = grouped_features(run, model, read_views=1)
    facts = run.facts(model, {split: list(features.dataset.clips) for split, features in frozen.items()})
    fit_linear_part(model, frozen["train"])
    dtype = backbone_dtype(run.precision, run.accelerator.device)
    tuned = TunedByClips(model, dtype) if maps is None else TunedByMaps(model, dtype)
    settings = replace(
        run.settings,
        num_train_epochs=tuning.tuning_epochs,
        train_batch_size=tuning.tuning_batch_size,
        learning_rate=tuning.tuning_learning_rate,
        label_smoothing=tuning.tuning_label_smoothing,
        warmup_ratio=_WARMUP_RATIO,
        gradient_checkpointing=run.settings.gradient_checkpointing and maps is None,
    )
    dataset = _dataset(run, frozen["train"], maps, tuning)
    loop = TrainingLoop(
        tuned,
        dataset,
        None,
        label_weights(run, dataset.labels),
        settings,
        directory,
        run.accelerator,
        clip_workers(run) if maps is None else 0,
        split_scheme=run.folder.split_scheme,
        log_prefix="tuning/",
        run_facts={**facts, "tuning": asdict(tuning)},
        optimized=tuned_parameter_groups(tuned, tuning, settings.weight_decay),
        penalty=PullToStart(tuned, tuning.pull_to_pretrained) if tuning.pull_to_pretrained else None,
    )
    result = loop.run(run.options.resume)
    run.accelerator.unwrap_model(tuned)
    run.accelerator.free_memory()
    model.resnet_lstm.backbone.requires_grad_(False)
    return result.history


def _dataset(
    run: Run, frozen: GroupedFeatures, maps: MapCache | None, tuning: TuningSettings
) -> MapDataset | ClipDataset:
    clips, labels = frozen.dataset.clips, frozen.dataset.labels
    flip, seed = run.settings.flip, run.settings.seed
    dataset: MapDataset | ClipDataset
    if maps is None:
        dataset = ClipDataset(clips, labels, run.processor, True, flip, seed, ClipAugmentation())
    else:
        views = training_views(max(run.options.num_views, tuning.tuning_views), flip)
        dataset = MapDataset(clips, labels, maps, views, flip, seed)
    corrections = frozen.dataset.logit_corrections
    assert corrections is not None  # noqa: S101 - the linear part has been fitted
    # Those of the middle frames stand for those of other views.
    dataset.logit_corrections = corrections[:, 0]
    return dataset


def _figures_in_words(figures: dict[str, float]) -> str:
    return (
        f"loss {figures['loss']:.3f}, top-1 {100 * figures['top1']:.1f} %, macro F1 {100 * figures['macro_f1']:.1f} %"
    )


def _write_log(path: Path, epochs: list[dict[str, Any]], outcome: TuningOutcome) -> None:
    records = [
        *epochs,
        *(
            {"point": point, **{f"validation_{name}": value for name, value in figures.items()}}
            for point, figures in outcome.points.items()
        ),
        {"chosen": outcome.chosen, "is_kept": outcome.is_kept, "frozen": outcome.frozen, "tuned": outcome.tuned},
    ]
    with written_whole(path) as temporary:
        temporary.write_text("".join(json.dumps(record) + "\n" for record in records))
