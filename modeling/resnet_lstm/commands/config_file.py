"""A command's options in a YAML or JSON file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml


def arguments_of(path: Path) -> list[str]:
    """The options in a file, as they would be written on the command line.

    Args:
        path: YAML or JSON, an object of option names (without the leading dashes) and values.

    Raises:
        OSError: There is no such file.
        ValueError: It is something else.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: neither YAML nor JSON ({error}).") from error
    if not isinstance(content, dict):
        raise ValueError(  # noqa: TRY004 - the file is at fault
            f"{path}: must hold option names and values, not {type(content).__name__}."
        )
    arguments: list[str] = []
    for name, value in content.items():
        option = f"--{name}"
        if isinstance(value, bool):
            arguments.append(option if value else f"--no-{name}")
        elif isinstance(value, list):
            arguments += [option, *map(str, value)]
        elif value is not None:
            arguments.append(f"{option}={value}")
    return arguments


def config_text(name: str, command: str, values: Mapping[str, Any]) -> str:
    """Options as YAML, so that the command can be run again; paths of this machine are left out, by name.

    Args:
        name: The file's.
        command: Which command takes it.
        values: Values of YAML by option, None where nothing was chosen.
    """
    stated = {option.replace("_", "-"): value for option, value in values.items() if value is not None}
    of_machine = [option for option, value in stated.items() if isinstance(value, str) and Path(value).is_absolute()]
    lines = [f"# resnet-lstm {command} --config {name} --output DIR repeats the run."]
    lines += [f"# --{option} was a path of the machine: give it again." for option in of_machine]
    kept = {option: value for option, value in stated.items() if option not in of_machine}
    return "\n".join(lines) + "\n" + yaml.safe_dump(kept, sort_keys=False)
