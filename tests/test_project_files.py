"""The files around the package agree with it and with one another."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import resnet_lstm
from resnet_lstm.commands.space import parse_arguments
from resnet_lstm.publishing.model_files import ENDPOINT_REQUIREMENTS

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_one_version_is_told_everywhere() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest
    assert citation["version"] == newest[1] == resnet_lstm.__version__


def test_the_readme_holds_on_a_package_index() -> None:
    text = re.sub(r"```.*?```", "", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    targets = re.findall(r"\]\(([^)]+)\)", text) + re.findall(r"(?:src|href)=\"([^\"]+)\"", text)
    assert [target for target in targets if not target.startswith(("https://", "#"))] == []


def test_the_readme_names_files_that_there_are() -> None:
    named = re.findall(r"`((?:docs|space)/[\w.-]+)`", (ROOT / "README.md").read_text())
    assert named
    assert [name for name in named if not (ROOT / name).is_file()] == []


def test_every_supported_python_is_tested(project: dict[str, Any]) -> None:
    classifiers = [
        re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", each) for each in project["classifiers"]
    ]
    supported = {match[1] for match in classifiers if match}
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert set(workflow["jobs"]["tests"]["strategy"]["matrix"]["python"]) == supported
    assert project["requires-python"] == f">={min(supported)}"


def test_every_dependency_says_from_which_version_on(project: dict[str, Any]) -> None:
    extras = [each for extra in project["optional-dependencies"].values() for each in extra]
    dependencies = [each for each in (*project["dependencies"], *extras) if not each.startswith("resnet-lstm[")]
    assert [each for each in dependencies if ">=" not in each] == []


def test_every_page_of_the_documentation_is_in_its_menu() -> None:
    site = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    in_menu = {page for entry in site["nav"] for page in entry.values()}
    assert in_menu == {path.name for path in (ROOT / "docs").glob("*.md")}


def test_what_is_published_needs_what_the_package_needs(project: dict[str, Any]) -> None:
    space = [line for line in (ROOT / "space/requirements.txt").read_text().splitlines() if not line.startswith("#")]
    endpoint = ENDPOINT_REQUIREMENTS.decode().splitlines()
    assert [each for each in (*space, *endpoint) if each not in project["dependencies"]] == []


def test_the_image_starts_a_command_that_there_is() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    entry, model = (
        json.loads(next(line for line in lines if line.startswith(f"{name} ")).removeprefix(name))
        for name in ("ENTRYPOINT", "CMD")
    )
    assert entry[:2] == ["resnet-lstm", "space"]
    args = parse_arguments([*entry[2:], *model])
    assert (args.model, args.port) == ("/model", 7860)


def test_the_image_is_built_from_files_that_there_are() -> None:
    copied = re.findall(r"^COPY (.+) \S+$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    names = {name for line in copied for name in line.split()}
    assert names == set(allowed)
    assert [name for name in names if not (ROOT / name).exists()] == []
