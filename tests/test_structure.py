"""The walls of the house: which part of the package may know which."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import resnet_lstm

PACKAGE = Path(resnet_lstm.__file__).parent
MAY_KNOW: dict[str, set[str]] = {
    "data": set(),
    "feeding": set(),
    "features": {"data", "feeding"},
    "inference": {"data", "feeding"},
    "exporting": {"data", "features", "inference"},
    "evaluation": {"data", "features", "inference"},
    "publishing": {"data", "evaluation"},
    "training": {"data", "evaluation", "features", "feeding", "inference", "publishing"},
    "teaching": {"data", "evaluation", "features", "inference", "publishing", "training"},
    "comparison": {"data", "evaluation", "features", "inference", "teaching", "training"},
    "benchmarking": {"data", "evaluation", "features", "feeding", "inference", "training"},
    "commands": {
        *("data", "feeding", "features", "inference", "exporting", "evaluation", "publishing", "training"),
        *("teaching", "comparison", "benchmarking"),
    },
}


def imports_of(path: Path) -> set[str]:
    """The dotted names that a file imports, relative ones resolved to `resnet_lstm...`."""
    package = ("resnet_lstm", *path.relative_to(PACKAGE).parent.parts)
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            names.add(f"{base}.{node.module or ''}".strip("."))
    return names


@pytest.mark.parametrize("part", MAY_KNOW)
def test_parts_know_only_what_lies_below_them(part: str) -> None:
    for path in (PACKAGE / part).rglob("*.py"):
        for name in imports_of(path):
            top, *below = name.split(".")
            assert top not in ("scripts", "space"), f"{path}: {name}"
            if top == "resnet_lstm" and below and below[0] in MAY_KNOW:
                assert below[0] in {part, *MAY_KNOW[part]}, f"{path}: {name}"


def test_every_part_is_under_the_walls() -> None:
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} == set(MAY_KNOW)
