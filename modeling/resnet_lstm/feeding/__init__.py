"""Files -> batches on the device: the one way of extraction, evaluation, prediction, timelines and tuning."""

from .clip_pictures import ClipPictures, load_pictures
from .device_feeder import DeviceFeeder, HalvingBatches, default_batch_size
from .loading import LoadingError, PictureRequest, UnreadableClip, default_num_workers, load_batches

__all__ = [
    "ClipPictures",
    "DeviceFeeder",
    "HalvingBatches",
    "LoadingError",
    "PictureRequest",
    "UnreadableClip",
    "default_batch_size",
    "default_num_workers",
    "load_batches",
    "load_pictures",
]
