"""Predictions from video files, long videos and cameras."""

from .annotation import annotate_video
from .exports import EXPORT_FORMATS, Export
from .frame_reader import TimedFrame, open_frames, training_rate
from .live import LivePrediction, LiveSession
from .live_reader import open_live
from .loading import RUNTIMES, leave_cores_to, load_model
from .prediction import ClipPrediction, FailedClip, predict_clips
from .sources import find_sources
from .timeline import NO_KNOWN_ACTION, Segment, Thumbnail, Timeline, label_timeline

__all__ = [
    "EXPORT_FORMATS",
    "NO_KNOWN_ACTION",
    "RUNTIMES",
    "ClipPrediction",
    "Export",
    "FailedClip",
    "LivePrediction",
    "LiveSession",
    "Segment",
    "Thumbnail",
    "TimedFrame",
    "Timeline",
    "annotate_video",
    "find_sources",
    "label_timeline",
    "leave_cores_to",
    "load_model",
    "open_frames",
    "open_live",
    "predict_clips",
    "training_rate",
]
