"""A model and a dataset -> a report."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import gather_object
from tqdm.auto import tqdm

from ..accelerator import own_stretch
from ..data.leakage import check_leakage
from ..data.video_folder import Clip, DatasetError, VideoFolder
from ..features import UNIFORM, ClipFile, FeatureCache, FeatureShards, clip_files, extract_features
from ..inference import FailedClip, predict_clips
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMForVideoClassificationOutput
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .order import ORDERS, in_order, without_lstm
from .report import EvaluationReport, evaluate_predictions

logger = logging.getLogger(__name__)

LogitsOfPath = dict[Path, np.ndarray]


def evaluate_model(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    folder: VideoFolder,
    split: str = "test",
    *,
    cache: FeatureCache | FeatureShards | None = None,
    batch_size: int | None = None,
    num_workers: int | None = None,
    model_name: str = "resnet-lstm",
    distributed: bool = False,
) -> EvaluationReport:
    """Score a model on a split of a dataset.

    Args:
        model: The model.
        processor: Its processor.
        folder: The dataset.
        split: The split to score.
        cache: Frame features to use, and to add to where they are missing; without it every clip passes the whole
            model. The logits are the same.
        batch_size: Clips that pass the backbone together, by default as the device wants it.
        num_workers: How many decode ahead.
        model_name: The model's name in the report.
        distributed: Share the clips with the other processes of the run, all of which must make this call; each
            clip counts once, and all return the same report.

    Raises:
        DatasetError: The split has no clip, none that can be decoded, or a class that the model does not know.
    """
    clips = scorable_clips(model, folder, split)
    label2id = model.config.label2id
    files = clip_files(folder, split)
    share = files[own_stretch(len(files))] if distributed else files
    altered: dict[str, LogitsOfPath] = {}
    if cache is None:
        logits_of_path = _logits_from_clips(model, processor, share, batch_size, num_workers)
    else:
        if isinstance(cache, FeatureCache):
            extract_features(
                model.resnet_lstm,
                processor,
                cache,
                files,
                [UNIFORM],
                batch_size=batch_size,
                num_workers=num_workers,
                distributed=distributed,
            )
        logits_of_path = _logits_from_features(model, share, cache)
        altered = _altered_logits(model, share, cache)
    if distributed:
        # By path: whoever scored a clip, it counts once.
        logits_of_path = _of_all_processes(logits_of_path)
        altered = {way: _of_all_processes(of_share) for way, of_share in altered.items()}
    scored = [(clip, file) for clip, file in zip(clips, files, strict=True) if file.path in logits_of_path]
    if not scored:
        raise DatasetError(f"{folder.root}: no clip of its {split} split can be decoded.")
    return evaluate_predictions(
        np.stack([logits_of_path[file.path] for _, file in scored]),
        [label2id[clip.label] for clip, _ in scored],
        groups=[folder.group_of(clip) for clip, _ in scored],
        file_names=[clip.file_name for clip, _ in scored],
        label_names=[model.config.id2label[index] for index in range(model.config.num_labels)],
        split=split,
        split_scheme=folder.info.get("split_scheme", "unknown"),
        leaky=bool(folder.info.get("leaky")),
        leakage=check_leakage(folder, split).to_dict() if folder.clips("train") else None,
        model_name=model_name,
        dataset_name=folder.info.get("name", folder.root.name),
        altered_logits={
            way: np.stack([logits_of_path[file.path] for _, file in scored]) for way, logits_of_path in altered.items()
        },
    )


def _of_all_processes(logits_of_path: LogitsOfPath) -> LogitsOfPath:
    shares: list[LogitsOfPath] = gather_object([logits_of_path])
    return {path: logits for share in shares for path, logits in share.items()}


def scorable_clips(model: ResNetLSTMForVideoClassification, folder: VideoFolder, split: str) -> list[Clip]:
    """The clips of a split.

    Raises:
        DatasetError: There is none, or one is of a class that the model does not know.
    """
    clips = folder.clips(split)
    if not clips:
        raise DatasetError(f"{folder.root}: its {split} split has no clip. Name a split that has some.")
    unknown = sorted({clip.label for clip in clips} - model.config.label2id.keys())
    if unknown:
        raise DatasetError(
            f"{folder.root}: the model does not know {', '.join(unknown)}. It was trained on others: teach it these "
            "(resnet-lstm teach), train on this dataset, or leave their clips out."
        )
    return clips


def _logits_from_clips(
    model: ResNetLSTMForVideoClassification,
    processor: ResNetLSTMVideoProcessor,
    files: list[ClipFile],
    batch_size: int | None,
    num_workers: int | None,
) -> LogitsOfPath:
    predictions = predict_clips(
        model, processor, [file.path for file in files], batch_size=batch_size, num_workers=num_workers
    )
    logits_of_path = {}
    for file, prediction in zip(files, tqdm(predictions, total=len(files), unit="clip"), strict=True):
        if isinstance(prediction, FailedClip):
            logger.warning("left out: %s", prediction.error)
        else:
            logits_of_path[file.path] = prediction.logits
    return logits_of_path


def _altered_logits(
    model: ResNetLSTMForVideoClassification, files: list[ClipFile], cache: FeatureCache | FeatureShards
) -> dict[str, LogitsOfPath]:
    """What a model that reads order says without it, by the words in which the report tells it."""
    altered = {}
    if model.config.num_lstm_layers or model.config.temporal_change:
        for order in ORDERS[1:]:
            altered[f"with frames {order}"] = _logits_from_features(model, files, cache, order)
    silenced = without_lstm(model)
    if silenced is not None:
        altered["without the LSTM"] = _logits_from_features(model, files, cache, answer=silenced)
    return altered


@torch.inference_mode()
def _logits_from_features(
    model: ResNetLSTMForVideoClassification,
    files: list[ClipFile],
    cache: FeatureCache | FeatureShards,
    order: str = ORDERS[0],
    answer: Callable[..., ResNetLSTMForVideoClassificationOutput] | None = None,
) -> LogitsOfPath:
    was_training = model.training
    model.eval()
    logits_of_path = {}
    for file in files:
        if cache.has(file.sha256, UNIFORM):
            frame_features = in_order(cache.load(file.sha256, UNIFORM), order, file.sha256)  # [T, D]
            outputs = (answer or model)(frame_features=frame_features[None].to(model.device))
            assert outputs.logits is not None  # noqa: S101 - it always gives them
            logits_of_path[file.path] = outputs.logits[0].float().cpu().numpy()
    model.train(was_training)
    return logits_of_path
