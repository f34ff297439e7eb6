"""Training: cached features or clips -> a complete model directory."""

from .loop import ResumeError, TrainingResult
from .settings import TrainingSettings
from .train_classifier import OutputExistsError, RunOptions, TrainedClassifier, train_classifier

__all__ = [
    "OutputExistsError",
    "ResumeError",
    "RunOptions",
    "TrainedClassifier",
    "TrainingResult",
    "TrainingSettings",
    "train_classifier",
]
