"""New classes for a trained model, by a few clips of each, without the clips that it was trained on."""

from .clips import TeachingClip
from .dataset_statistics import learn_statistics
from .errors import TeachingError
from .teach import TaughtModel, teach
from .write_model import require_new_directory, write_taught_model

__all__ = [
    "TaughtModel",
    "TeachingClip",
    "TeachingError",
    "learn_statistics",
    "require_new_directory",
    "teach",
    "write_taught_model",
]
