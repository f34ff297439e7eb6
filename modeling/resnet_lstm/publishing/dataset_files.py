"""A VideoFolder -> what is published of it: its metadata, or its clips too; or why it is not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

from huggingface_hub import DatasetCard

from ..data.video_folder import INFO_FILE, METADATA_FILE, SPLITS, DatasetError, VideoFolder
from .cards import CARD_FILE, parse_card
from .dataset_card import data_configs, dataset_card
from .errors import PublishingError
from .facts import dataset_facts
from .publication import Publication


def prepare_dataset(
    directory: str | Path, repo_id: str, *, with_clips: bool = False, license: str | None = None
) -> Publication:
    """Collect a dataset's files and write its card. A `README.md` that is there keeps its text.

    Args:
        directory: Made by `resnet-lstm build`.
        repo_id: `owner/name`.
        with_clips: Publish the clips, not only the metadata.
        license: A licence identifier of the Hub. UCF-101 brings its own terms.

    Raises:
        PublishingError: It is no such dataset, it has no name or no licence, a clip is missing, or the counts in
            `dataset.json` are not those of the metadata.
    """
    directory = Path(directory)
    try:
        folder = VideoFolder.open(directory)
        clips = {
            f"{split}/{clip.file_name}": folder.path(split, clip)
            for split in SPLITS
            for clip in folder.clips(split)
            if with_clips
        }
    except (DatasetError, OSError) as error:
        raise PublishingError(str(error)) from error
    if not folder.info.get("name"):
        raise PublishingError(f"{directory / INFO_FILE}: names no dataset. Add a name to it.")
    _check_counts(folder)
    card = _card(folder, repo_id, with_clips, license)
    if not card.data.license:
        raise PublishingError(f"{folder.info['name']}: names no licence. Give one, for example --license cc-by-4.0.")
    warnings = []
    if with_clips:
        warnings.append(f"the {len(clips)} clips themselves are uploaded: they must be yours to publish")
        if dataset_facts(folder)["is_ucf101"]:
            warnings.append("the clips of UCF-101 are offered for research and come with no licence for other use")
    files = {f"{split}/{METADATA_FILE}": directory / split / METADATA_FILE for split in SPLITS if folder.clips(split)}
    return Publication(
        "dataset",
        {**files, INFO_FILE: directory / INFO_FILE, **clips, CARD_FILE: str(card).encode("utf-8")},
        tuple(warnings),
    )


def _card(folder: VideoFolder, repo_id: str, with_clips: bool, license: str | None) -> Any:
    path = folder.root / CARD_FILE
    if not path.is_file():
        return dataset_card(folder, repo_id, with_clips=with_clips, license=license)
    card = parse_card(path.read_text(encoding="utf-8"), path, DatasetCard)
    card.data.license = license or card.data.license
    card.data.configs = data_configs(folder, with_clips=with_clips)
    return card


def _check_counts(folder: VideoFolder) -> None:
    for split, by_label in folder.info.get("counts", {}).items():
        found = Counter(clip.label for clip in folder.clips(split))
        for label, counts in by_label.items():
            if counts["clips"] != found[label]:
                raise PublishingError(
                    f"{folder.root}: {INFO_FILE} counts {counts['clips']} {split} clips of {label}, the metadata "
                    f"{found[label]}. Build the dataset again."
                )
