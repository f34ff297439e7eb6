"""The Space: what happens in a video, in the browser.

    python space/app.py --model runs/ucf101-25
    python space/app.py --model user/model --mcp

Without --model it is the one that the variable RESNET_LSTM_MODEL names.
"""

from __future__ import annotations

import sys


def main(arguments: list[str] | None = None) -> int:
    """Serve the page until it is interrupted; the exit status."""
    # Not at the top: each file is decoded by a process of its own, which runs this file anew to have its names.
    import page

    return page.serve(page.parse_arguments(__doc__ or "", arguments))


if __name__ == "__main__":
    sys.exit(main())
