"""Predictions from video files, long videos and cameras."""

from .annotation import annotate_video
from .decoding_apart import annotate_video_apart, load_pictures_apart, open_frames_apart, probe_apart, warm_up
from .exports import EXPORT_FORMATS, Export
from .frame_reader import TimedFrame, open_frames, training_rate
from .live import LivePrediction, LiveSession
from .live_reader import open_live
from .loading import RUNTIMES, leave_cores_to, load_model
from .places import DecisionPlaces, decision_places
from .prediction import ClipPrediction, FailedClip, predict_clips, predict_features, read_pictures
from .sources import find_sources
from .timeline import NO_KNOWN_ACTION, Segment, Thumbnail, Timeline, label_timeline

__all__ = [
    "EXPORT_FORMATS",
    "NO_KNOWN_ACTION",
    "RUNTIMES",
    "ClipPrediction",
    "DecisionPlaces",
    "Export",
    "FailedClip",
    "LivePrediction",
    "LiveSession",
    "Segment",
    "Thumbnail",
    "TimedFrame",
    "Timeline",
    "annotate_video",
    "annotate_video_apart",
    "decision_places",
    "find_sources",
    "label_timeline",
    "leave_cores_to",
    "load_model",
    "load_pictures_apart",
    "open_frames",
    "open_frames_apart",
    "open_live",
    "predict_clips",
    "predict_features",
    "probe_apart",
    "read_pictures",
    "training_rate",
    "warm_up",
]
