"""One way to read arguments and to show help, for all commands."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import textwrap
from dataclasses import fields
from itertools import groupby
from typing import Any, Literal, get_args, get_origin, get_type_hints

from resnet_lstm_command import PROGRAM

_LEAST_WIDTH, _MOST_WIDTH = 80, 119


class CommandParser(argparse.ArgumentParser):
    """Reads `--two-words` and, unshown, `--two_words`; shows the examples in its description as written."""

    def __init__(self, add_help: bool = True, **kwargs: Any) -> None:
        super().__init__(formatter_class=_HelpFormatter, allow_abbrev=False, add_help=False, **kwargs)
        if add_help:
            # Who reads it knows how to get it.
            self.add_argument("-h", "--help", action="help", help=argparse.SUPPRESS)

    @classmethod
    def of(cls, name: str, arguments: str, description: str | None) -> CommandParser:
        """The parser of a command.

        Args:
            name: The command's.
            arguments: Those that it cannot do without, for the line on its usage.
            description: What it does and examples.
        """
        program = f"{PROGRAM} {name}"
        return cls(prog=program, usage=f"{program} {arguments} [options]", description=description)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As in `argparse`, whichever way the options are written."""
        args = sys.argv[1:] if args is None else args
        return super().parse_known_args([_with_dashes(arg) for arg in args], namespace)


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """One spelling of each option, and true defaults."""

    def __init__(self, prog: str) -> None:
        width = min(max(shutil.get_terminal_size().columns, _LEAST_WIDTH), _MOST_WIDTH)
        super().__init__(prog, max_help_position=min(36, width // 3 + 2), width=width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        filled: list[str] = []
        for is_prose, lines in groupby(text.strip("\n").splitlines(), key=lambda line: line[:1] not in ("", " ")):
            if is_prose:
                filled.append(textwrap.fill(" ".join(lines), width))
            else:
                filled.extend(_list_item(line, width) for line in lines)
        return "\n".join(filled)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        long_names = [name for name in action.option_strings if name.startswith("--")]
        if not long_names:
            return super()._format_action_invocation(action)
        values = self._format_args(action, action.dest.upper()) if action.nargs != 0 else ""
        return f"{long_names[0]} {values}".rstrip()

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        shown = action.option_strings and not isinstance(action.default, bool)
        if not shown or action.default in (None, argparse.SUPPRESS) or "default" in text:
            return text
        default = " ".join(action.default) if isinstance(action.default, list | tuple) else str(action.default)
        return f"{text} (default: {default})".lstrip().replace("%", "%%")


def _list_item(line: str, width: int) -> str:
    """A line of a list, whose text goes on below itself; examples, which are indented by four, as they are."""
    if not line or line.startswith("    "):
        return line
    name = re.match(r" +\S+ +", line)
    return textwrap.fill(line, width, subsequent_indent=" " * len(name.group() if name else "  "))


def add_switch(group: Any, name: str, *, default: bool, help: str) -> None:
    """An option that is on or off; help shows the way to what is not the default.

    Args:
        group: A parser or a group of one.
        name: With its dashes, as what is on is called.
        default: Whether it is on.
        help: What the way that is shown does.
    """
    dest = name.removeprefix("--").replace("-", "_")
    for spelling, value in ((name, True), (f"--no-{name.removeprefix('--')}", False)):
        group.add_argument(
            spelling,
            dest=dest,
            action="store_const",
            const=value,
            default=default,
            help=argparse.SUPPRESS if value == default else help,
        )


def add_fields(group: Any, settings_type: type, *, with_advanced: bool) -> None:
    """An option for each field of a dataclass, whose metadata hold its `help`, and `advanced` if few need it.

    Args:
        group: A parser or a group of one.
        settings_type: The dataclass.
        with_advanced: Whether help shows these too.
    """
    types = get_type_hints(settings_type)
    for field in fields(settings_type):
        name, kind = f"--{field.name.replace('_', '-')}", types[field.name]
        is_shown = with_advanced or not field.metadata.get("advanced")
        help = field.metadata["help"] if is_shown else argparse.SUPPRESS
        if kind is bool:
            add_switch(group, name, default=bool(field.default), help=help)
        elif get_origin(kind) is Literal:
            group.add_argument(name, choices=get_args(kind), default=field.default, metavar="NAME", help=help)
        else:
            group.add_argument(name, type=kind, default=field.default, metavar="N" if kind is int else "X", help=help)


def positive(text: str) -> int:
    """The type of a number of things, of which there must be one at least."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: must be 1 or more")
    return int(text)


def _with_dashes(argument: str) -> str:
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument.partition("=")
    return name.replace("_", "-") + equals + value
