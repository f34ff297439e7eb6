from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard

from resnet_lstm.data import VideoFolder
from resnet_lstm.publishing import PublishingError, prepare_dataset

REPO = "someone/actions"


@pytest.fixture
def dataset_dir(tiny_dataset: VideoFolder, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_dataset.root, tmp_path / "dataset"))


def test_metadata_only_is_the_default(dataset_dir: Path) -> None:
    publication = prepare_dataset(dataset_dir, REPO, license="cc-by-4.0")
    assert not [path for path in publication.files if path.endswith(".mp4")]
    assert not publication.warnings
    with_clips = prepare_dataset(dataset_dir, REPO, license="cc-by-4.0", with_clips=True)
    assert len([path for path in with_clips.files if path.endswith(".mp4")]) == 40
    assert "must be yours to publish" in with_clips.warnings[0]


@pytest.mark.parametrize("with_clips", [False, True])
def test_the_card_tells_what_is_there(dataset_dir: Path, with_clips: bool) -> None:
    card: Any = DatasetCard(prepare_dataset(dataset_dir, REPO, license="cc-by-4.0", with_clips=with_clips).card)
    assert (card.data.license, card.data.size_categories) == ("cc-by-4.0", ["n<1K"])
    assert card.data.task_categories == ["video-classification"]
    paths = [file["path"] for file in card.data.configs[0]["data_files"]]
    assert paths == [f"{split}/{'**' if with_clips else 'metadata.csv'}" for split in ("train", "validation", "test")]
    assert f'load_dataset("{REPO}")' in card.text
    assert "Leakage: groups unknown" in card.text
    for example in re.findall(r"```python\n(.*?)```", card.text, re.DOTALL):
        compile(example, "README.md", "exec")


def test_a_card_that_is_there_keeps_its_text(dataset_dir: Path) -> None:
    (dataset_dir / "README.md").write_text("---\nlicense: mit\n---\nFilmed in my garden.\n")
    card: Any = DatasetCard(prepare_dataset(dataset_dir, REPO).card)
    assert card.text.strip() == "Filmed in my garden."
    assert card.data.license == "mit"
    assert card.data.configs


def test_what_is_not_fit_is_refused(dataset_dir: Path) -> None:
    with pytest.raises(PublishingError, match="names no licence"):
        prepare_dataset(dataset_dir, REPO)
    clip = next(dataset_dir.rglob("*.mp4"))
    clip.unlink()
    with pytest.raises(PublishingError, match=clip.name):
        prepare_dataset(dataset_dir, REPO, license="mit", with_clips=True)
    info = json.loads((dataset_dir / "dataset.json").read_text())
    info["counts"]["train"]["darken"]["clips"] += 1
    (dataset_dir / "dataset.json").write_text(json.dumps(info))
    with pytest.raises(PublishingError, match="train clips of darken"):
        prepare_dataset(dataset_dir, REPO, license="mit")
    (dataset_dir / "dataset.json").unlink()
    with pytest.raises(PublishingError, match="names no dataset"):
        prepare_dataset(dataset_dir, REPO, license="mit")
    with pytest.raises(PublishingError, match="not a VideoFolder"):
        prepare_dataset(dataset_dir / "train", REPO)
