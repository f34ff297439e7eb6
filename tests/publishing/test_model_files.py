from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from resnet_lstm.publishing import PublishingError, prepare_model

REPO = "someone/tiny"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_the_card_is_written_for_the_repository(trained_dir: Path) -> None:
    benchmark = {"figures": [{"name": "a clip, CPU", "median": 1.25, "relative_to": "limit"}]}
    (trained_dir / "benchmark.json").write_text(json.dumps(benchmark))
    publication = prepare_model(trained_dir, REPO, dataset="someone/actions", license="mit")
    card: Any = ModelCard(publication.card)
    assert (card.data.datasets, card.data.license) == (["someone/actions"], "mit")
    assert f'from_pretrained("{REPO}"' in card.text
    assert "runs/tiny" not in publication.card
    assert "| a clip, CPU | 1.25 | limit |" in card.text
    assert not publication.warnings
    assert publication.files["benchmark.json"] == trained_dir / "benchmark.json"


def test_a_missing_card_is_written(trained_dir: Path) -> None:
    with_card = prepare_model(trained_dir, REPO).card
    (trained_dir / "README.md").unlink()
    assert prepare_model(trained_dir, REPO).card == with_card


def test_an_edited_card_is_kept(trained_dir: Path) -> None:
    edit(
        trained_dir / "README.md",
        "## Limits and misuse",
        "## A word of mine\n\nIt likes cats.\n\n## Limits and misuse",
    )
    publication = prepare_model(trained_dir, REPO, dataset="someone/actions")
    assert "It likes cats." in publication.card
    data: Any = ModelCard(publication.card).data
    assert data.datasets == ["someone/actions"]
    assert any("was edited" in warning for warning in publication.warnings)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda root: edit(root / "README.md", "license: apache-2.0\n", ""), "names no licence"),
        (lambda root: edit(root / "README.md", "name: Three actions", "name: ''"), "names no dataset"),
        (lambda root: edit(root / "README.md", "license: apache", "[license: apache"), "its metadata cannot be read"),
        (lambda root: (root / "metrics.json").unlink(), "has no metrics.json"),
        (lambda root: (root / "metrics.json").write_text("{"), "metrics.json: not valid JSON"),
        (lambda root: (root / "modeling_resnet_lstm.py").unlink(), "modeling_resnet_lstm.py: named in config.json"),
        (lambda root: (root / "pytorch_model.bin").touch(), "a pickle can run code"),
        (lambda root: (root / "checkpoint.safetensors").touch(), "the training has not ended"),
        (
            lambda root: [(root / name).unlink() for name in ("README.md", "training.json")],
            "has neither README.md nor",
        ),
    ],
)
def test_what_is_not_fit_is_refused(trained_dir: Path, spoil: Callable[[Path], object], says: str) -> None:
    spoil(trained_dir)
    with pytest.raises(PublishingError, match=says) as refused:
        prepare_model(trained_dir, REPO)
    assert "\n" not in str(refused.value)
