"""What all steps of a run share: its dataset and settings, the features of its clips, and how its loops are made."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from ..configuration_resnet_lstm import ResNetLSTMConfig
from ..data.video_folder import DatasetError, VideoFolder
from ..device_precision import backbone_dtype, precision_name
from ..features import ClipFile, FeatureCache, FeatureShards, MapCache, View, clip_files, extract_features
from ..features.kept_clips import state_dict_sha256
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..video_decoding import probe_video
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from ..video_sources import VideoDecodingError
from .run_options import RunOptions
from .settings import TrainingSettings

logger = logging.getLogger(__name__)

Labelled = tuple[list[ClipFile], list[int]]


@dataclass(frozen=True)
class Run:
    """One run.

    Attributes:
        folder: The dataset.
        processor: Makes the backbone's input.
        settings: What the model shall learn.
        options: How the run is carried out.
        accelerator: Devices, processes, precision and trackers.
    """

    folder: VideoFolder
    processor: ResNetLSTMVideoProcessor
    settings: TrainingSettings
    options: RunOptions
    accelerator: Accelerator

    @cached_property
    def splits(self) -> list[str]:
        """Those that are trained with: `train`, and `validation` where it has clips."""
        return [split for split in ("train", "validation") if split == "train" or self.folder.clips(split)]

    @property
    def precision(self) -> str:
        """What the backbone computes in."""
        if self.accelerator.mixed_precision != "no":
            return str(self.accelerator.mixed_precision)
        return precision_name(backbone_dtype(self.options.precision, self.accelerator.device))

    @cached_property
    def group_of(self) -> dict[Path, str]:
        """The group of each clip that is trained with, by its path."""
        return {
            self.folder.path(split, clip): self.folder.group_of(clip)
            for split in self.splits
            for clip in self.folder.clips(split)
        }

    def labelled_clips(self, split: str, config: ResNetLSTMConfig) -> Labelled:
        """The clips of a split and their label ids.

        Raises:
            DatasetError: There is none.
        """
        clips = self.folder.clips(split)
        if not clips:
            raise DatasetError(f"{self.folder.root}: its {split} split has no clip.")
        return clip_files(self.folder, split), [config.label2id[clip.label] for clip in clips]

    def require_clips(self, what_for: str) -> None:
        """Raise a `DatasetError` where the dataset is features, and no clip is there to be decoded."""
        if isinstance(self.folder, FeatureShards):
            raise DatasetError(f"{self.folder.root}: holds features and no clips. {what_for} needs a VideoFolder.")

    def features(self, model: ResNetLSTMForVideoClassification) -> FeatureCache | FeatureShards:
        """Where the features of a model's backbone, as its weights are now, are read: a cache, or the dataset itself.

        Raises:
            ValueError: The dataset is features that another backbone or processor has made.
        """
        if isinstance(self.folder, FeatureShards):
            self.folder.check_made_by(model.resnet_lstm, self.processor, self.precision)
            return self.folder
        return self.feature_cache(model)

    def feature_cache(self, model: ResNetLSTMForVideoClassification) -> FeatureCache:
        """Where the features of a model's backbone, as its weights are now, are kept."""
        return FeatureCache(self.options.cache_dir, model.resnet_lstm, self.processor, self.precision)

    def extracted(
        self,
        labelled: Labelled,
        model: ResNetLSTMForVideoClassification,
        cache: FeatureCache | FeatureShards | MapCache,
        views: list[View],
    ) -> Labelled:
        """The clips that are in a cache, after extracting those that were missing."""
        clips, labels = labelled
        if isinstance(cache, FeatureShards):
            cache.check_holds(views)
            return labelled
        extract_features(
            model.resnet_lstm,
            self.processor,
            cache,
            clips,
            views,
            batch_size=self.options.extraction_batch_size,
            num_workers=self.options.num_workers,
        )
        there = [all(cache.has(clip.sha256, view) for view in views) for clip in clips]
        return _chosen(clips, labels, there)

    def check_not_empty(self, clips: dict[str, Labelled]) -> None:
        """Raise a `DatasetError` that names the split of which no clip is left."""
        for split, (kept, _) in clips.items():
            if not kept:
                raise DatasetError(f"{self.folder.root}: no clip of its {split} split can be decoded.")

    def facts(self, model: ResNetLSTMForVideoClassification, clips: dict[str, list[ClipFile]]) -> dict[str, Any]:
        """What makes this run this run, beside its settings: a checkpoint of a run with other facts is refused."""
        streamed = {"buffer_bytes": self.folder.buffer_bytes} if isinstance(self.folder, FeatureShards) else {}
        return {
            **streamed,
            "backbone_is_frozen": model.resnet_lstm.backbone_is_frozen,
            "backbone_sha256": state_dict_sha256(model.resnet_lstm.backbone),
            "clips": {split: [clip.sha256 for clip in of_split] for split, of_split in clips.items()},
            "config": {name: value for name, value in model.config.to_dict().items() if name != "backbone_config"},
            "num_views": self.options.num_views,
            "precision": self.precision,
            "processor": self.processor.to_dict(),
        }


def decodable(labelled: Labelled) -> Labelled:
    """The clips that can be opened; the others are named in a warning."""
    clips, labels = labelled
    can_be_opened = []
    for clip in clips:
        try:
            probe_video(clip.path)
        except VideoDecodingError as error:
            logger.warning("left out: %s", error)
            can_be_opened.append(False)
        else:
            can_be_opened.append(True)
    return _chosen(clips, labels, can_be_opened)


def _chosen(clips: list[ClipFile], labels: list[int], chosen: list[bool]) -> Labelled:
    return (
        [clip for clip, is_chosen in zip(clips, chosen, strict=True) if is_chosen],
        [label for label, is_chosen in zip(labels, chosen, strict=True) if is_chosen],
    )
