"""Where feature caches are kept when nobody says otherwise."""

from __future__ import annotations

import os
from pathlib import Path


def default_cache_dir() -> Path:
    """`$RESNET_LSTM_CACHE`, else a folder in the user's cache directory (XDG base directory specification)."""
    if value := os.environ.get("RESNET_LSTM_CACHE"):
        return Path(value)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "resnet-lstm" / "features"
