"""`resnet-lstm`: the package on the command line. A command reads its arguments, calls the package and prints."""

from .command_line import COMMANDS, main, run_command

__all__ = ["COMMANDS", "main", "run_command"]
