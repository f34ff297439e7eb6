"""Training: cached features or clips -> a complete model directory."""

from .loop import DivergenceError, ResumeError, TrainingResult
from .output_directory import OutputExistsError, is_finished
from .run_options import RunOptions
from .settings import TrainingSettings
from .train_classifier import TrainedClassifier, train_classifier
from .tuning import TuningOutcome
from .tuning_settings import TuningSettings

__all__ = [
    "DivergenceError",
    "OutputExistsError",
    "ResumeError",
    "RunOptions",
    "TrainedClassifier",
    "TrainingResult",
    "TrainingSettings",
    "TuningOutcome",
    "TuningSettings",
    "is_finished",
    "train_classifier",
]
