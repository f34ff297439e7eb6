"""Predictions from video files."""

from .loading import load_model
from .prediction import ClipPrediction, FailedClip, predict_clips
from .sources import find_sources

__all__ = ["ClipPrediction", "FailedClip", "find_sources", "load_model", "predict_clips"]
