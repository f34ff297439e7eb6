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


# A file or a function that is longer is read by nobody as a whole.
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 60  # without its docstring
LONGER_FILES = {"modeling_resnet_lstm.py"}  # as in transformers, the classes of a model are in one file
SOURCES = [path for folder in ("modeling", "space", "scripts") for path in (PACKAGE.parents[1] / folder).rglob("*.py")]


def test_no_file_is_too_long_to_be_read() -> None:
    assert {path.name for path in SOURCES if len(path.read_text().splitlines()) > MOST_LINES_OF_A_FILE} == LONGER_FILES


def test_no_function_is_too_long_to_be_read() -> None:
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
                lines = first.lineno - node.body[0].lineno if first is not node.body[0] else 0
                assert node.end_lineno is not None
                assert node.end_lineno - node.lineno + 1 - lines <= MOST_LINES_OF_A_FUNCTION, f"{path}: {node.name}"
