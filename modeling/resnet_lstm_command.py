"""`resnet-lstm`: the names of its commands, and the way from a name to what it does.

It stands beside the package because the package loads PyTorch and transformers, for which nobody should have to wait
who only asks what there is.
"""

from __future__ import annotations

import argparse
import errno
import gc
import logging
import os
import sys
import time
from collections.abc import Sequence
from importlib import import_module
from typing import NamedTuple

PROGRAM = "resnet-lstm"
USAGE_ERROR = 2
INTERRUPTED = 130
# Those that share their work with the other processes of a launch.
IN_SEVERAL_PROCESSES = ("extract", "train", "evaluate", "predict", "timeline")
# Seconds in which a launcher has stopped all processes after one has ended, on a busy machine too.
SECONDS_TO_STOP = 10


class Command(NamedTuple):
    """One command.

    Attributes:
        group: The headline under which it is listed.
        summary: What it does.
    """

    group: str
    summary: str


COMMANDS = {
    "build": Command("data", "Make a dataset: UCF-101 or your own folders of clips -> train, validation and test"),
    "extract": Command("data", "Run the backbone over a dataset once and keep the frame features"),
    "train": Command("model", "Train a classifier on a dataset and score it once on the test split"),
    "teach": Command("model", "Teach a trained model classes of your own by a few clips of each, in seconds"),
    "evaluate": Command("model", "Score a model on a split of a dataset, with intervals over groups"),
    "compare": Command("model", "Compare heads and training recipes by cross-validation over groups"),
    "predict": Command("use", "Say what happens in clips"),
    "timeline": Command("use", "Say what happens when in long videos"),
    "live": Command("use", "Say what is happening in front of a camera, as it happens"),
    "space": Command("use", "Show a model in the browser: clips, long videos and the webcam"),
    "export": Command("ship", "Export a model for OpenVINO or ONNX Runtime"),
    "benchmark": Command("ship", "Measure speed on this machine, as ratios of what is measured in the same run"),
    "publish": Command("ship", "Publish a model, a dataset or a Space on the Hugging Face Hub"),
    "demo": Command("help", "Go the whole path in two minutes, with no dataset and no download"),
    "env": Command("help", "Show versions and devices, for a bug report"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the first argument names, and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    if arguments and arguments[0] in COMMANDS:
        return run_command(arguments[0], arguments[1:])
    if arguments == ["--version"]:
        from resnet_lstm import __version__

        print(f"{PROGRAM} {__version__}")
        return 0
    parser = _overview()
    if arguments:
        parser.parse_args(arguments)  # ends the process, with --help or an error
    parser.print_help()
    return 0


def run_command(name: str, arguments: Sequence[str] | None = None) -> int:
    """Run a command, and return its exit status.

    Args:
        name: One of `COMMANDS`.
        arguments: What follows the name; None for those of the process.

    Returns:
        What the command returns; 2 where nothing could be done, after one line that says why.
    """
    # What a command imports is there to stay: to look through it for garbage again and again, and once more at the
    # end, takes longer than many a command.
    gc.disable()
    command = import_module(f"resnet_lstm.commands.{name}")
    gc.freeze()
    gc.enable()
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    args = command.parse_arguments(sys.argv[1:] if arguments is None else list(arguments))
    from resnet_lstm.plain_text import PlainFormatter, printable_lines

    handler = logging.StreamHandler()
    handler.setFormatter(PlainFormatter("%(levelname)s %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    try:
        if int(os.environ.get("WORLD_SIZE", "1")) > 1 and name not in IN_SEVERAL_PROCESSES:
            raise ValueError(
                f"{os.environ['WORLD_SIZE']} processes: each would do all the work of `{name}` and write the same "
                f"files. Start one; {', '.join(IN_SEVERAL_PROCESSES)} share their work."
            )
        return int(command.run(args))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (ImportError, OSError, SafetensorError, ValueError, StrictDataclassError) as error:
        _let_others_speak()
        print(f"error: {printable_lines(str(error))}", file=sys.stderr)
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
            print("The disk is full. Make room and run it again: what was finished is kept.", file=sys.stderr)
        return USAGE_ERROR
    except RuntimeError as error:
        if not _is_of_another_process(error):
            raise
        # That one says why. What this one would say before it is stopped would only hide it.
        time.sleep(SECONDS_TO_STOP)
        print(f"error: another process of this run has ended: {printable_lines(str(error))}", file=sys.stderr)
        return USAGE_ERROR


def _let_others_speak() -> None:
    """Of the processes of a launch, which mostly fail alike, the first says why; meanwhile the others are stopped."""
    rank = int(os.environ.get("RANK", "0"))
    if rank:
        # The others one after another, should the first be well.
        time.sleep(SECONDS_TO_STOP + min(rank - 1, 2 * SECONDS_TO_STOP))


def _is_of_another_process(error: RuntimeError) -> bool:
    """Whether what failed is the exchange with another process of this launch."""
    from torch.distributed import DistError

    return isinstance(error, DistError) or ("gloo" in str(error) and int(os.environ.get("WORLD_SIZE", "1")) > 1)


def _overview() -> argparse.ArgumentParser:
    lines = ["Video action recognition that you can check.", "", f"    {PROGRAM} COMMAND --help"]
    for group in dict.fromkeys(command.group for command in COMMANDS.values()):
        lines += ["", f"{group}:"]
        lines += [f"  {name:<10} {each.summary}" for name, each in COMMANDS.items() if each.group == group]
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        usage=f"{PROGRAM} COMMAND ...",
        description="\n".join(lines),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="store_true", help="show the version and end")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help=argparse.SUPPRESS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
