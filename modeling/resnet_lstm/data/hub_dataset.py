"""A dataset by its name: a folder here, or a repository on the Hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError

from .clip_shards import is_repo_id, names_shards
from .video_folder import INFO_FILE, METADATA_FILE, SPLITS, DatasetError, VideoFolder


def open_dataset(name: str | Path, *, revision: str | None = None, metadata_only: bool = False) -> VideoFolder:
    """Open a folder, or download a dataset that was published with `resnet-lstm publish` and open it.

    Args:
        name: A folder, or `owner/name` on the Hub where there is no such folder.
        revision: A branch, tag or commit on the Hub.
        metadata_only: Download no clips.

    Raises:
        DatasetError: There is no such dataset, it is not in the cache and the Hub cannot be reached, or it holds no
            clips though they are asked for.
    """
    if names_shards(name):
        raise DatasetError(f"{name}: shards, which extract, train and evaluate read. A VideoFolder is needed here.")
    if Path(name).exists() or not is_repo_id(name):
        return VideoFolder.open(name)
    patterns = [INFO_FILE, *(f"{split}/{METADATA_FILE if metadata_only else '**'}" for split in SPLITS)]
    try:
        root = snapshot_download(str(name), repo_type="dataset", revision=revision, allow_patterns=patterns)
    except (OSError, HFValidationError) as error:
        why = "that this account can see" if isinstance(error, RepositoryNotFoundError) else "that can be reached now"
        raise DatasetError(f"{name}: neither a folder here nor a dataset on the Hub {why}.") from error
    folder = VideoFolder.open(root)
    folder.hub_id = str(name)
    if not metadata_only:
        _check_clips(folder, str(name))
    return folder


def _check_clips(folder: VideoFolder, name: str) -> None:
    if not any((folder.root / split / clip.file_name).is_file() for split in SPLITS for clip in folder.clips(split)):
        raise DatasetError(
            f"{name}: holds the metadata only. Get the clips and make it whole: resnet-lstm build --metadata "
            f"{name} --clips-from DIR --output DIR."
        )
