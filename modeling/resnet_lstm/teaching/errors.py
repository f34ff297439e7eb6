"""Why a model is not taught."""

from __future__ import annotations


class TeachingError(ValueError):
    """A model cannot be taught what it shall be taught, or not by these clips."""
