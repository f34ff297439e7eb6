"""Training: cached features or clips -> a complete model directory."""

from .loop import DivergenceError, ResumeError, TrainingResult
from .settings import TrainingSettings
from .train_classifier import OutputExistsError, RunOptions, TrainedClassifier, is_finished, train_classifier

__all__ = [
    "DivergenceError",
    "OutputExistsError",
    "ResumeError",
    "RunOptions",
    "TrainedClassifier",
    "TrainingResult",
    "TrainingSettings",
    "is_finished",
    "train_classifier",
]
