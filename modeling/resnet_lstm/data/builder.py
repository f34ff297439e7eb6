"""UCF-101 as a `datasets` builder, without a copy of the clips."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import datasets

from . import ucf101
from .build import prepare_ucf101
from .video_folder import SPLITS, DatasetError, Entry


@dataclass
class UCF101SubsetConfig(datasets.BuilderConfig):
    """The arguments of `build_ucf101`, which see.

    Attributes:
        root: The folder that holds `UCF-101/`, or the folder of the class folders itself.
        classes: "default", "available", or names.
        max_videos_per_class: At most so many clips a class, the first by file name.
        split: The split scheme.
        seed: Of the shuffles.
        lists: The folder of the official lists, if it is not beside the clips.
    """

    root: str | Path | None = None
    classes: str | Sequence[str] = "default"
    max_videos_per_class: int = 200
    split: str = "grouped"
    seed: int = 42
    lists: str | Path | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.root is None:
            raise DatasetError("root=None: name the folder of UCF-101, UCF101Subset(root=…).")

    def create_config_id(self, config_kwargs: dict[str, Any], custom_features: datasets.Features | None = None) -> str:
        """A name of the cache folder that changes with every setting and with every clip and list on disk."""
        assert self.root is not None  # noqa: S101 - __post_init__ holds this
        clips_folder = ucf101.find_clips_folder(Path(self.root).resolve())
        files = [
            clip.path for label in ucf101.list_classes(clips_folder) for clip in ucf101.list_clips(clips_folder, label)
        ]
        if self.split.startswith("official-"):
            files += sorted(ucf101.find_lists_folder(clips_folder, self.lists).absolute().glob("*.txt"))
        state = {
            "root": str(clips_folder),
            "files": [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in files],
            "classes": self.classes if isinstance(self.classes, str) else sorted(self.classes),
            "max_videos_per_class": self.max_videos_per_class,
            "split": self.split,
            "seed": self.seed,
            "features": repr(custom_features),
        }
        return f"{self.split}-{hashlib.sha256(json.dumps(state).encode()).hexdigest()[:16]}"


class UCF101Subset(datasets.GeneratorBasedBuilder):
    """UCF-101 clips in train, validation and test, each row a reference to a file on disk.

    `Video(decode=False)` gives the path: decoding inside `datasets` needs torchcodec and a system FFmpeg.

    Example:
        >>> builder = UCF101Subset(root="data/ucf101", split="grouped", seed=42)
        >>> builder.download_and_prepare()
        >>> builder.as_dataset()["train"][0]["video"]["path"]
    """

    VERSION = datasets.Version("1.0.0")
    BUILDER_CONFIG_CLASS = UCF101SubsetConfig

    def __init__(self, cache_dir: str | None = None, dataset_name: str = "ucf101_subset", **kwargs: Any) -> None:
        super().__init__(cache_dir=cache_dir, dataset_name=dataset_name, **kwargs)

    def _info(self) -> datasets.DatasetInfo:
        # The features follow in _split_generators: the classes are those with at least one readable clip.
        return datasets.DatasetInfo(homepage=ucf101.HOMEPAGE)

    def _split_generators(self, dl_manager: datasets.DownloadManager) -> list[datasets.SplitGenerator]:
        prepared = prepare_ucf101(
            self.config.root,
            classes=self.config.classes,
            max_videos_per_class=self.config.max_videos_per_class,
            split=self.config.split,
            seed=self.config.seed,
            lists=self.config.lists,
        )
        self.info.features = datasets.Features(
            {
                "video": datasets.Video(decode=False),
                "label": datasets.ClassLabel(names=prepared.labels),
                "group": datasets.Value("string"),
                "clip": datasets.Value("int32"),
                "num_frames": datasets.Value("int32"),
                "fps": datasets.Value("float64"),
                "seconds": datasets.Value("float64"),
                "width": datasets.Value("int32"),
                "height": datasets.Value("int32"),
                "sha256": datasets.Value("string"),
            }
        )
        entries_of = {split: tuple(entry for entry in prepared.entries if entry.split == split) for split in SPLITS}
        return [
            datasets.SplitGenerator(name=split, gen_kwargs={"entries": entries})
            for split, entries in entries_of.items()
            if entries
        ]

    def _generate_examples(self, entries: tuple[Entry, ...]) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, entry in enumerate(sorted(entries, key=lambda entry: entry.clip.file_name)):
            row = asdict(entry.clip)
            del row["file_name"]
            yield index, {"video": str(entry.source.resolve()), **row}
