"""Predictions from video files."""

from .exports import EXPORT_FORMATS, Export
from .loading import RUNTIMES, load_model
from .prediction import ClipPrediction, FailedClip, predict_clips
from .sources import find_sources

__all__ = [
    "EXPORT_FORMATS",
    "RUNTIMES",
    "ClipPrediction",
    "Export",
    "FailedClip",
    "find_sources",
    "load_model",
    "predict_clips",
]
