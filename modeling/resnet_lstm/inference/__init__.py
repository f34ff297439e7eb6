"""Predictions from video files."""

from .prediction import ClipPrediction, FailedClip, predict_clips
from .sources import find_sources

__all__ = ["ClipPrediction", "FailedClip", "find_sources", "predict_clips"]
