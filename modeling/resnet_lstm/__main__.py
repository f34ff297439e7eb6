"""`python -m resnet_lstm`: the same as `resnet-lstm`."""

import sys

from resnet_lstm_command import main

if __name__ == "__main__":
    sys.exit(main())
