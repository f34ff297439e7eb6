"""What can keep something from being published."""

from __future__ import annotations


class PublishingError(ValueError):
    """What was to be published is not as it must be, or the Hub did not take it. The message is one line."""
