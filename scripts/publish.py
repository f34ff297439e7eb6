"""The same as `resnet-lstm publish`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from resnet_lstm_command import run_command


def main(arguments: Sequence[str] | None = None) -> int:
    return run_command("publish", arguments)


if __name__ == "__main__":
    sys.exit(main())
