"""A dataset -> a complete model directory: weights, configuration, processor, code, figures, pictures and card."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from accelerate.tracking import get_available_trackers
from accelerate.utils import DataLoaderConfiguration, set_seed

from ..accelerator import create_accelerator
from ..data.class_names import background_label_id, check_class_names
from ..data.video_folder import DatasetError, VideoFolder
from ..device_precision import describe
from ..evaluation import EvaluationReport, plot_training_curves
from ..evaluation.evaluate_model import evaluate_model
from ..features import UNIFORM
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..whole_file import write_texts
from .frame_rate import clip_frame_rate
from .loop import TrainingResult
from .output_directory import BASELINE_FOLDER, output_of_run, remove_checkpoints
from .run import Run
from .run_card import write_card
from .run_options import RunOptions
from .settings import TrainingSettings
from .train_model import train_model
from .tuning import Candidate, TuningOutcome, check_can_tune, tune
from .tuning_settings import TuningSettings

logger = logging.getLogger(__name__)

_AS_ACCELERATE_CALLS_IT = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}


@dataclass(frozen=True)
class TrainedClassifier:
    """What came of a run.

    Attributes:
        model: With the weights of the best epoch.
        processor: Its processor.
        report: On the test split; None where the dataset has no such split.
        baseline: The order-blind baseline's report on the same clips, where one was trained.
        result: The course of the training.
        tuning: What came of tuning the backbone; None where it was not tuned.
    """

    model: ResNetLSTMForVideoClassification
    processor: ResNetLSTMVideoProcessor
    report: EvaluationReport | None
    baseline: EvaluationReport | None
    result: TrainingResult
    tuning: TuningOutcome | None = None


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
    tuning: TuningSettings | None = None,
    texts: Mapping[str, str] | None = None,
) -> TrainedClassifier:
    """Train, keep the best epoch, score it once on the test split, and write everything down.

    On a frozen backbone the head is trained on cached features, which are extracted where they are missing. Then, if
    that is wanted, the backbone is tuned, and kept so if it does better on the validation clips. A model that comes
    with its backbone unfrozen is trained end to end on the clips, from its start.

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
        train_baseline: Also train the order-blind baseline, the same model without its LSTM, to stand beside it; on
            the pretrained backbone, as it is.
        tuning: Whether and how the backbone is tuned; by default it is not.
        texts: Further files for the directory, by name.

    Raises:
        DatasetError: There is but one class, two differ by case or blanks alone, or a split that is needed has no clip
            that can be decoded.
        ValueError: A model that comes with its backbone unfrozen shall be tuned.
        InUseError: Another process trains into `output_dir`.
        OutputExistsError: `output_dir` holds a model, and neither `resume` nor `overwrite` is set.
        ResumeError: The checkpoint there is of another run.
    """
    _check_trackers(options.report_to)
    if len(folder.labels) < 2:
        raise DatasetError(
            f"{folder.root}: its only class is {', '.join(folder.labels)}, and there is nothing to tell it from. Add "
            "another class, if only of everything else."
        )
    check_class_names(folder.labels, folder.root)
    if not folder.clips("test"):
        logger.warning("%s has no test clips: the model is not scored, and cannot be published.", folder.root)
    accelerator = create_accelerator(
        mixed_precision=None if options.precision == "auto" else _AS_ACCELERATE_CALLS_IT[options.precision],
        gradient_accumulation_steps=settings.gradient_accumulation_steps,
        log_with=list(options.report_to) or None,
        project_dir=str(output_dir / "logs"),
        dataloader_config=DataLoaderConfiguration(
            split_batches=True, use_seedable_sampler=True, data_seed=settings.seed, non_blocking=True
        ),
    )
    run = Run(folder, processor, settings, options, accelerator)
    tuning = tuning or TuningSettings()
    if tuning.unfreeze != "none":
        run.require_clips(f"unfreeze={tuning.unfreeze}")
    with ExitStack() as stack:
        if accelerator.is_main_process:
            stack.enter_context(output_of_run(output_dir, resume=options.resume, overwrite=options.overwrite))
        accelerator.wait_for_everyone()
        if options.report_to:
            accelerator.init_trackers("resnet-lstm", config={**asdict(settings), "split_scheme": folder.split_scheme})
        accelerator.print(describe(accelerator.device, run.precision), file=sys.stderr)
        trained = _train_and_write(run, build_model, output_dir, head or {}, base_model, train_baseline, tuning)
        if accelerator.is_main_process:
            write_texts(output_dir, texts or {})
            remove_checkpoints(output_dir)
        accelerator.wait_for_everyone()
    accelerator.end_training()
    return trained


def _train_and_write(
    run: Run,
    build_model: Callable[..., ResNetLSTMForVideoClassification],
    output_dir: Path,
    head: Mapping[str, Any],
    base_model: str | None,
    train_baseline: bool,
    tuning: TuningSettings,
) -> TrainedClassifier:
    """All between the preparation of the directory and the removal of the checkpoints; see `train_classifier`."""
    build = partial(_build, run, build_model, clip_frame_rate(run.folder, run.processor.num_frames))
    model, result = _train(run, build(head), output_dir)
    outcome = None
    if tuning.unfreeze != "none":
        check_can_tune(run, model, tuning)
        frozen = Candidate(model, result)
        kept, outcome = tune(run, frozen, partial(build, head), tuning, output_dir)
        model, result = kept.model, kept.result
    baseline_model = None
    if train_baseline and model.config.num_lstm_layers:
        baseline_dir = output_dir / BASELINE_FOLDER
        if run.accelerator.is_main_process:
            baseline_dir.mkdir(exist_ok=True)
        run.accelerator.wait_for_everyone()
        baseline_head = {**head, "num_lstm_layers": 0, "temporal_change": False}
        baseline_model, _ = _train(run, build(baseline_head), baseline_dir, "baseline/")
    if run.folder.clips("test") and model.resnet_lstm.backbone_is_frozen:
        # All processes share this work; the scoring, which one of them does, then finds the features in the cache.
        run.extracted(run.labelled_clips("test", model.config), model, run.features(model), [UNIFORM])

    report = baseline = None
    name = output_dir.resolve().name  # also of "."
    if run.accelerator.is_main_process:
        model.save_pretrained(output_dir)
        run.processor.save_pretrained(output_dir)
        if result.history:
            plot_training_curves(
                output_dir / "training_curves.png",
                result.history,
                best_epoch=result.best_epoch,
                start=result.start,
                title=f"{name}, split {run.folder.split_scheme}",
            )
        if run.folder.clips("test"):
            report = _score(run, model, name)
            report.write(output_dir)
            if baseline_model is not None:
                baseline = _score(run, baseline_model, "mean of frames")
                baseline.write(output_dir / BASELINE_FOLDER)
            of_tuning = {} if outcome is None else outcome.in_words()
            write_card(output_dir, model, run.folder, report, baseline, run.settings, result, base_model, of_tuning)
    return TrainedClassifier(model, run.processor, report, baseline, result, outcome)


def _check_trackers(names: Sequence[str]) -> None:
    available = {tracker.value for tracker in get_available_trackers()}
    for name in names:
        if name not in available:
            raise ValueError(f"report_to={name}: its package is not installed, or accelerate knows no such tracker.")


def _build(
    run: Run,
    build_model: Callable[..., ResNetLSTMForVideoClassification],
    frames_per_second: float | None,
    head: Mapping[str, Any],
) -> ResNetLSTMForVideoClassification:
    """A model as it is before training, the same each time, on its device."""
    set_seed(run.settings.seed)
    model = build_model(
        id2label=dict(enumerate(run.folder.labels)),
        label2id={label: index for index, label in enumerate(run.folder.labels)},
        num_frames=run.processor.num_frames,
        frames_per_second=frames_per_second,
        background_label_id=background_label_id(run.folder.labels),
        **head,
    )
    model.to(run.accelerator.device)
    return model


def _train(
    run: Run, model: ResNetLSTMForVideoClassification, output_dir: Path, log_prefix: str = ""
) -> tuple[ResNetLSTMForVideoClassification, TrainingResult]:
    if "validation" not in run.splits:
        logger.warning("%s has no validation clips: nothing can be chosen by them.", run.folder.root)
    result = train_model(run, model, output_dir, log_prefix)
    trained = run.accelerator.unwrap_model(model)
    run.accelerator.free_memory()
    return trained, result


def _score(run: Run, model: ResNetLSTMForVideoClassification, name: str) -> EvaluationReport:
    return evaluate_model(
        model,
        run.processor,
        run.folder,
        cache=run.features(model) if model.resnet_lstm.backbone_is_frozen else None,
        batch_size=run.options.extraction_batch_size,
        num_workers=run.options.num_workers,
        model_name=name,
    )
