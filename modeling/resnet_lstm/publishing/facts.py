"""What a model card tells that neither the figures nor the configuration hold, kept beside the weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from ..data.video_folder import SPLITS, VideoFolder
from ..whole_file import write_texts
from .errors import PublishingError

FACTS_FILE = "training.json"


class TaughtFacts(TypedDict):
    """What the card tells of a model that was taught classes by a few clips.

    Attributes:
        dataset: What it had been trained on before, as a reader knows it.
        classes: The names of the classes that it was taught.
        kept: How many others it knows, from before.
    """

    dataset: str
    classes: list[str]
    kept: int


class ModelFacts(TypedDict):
    """What the card tells of the model.

    Attributes:
        repo_id: Where it lives on the Hub, `owner/name`.
        base_model: The backbone's repository on the Hub, or None where it is not from there.
        head: What the head does, for example `"an LSTM (1 layer of 512 units) reads them in order"`.
        num_frames: How many frames of a clip it looks at.
        parameters: How many weights it has, backbone included.
        license: A licence identifier of the Hub; `apache-2.0` if left out.
        temperature: What the logits are divided by.
        known_threshold: The `known_score` below which a clip is taken for none of the actions; None, or left out,
            where the model does not tell.
        background: The class of clips that show none of the actions; None, or left out, where there is no such class.
        taught: How it was taught by a few clips after its training, if it was.
    """

    repo_id: str
    base_model: str | None
    head: str
    num_frames: int
    parameters: int
    license: NotRequired[str]
    temperature: NotRequired[float]
    known_threshold: NotRequired[float | None]
    background: NotRequired[str | None]
    taught: NotRequired[TaughtFacts]


class DatasetFacts(TypedDict):
    """What the card tells of the data.

    Attributes:
        name: As a reader knows it, for example `"UCF-101, 25 classes"`.
        repo_id: Where it lives on the Hub, or None.
        is_ucf101: Whether the clips are UCF-101's, with its terms and its citation.
        clips: How many clips each split has.
        groups: How many groups each split has; left out where they are not known.
    """

    name: str
    repo_id: str | None
    is_ucf101: bool
    clips: Mapping[str, int]
    groups: NotRequired[Mapping[str, int]]


class CardFacts(TypedDict):
    """All that a model card is written from, beside the figures.

    Attributes:
        model: The model in facts.
        dataset: The data in facts.
        training: Settings and outcome of the training, name to value, shown as they are.
        card_sha256: Of the card that was written from these facts; it tells a card that was edited since.
    """

    model: ModelFacts
    dataset: DatasetFacts
    training: Mapping[str, Any]
    card_sha256: NotRequired[str]


def dataset_facts(folder: VideoFolder) -> DatasetFacts:
    """A dataset in facts."""
    name = folder.info.get("name", folder.root.name)
    return DatasetFacts(
        name=name,
        repo_id=folder.hub_id,
        is_ucf101=name.startswith("UCF-101"),
        clips={split: len(folder.clips(split)) for split in SPLITS},
        groups={split: len({folder.group_of(clip) for clip in folder.clips(split)}) for split in SPLITS},
    )


def write_facts(directory: Path, facts: CardFacts, card: str) -> None:
    """Write `training.json`, and in it which card was written with it."""
    content = {**facts, "card_sha256": sha256_of(card)}
    write_texts(directory, {FACTS_FILE: json.dumps(content, indent=2, ensure_ascii=False) + "\n"})


def read_facts(directory: Path) -> CardFacts | None:
    """The facts of a model directory; None where it has none.

    Raises:
        PublishingError: The file is damaged.
    """
    facts = read_json(directory / FACTS_FILE)
    if facts is not None and not {"model", "dataset", "training"} <= facts.keys():
        raise PublishingError(f"{directory / FACTS_FILE}: must hold model, dataset and training. Train again.")
    return facts  # type: ignore[return-value]


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in a JSON file; None where there is no such file.

    Raises:
        PublishingError: It is not JSON, or no object.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PublishingError(f"{path}: not valid JSON ({error}). Write it again.") from error
    if not isinstance(content, dict):
        raise PublishingError(f"{path}: must hold a JSON object, found a {type(content).__name__}.")
    return content


def sha256_of(text: str) -> str:
    """The SHA-256 of a text in UTF-8, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
