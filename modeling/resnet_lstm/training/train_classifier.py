"""A dataset -> a complete model directory: weights, configuration, processor, code, figures, pictures and card."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from accelerate.tracking import get_available_trackers
from accelerate.utils import DataLoaderConfiguration, set_seed

from ..accelerator import create_accelerator
from ..configuration_resnet_lstm import ResNetLSTMConfig
from ..data.video_folder import DatasetError, VideoFolder
from ..device_precision import backbone_dtype, precision_name
from ..evaluation import EvaluationReport, paired_difference, plot_training_curves
from ..evaluation.evaluate_model import evaluate_model
from ..features import (
    UNIFORM,
    ClipFile,
    FeatureCache,
    FeaturesInMemory,
    View,
    clip_files,
    extract_features,
    training_views,
)
from ..features.cache import state_dict_sha256
from ..feeding import default_num_workers
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..publishing import ModelFacts, dataset_facts, write_model_card
from ..video_decoding import probe_video
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..video_sources import VideoDecodingError
from ..whole_file import written_whole
from .datasets import ClipDataset, FeatureDataset
from .frame_rate import clip_frame_rate
from .frozen_backbone import REFIT_FOLDER, GroupedFeatures, train_head
from .loop import BEST_FILE, CHECKPOINT_FILE, LOG_FILE, TrainingLoop, TrainingResult, class_weights
from .settings import TrainingSettings

logger = logging.getLogger(__name__)

BASELINE_FOLDER = "baseline"

_AS_ACCELERATE_CALLS_IT = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


class OutputExistsError(ValueError):
    """The output directory holds a model already."""


@dataclass(frozen=True)
class RunOptions:
    """How a run is carried out, as opposed to what it shall learn (`TrainingSettings`).

    Attributes:
        cache_dir: The folder of feature caches.
        num_views: Views of each training clip that are cached and drawn from; 1 means no augmentation.
        extraction_batch_size: Clips that pass the backbone together while features are extracted; by default as the
            device wants it.
        num_workers: Processes that load ahead; by default chosen by the machine.
        precision: What the backbone computes in, see `device_precision`; "auto" goes by what accelerate was launched
            with, and where it was not told either, by the device.
        report_to: Trackers of accelerate ("tensorboard", "trackio", "wandb"), none if empty.
        resume: Go on from the output directory's checkpoint.
        overwrite: Replace a model that is there already.
    """

    cache_dir: Path
    num_views: int = 1
    extraction_batch_size: int | None = None
    num_workers: int | None = None
    precision: str = "auto"
    report_to: tuple[str, ...] = ()
    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class TrainedClassifier:
    """What came of a run.

    Attributes:
        model: With the weights of the best epoch.
        processor: Its processor.
        report: On the test split; None where the dataset has no such split.
        baseline: The order-blind baseline's report on the same clips, where one was trained.
        result: The course of the training.
    """

    model: ResNetLSTMForVideoClassification
    processor: ResNetLSTMVideoProcessor
    report: EvaluationReport | None
    baseline: EvaluationReport | None
    result: TrainingResult


def train_classifier(
    folder: VideoFolder,
    output_dir: Path,
    build_model: Callable[..., ResNetLSTMForVideoClassification],
    processor: ResNetLSTMVideoProcessor,
    settings: TrainingSettings,
    options: RunOptions,
    *,
    head: Mapping[str, Any] | None = None,
    base_model: str | None = None,
    train_baseline: bool = True,
) -> TrainedClassifier:
    """Train, keep the best epoch, score it once on the test split, and write everything down.

    On a frozen backbone the head is trained on cached features, which are extracted where they are missing; a model
    that comes with its backbone unfrozen is trained end to end on the clips.

    Args:
        folder: The dataset. Its train and validation splits must have clips.
        output_dir: Where the model goes.
        build_model: Called with the fields of `ResNetLSTMConfig` that the data and `head` decide; gives the model to
            train, for example `partial(ResNetLSTMForVideoClassification.from_backbone, "microsoft/resnet-50")`.
        processor: Makes the model's input.
        settings: What the run shall learn with.
        options: How it is carried out.
        head: Further fields of `ResNetLSTMConfig`, such as `num_lstm_layers`.
        base_model: The backbone's name on the Hub, for the card.
        train_baseline: Also train the order-blind baseline, the same model without its LSTM, to stand beside it.

    Raises:
        DatasetError: There is but one class, or a split that is needed has no clip that can be decoded.
        OutputExistsError: `output_dir` holds a model, and neither `resume` nor `overwrite` is set.
        ResumeError: The checkpoint there is of another run.
    """
    _check_trackers(options.report_to)
    if len(folder.labels) < 2:
        raise DatasetError(
            f"{folder.root}: its only class is {', '.join(folder.labels)}, and there is nothing to tell it from. Add "
            "another class, if only of everything else."
        )
    accelerator = create_accelerator(
        mixed_precision=None if options.precision == "auto" else _AS_ACCELERATE_CALLS_IT[options.precision],
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        log_with=list(options.report_to) or None,
        project_dir=str(output_dir / "logs"),
        dataloader_config=DataLoaderConfiguration(
            split_batches=True, use_seedable_sampler=True, data_seed=settings.seed, non_blocking=True
        ),
    )
    if accelerator.is_main_process:
        _prepare_output(output_dir, options)
    accelerator.wait_for_everyone()
    if options.report_to:
        accelerator.init_trackers("resnet-lstm", config={**asdict(settings), "split_scheme": folder.split_scheme})

    model, result = _train(folder, output_dir, build_model, processor, settings, options, accelerator, head or {})
    baseline_model = None
    if train_baseline and model.config.num_lstm_layers:
        baseline_dir = output_dir / BASELINE_FOLDER
        if accelerator.is_main_process:
            baseline_dir.mkdir(exist_ok=True)
        accelerator.wait_for_everyone()
        baseline_head = {**(head or {}), "num_lstm_layers": 0, "temporal_change": False}
        baseline_model, _ = _train(
            folder, baseline_dir, build_model, processor, settings, options, accelerator, baseline_head, "baseline/"
        )
    if folder.clips("test") and model.resnet_lstm.backbone_is_frozen:
        # All processes share this work; the scoring, which one of them does, then finds the features in the cache.
        _extracted(*_labelled_clips(folder, "test", model.config), model, processor, accelerator, [UNIFORM], options)

    report = baseline = None
    name = output_dir.resolve().name  # also of "."
    if accelerator.is_main_process:
        model.save_pretrained(output_dir)
        processor.save_pretrained(output_dir)
        if result.history:
            plot_training_curves(
                output_dir / "training_curves.png",
                result.history,
                best_epoch=result.best_epoch,
                start=result.start,
                title=f"{name}, split {folder.split_scheme}",
            )
        if folder.clips("test"):
            report = _score(model, processor, folder, options, accelerator, name)
            report.write(output_dir)
            if baseline_model is not None:
                baseline = _score(baseline_model, processor, folder, options, accelerator, "mean of frames")
                baseline.write(output_dir / BASELINE_FOLDER)
            _write_card(output_dir, model, folder, report, baseline, settings, result, base_model)
        _remove_checkpoints(output_dir)
    accelerator.wait_for_everyone()
    accelerator.end_training()
    return TrainedClassifier(model, processor, report, baseline, result)


def is_finished(output_dir: Path) -> bool:
    """Whether a directory holds a trained model, and no checkpoint of a run that has yet to end."""
    return _holds_model(output_dir) and not (output_dir / CHECKPOINT_FILE).is_file()


def _holds_model(output_dir: Path) -> bool:
    try:
        config = json.loads((output_dir / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and config.get("model_type") == ResNetLSTMConfig.model_type


def _prepare_output(output_dir: Path, options: RunOptions) -> None:
    finished = _holds_model(output_dir)
    begun = (output_dir / CHECKPOINT_FILE).is_file()
    entries = {path.name for path in output_dir.iterdir()} if output_dir.is_dir() else set()
    if not finished and not begun and entries - {"logs", BASELINE_FOLDER, BEST_FILE, LOG_FILE, REFIT_FOLDER}:
        raise OutputExistsError(f"{output_dir}: holds something else than a model. Choose a new or an empty folder.")
    if (finished or begun) and options.overwrite:
        shutil.rmtree(output_dir)
    elif finished and not (options.resume and begun):
        raise OutputExistsError(f"{output_dir}: holds a trained model. Choose another place, or overwrite it.")
    elif begun and not options.resume:
        raise OutputExistsError(f"{output_dir}: holds an unfinished run. Resume it, or overwrite it.")
    output_dir.mkdir(parents=True, exist_ok=True)


def _remove_checkpoints(output_dir: Path) -> None:
    # The run's own checkpoint last: as long as it is there, the run can be resumed to do the rest.
    for directory in (output_dir / BASELINE_FOLDER, output_dir):
        shutil.rmtree(directory / REFIT_FOLDER, ignore_errors=True)
        for name in (BEST_FILE, CHECKPOINT_FILE):
            for left_by_a_killed_process in directory.glob(f".{name}.*"):
                left_by_a_killed_process.unlink()
            (directory / name).unlink(missing_ok=True)


def _check_trackers(names: Sequence[str]) -> None:
    available = {tracker.value for tracker in get_available_trackers()}
    for name in names:
        if name not in available:
            raise ValueError(f"report_to={name}: its package is not installed, or accelerate knows no such tracker.")


def _train(
    folder: VideoFolder,
    output_dir: Path,
    build_model: Callable[..., ResNetLSTMForVideoClassification],
    processor: ResNetLSTMVideoProcessor,
    settings: TrainingSettings,
    options: RunOptions,
    accelerator: Accelerator,
    head: Mapping[str, Any],
    log_prefix: str = "",
) -> tuple[ResNetLSTMForVideoClassification, TrainingResult]:
    set_seed(settings.seed)
    model = build_model(
        id2label=dict(enumerate(folder.labels)),
        label2id={label: index for index, label in enumerate(folder.labels)},
        num_frames=processor.num_frames,
        frames_per_second=clip_frame_rate(folder, processor.num_frames),
        **head,
    )
    model.to(accelerator.device)
    splits = [split for split in ("train", "validation") if split == "train" or folder.clips(split)]
    if len(splits) == 1:
        logger.warning("%s has no validation clips: nothing can be chosen by them.", folder.root)
    labelled = {split: _labelled_clips(folder, split, model.config) for split in splits}

    datasets: dict[str, FeatureDataset | ClipDataset] = {}
    if model.resnet_lstm.backbone_is_frozen:
        num_workers = 0
        views = training_views(options.num_views, settings.flip)
        for split in splits:
            # Clips that validate are trained on in the end.
            views_of_split = views if split == "train" or settings.refit else [UNIFORM]
            clips, labels, cache = _extracted(*labelled[split], model, processor, accelerator, views_of_split, options)
            read_views = views if split == "train" else [UNIFORM]
            datasets[split] = FeatureDataset(clips, labels, FeaturesInMemory(cache), read_views, settings.seed)
    else:
        # On a CPU training takes longer than decoding: half of the cores are enough.
        default = default_num_workers(accelerator.device) or (os.cpu_count() or 2) // 2
        num_workers = default if options.num_workers is None else options.num_workers
        for split in splits:
            augment = split == "train"
            clips_and_labels = _decodable(*labelled[split])
            datasets[split] = ClipDataset(
                *clips_and_labels, processor, augment, augment and settings.flip, settings.seed
            )
    for split, dataset in datasets.items():
        if not len(dataset):
            raise DatasetError(f"{folder.root}: no clip of its {split} split can be decoded.")

    def make_loop(
        train: FeatureDataset | ClipDataset, validation: FeatureDataset | ClipDataset | None, checkpoint_dir: Path
    ) -> TrainingLoop:
        return TrainingLoop(
            model,
            train,
            validation,
            class_weights(train.labels, len(folder.labels), settings.class_weight),
            settings,
            checkpoint_dir,
            accelerator,
            num_workers,
            split_scheme=folder.split_scheme,
            log_prefix=log_prefix if checkpoint_dir == output_dir else f"{log_prefix}refit/",
            run_facts={
                "backbone_is_frozen": model.resnet_lstm.backbone_is_frozen,
                "backbone_sha256": state_dict_sha256(model.resnet_lstm.backbone),
                "clips": {split: [clip.sha256 for clip in dataset.clips] for split, dataset in datasets.items()},
                "config": {name: value for name, value in model.config.to_dict().items() if name != "backbone_config"},
                "num_processes": accelerator.num_processes,
                "num_views": options.num_views,
                "precision": _backbone_precision(accelerator, options),
                "processor": processor.to_dict(),
            },
            start_is_candidate=model.classifier_is_fitted,
        )

    if model.resnet_lstm.backbone_is_frozen:
        group_of = {
            folder.path(split, clip): folder.group_of(clip) for split in splits for clip in folder.clips(split)
        }
        grouped = {
            split: GroupedFeatures(dataset, [group_of[clip.path] for clip in dataset.clips])
            for split, dataset in datasets.items()
            if isinstance(dataset, FeatureDataset)
        }
        result = train_head(
            model,
            grouped["train"],
            grouped.get("validation"),
            make_loop,
            output_dir,
            refit=settings.refit,
            resume=options.resume,
        )
    else:
        result = make_loop(datasets["train"], datasets.get("validation"), output_dir).run(options.resume)
        if result.best_epoch is not None:
            model.config.temperature = result.history[result.best_epoch].get("validation_temperature", 1.0)
    trained = accelerator.unwrap_model(model)
    accelerator.free_memory()
    return trained, result


def _labelled_clips(folder: VideoFolder, split: str, config: ResNetLSTMConfig) -> tuple[list[ClipFile], list[int]]:
    clips = folder.clips(split)
    if not clips:
        raise DatasetError(f"{folder.root}: its {split} split has no clip.")
    return clip_files(folder, split), [config.label2id[clip.label] for clip in clips]


def _decodable(clips: list[ClipFile], labels: list[int]) -> tuple[list[ClipFile], list[int]]:
    """The clips that can be opened; the others are named in a warning."""
    kept = []
    for clip, label in zip(clips, labels, strict=True):
        try:
            probe_video(clip.path)
        except VideoDecodingError as error:
            logger.warning("left out: %s", error)
        else:
            kept.append((clip, label))
    return [clip for clip, _ in kept], [label for _, label in kept]


def _extracted(
    clips: list[ClipFile],
    labels: list[int],
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    accelerator: Accelerator,
    views: list[View],
    options: RunOptions,
) -> tuple[list[ClipFile], list[int], FeatureCache]:
    """The clips whose features are in the cache, after extracting those that were missing, and the cache."""
    cache = FeatureCache(options.cache_dir, model.resnet_lstm, processor, _backbone_precision(accelerator, options))
    extract_features(
        model.resnet_lstm,
        processor,
        cache,
        clips,
        views,
        batch_size=options.extraction_batch_size,
        num_workers=options.num_workers,
    )
    there = [all(cache.has(clip.sha256, view) for view in views) for clip in clips]
    return (
        [clip for clip, found in zip(clips, there, strict=True) if found],
        [label for label, found in zip(labels, there, strict=True) if found],
        cache,
    )


def _backbone_precision(accelerator: Accelerator, options: RunOptions) -> str:
    """What the frozen backbone computes in."""
    if accelerator.mixed_precision != "no":
        return str(accelerator.mixed_precision)
    return precision_name(backbone_dtype(options.precision, accelerator.device))


def _score(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    folder: VideoFolder,
    options: RunOptions,
    accelerator: Accelerator,
    name: str,
) -> EvaluationReport:
    cache = None
    if model.resnet_lstm.backbone_is_frozen:
        cache = FeatureCache(
            options.cache_dir, model.resnet_lstm, processor, _backbone_precision(accelerator, options)
        )
    return evaluate_model(
        model,
        processor,
        folder,
        cache=cache,
        batch_size=options.extraction_batch_size,
        num_workers=options.num_workers,
        model_name=name,
    )


def _write_card(
    output_dir: Path,
    model: ResNetLSTMForVideoClassification,
    folder: VideoFolder,
    report: EvaluationReport,
    baseline: EvaluationReport | None,
    settings: TrainingSettings,
    result: TrainingResult,
    base_model: str | None,
) -> None:
    baseline_figures = None
    if baseline is not None:
        difference = paired_difference(report.logits, baseline.logits, report.labels, report.groups)
        baseline_figures = {
            **baseline.to_dict(),
            "difference": {name: interval.to_dict() for name, interval in difference.items()},
        }
        _write_json(output_dir / BASELINE_FOLDER / "metrics.json", baseline_figures)
    write_model_card(
        output_dir,
        metrics=report.to_dict(),
        model_facts=ModelFacts(
            repo_id=report.model_name if output_dir.is_absolute() else output_dir.as_posix(),
            base_model=base_model,
            head=_head_in_words(model.config),
            num_frames=model.config.num_frames,
            parameters=model.num_parameters(),
            temperature=model.config.temperature,
            known_threshold=model.config.known_threshold,
        ),
        training={
            **asdict(settings),
            "best epoch": "none: the LSTM has no say" if result.best_epoch is None else result.best_epoch,
            "epochs trained": len(result.history),
            "seconds of training": round(result.seconds, 1),
        },
        baseline=baseline_figures,
        dataset=dataset_facts(folder),
    )


def _head_in_words(config: ResNetLSTMConfig) -> str:
    read = "a classifier reads each frame"
    if config.temporal_change:
        lags = " and ".join(str(lag) for lag in config.lags)
        read += f" and what has changed since {'the one' if config.lags == [1] else f'those {lags}'} before"
        if config.motion_stage_sizes:
            read += ", in the whole picture and in bands of it"
    if not config.num_lstm_layers:
        return read
    layers = f"{config.num_lstm_layers} layer{'s' if config.num_lstm_layers > 1 else ''}"
    return f"{read}, beside it an LSTM ({layers} of {config.lstm_hidden_size} units) reads them in order"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
