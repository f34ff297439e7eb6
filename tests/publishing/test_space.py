from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from huggingface_hub import SpaceCard
from packaging.requirements import Requirement
from packaging.version import Version

import resnet_lstm
from resnet_lstm.data import DatasetError
from resnet_lstm.publishing import PublishingError, stage_space

SPACE = Path(__file__).parents[2] / "space"


def test_a_staged_space_carries_the_package(tmp_path: Path) -> None:
    staged = stage_space(SPACE, tmp_path / "staged")
    package = Path(resnet_lstm.__file__).parent
    assert (staged / "app.py").read_bytes() == (SPACE / "app.py").read_bytes()
    assert {path.relative_to(staged / "resnet_lstm") for path in (staged / "resnet_lstm").rglob("*.py")} == {
        path.relative_to(package) for path in package.rglob("*.py")
    }
    assert not list(staged.rglob("__pycache__"))
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    code = f"import sys; sys.path.insert(0, {str(staged)!r}); import resnet_lstm.inference as i; print(i.__file__)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert run.stdout.startswith(str(staged))


def test_nothing_is_staged_over_other_files_or_from_other_folders(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").touch()
    with pytest.raises(DatasetError, match="taken"):
        stage_space(SPACE, tmp_path / "taken")
    with pytest.raises(PublishingError, match=r"has no README\.md"):
        stage_space(tmp_path, tmp_path / "new")


def test_the_front_matter_is_complete_and_names_what_is_there() -> None:
    data = SpaceCard.load(SPACE / "README.md").data
    assert (data.sdk, data.python_version, data.license) == ("gradio", "3.12", "apache-2.0")
    assert (SPACE / data.app_file).is_file()
    assert len(data.short_description) <= 60
    assert all(
        data.to_dict()[key] for key in ("title", "emoji", "colorFrom", "colorTo", "sdk_version", "models", "tags")
    )
    gradio = pytest.importorskip("gradio")
    assert Version(gradio.__version__) >= Version(data.sdk_version)


def test_the_requirements_are_those_of_the_package_without_gradio() -> None:
    import tomllib

    lines = (SPACE / "requirements.txt").read_text().splitlines()
    listed = {Requirement(line).name: Requirement(line) for line in lines if line and not line.startswith("#")}
    assert "gradio" not in listed
    project = tomllib.loads((SPACE.parent / "pyproject.toml").read_text())["project"]
    wanted = {r.name: r for r in map(Requirement, project["dependencies"])}
    assert all(requirement.specifier == wanted[name].specifier for name, requirement in listed.items())


def test_the_requirements_hold_whatever_the_page_imports_of_the_package() -> None:
    """The package travels without its own dependencies: what is missing here is missing on the Hub."""
    import ast
    import tomllib

    used = {
        str(node.module)
        for path in SPACE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("resnet_lstm")
    }
    code = "import sys, importlib\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code, *sorted(used)], capture_output=True, text=True, check=True)
    distributions = packages_distributions()
    imported = {name for module in run.stdout.split() for name in distributions.get(module, ())}
    project = tomllib.loads((SPACE.parent / "pyproject.toml").read_text())["project"]
    needed = {Requirement(line).name for line in project["dependencies"]} & imported
    lines = (SPACE / "requirements.txt").read_text().splitlines()
    assert needed <= {Requirement(line).name for line in lines if not line.startswith("#")}
