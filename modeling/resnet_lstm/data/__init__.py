"""Videos and datasets: UCF-101 or one's own clips -> a VideoFolder with honest splits."""

from .build import build_from_folders, build_ucf101
from .clip_shards import ClipShards, names_shards
from .completion import complete_dataset
from .hub_dataset import open_dataset
from .leakage import Leakage, check_leakage
from .splits import SPLIT_SCHEMES
from .video_encoding import write_video
from .video_folder import SPLITS, Clip, DatasetError, VideoFolder

__all__ = [
    "SPLITS",
    "SPLIT_SCHEMES",
    "Clip",
    "ClipShards",
    "DatasetError",
    "Leakage",
    "VideoFolder",
    "build_from_folders",
    "build_ucf101",
    "check_leakage",
    "complete_dataset",
    "names_shards",
    "open_dataset",
    "write_video",
]
