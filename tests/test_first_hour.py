"""The notebook of the first hour, executed from top to bottom without network."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

NOTEBOOK = Path(__file__).parents[1] / "docs" / "first-hour.ipynb"


def tagged(notebook: NotebookNode, tag: str) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if tag in cell.metadata.get("tags", [])]


@pytest.fixture(scope="module")
def executed(tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> NotebookNode:
    """The notebook with its outputs; what installs, serves or uploads is left out, as its cells are tagged."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    [parameters] = tagged(notebook, "parameters")
    parameters.source = f"CLIPS = None\nBACKBONE = {str(tiny_backbone)!r}"
    folder = tmp_path_factory.mktemp("first-hour")
    client = NotebookClient(
        notebook,
        timeout=180,
        kernel_name="python3",
        resources={"metadata": {"path": str(folder)}},
        skip_cells_with_tag="skip-execution",
    )
    return client.execute()


def test_it_is_kept_without_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert [cell.source for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")] == []


def test_every_cell_runs_and_shows_what_it_promises(executed: NotebookNode) -> None:
    skipped = tagged(executed, "skip-execution")
    ran = [cell for cell in executed.cells if cell.cell_type == "code" and cell not in skipped]
    assert all(cell.execution_count for cell in ran)
    shown = {kind for cell in ran for output in cell.outputs for kind in output.get("data", {})}
    assert {"text/html", "image/png", "text/markdown"} <= shown
    text = "".join(output.get("text", "") for cell in ran for output in cell.outputs)
    assert "top-1" in text


def test_only_what_installs_serves_or_uploads_is_not_run(executed: NotebookNode) -> None:
    assert [cell.source.split()[0] for cell in tagged(executed, "skip-execution")] == [
        "%pip",
        "%load_ext",
        "publish(publication,",
    ]
