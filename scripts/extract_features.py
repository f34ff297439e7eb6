"""The same as `resnet-lstm extract`, and a path for `accelerate launch scripts/extract_features.py`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from resnet_lstm_command import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command("extract", arguments)


if __name__ == "__main__":
    sys.exit(main())
