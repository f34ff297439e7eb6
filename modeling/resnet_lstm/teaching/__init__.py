"""New classes for a trained model, by a few clips of each, without the clips that it was trained on."""

from .clips import TaughtClips
from .teach import TaughtModel, TeachingError, teach

__all__ = ["TaughtClips", "TaughtModel", "TeachingError", "teach"]
