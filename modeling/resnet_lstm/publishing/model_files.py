"""A trained model's directory -> what is published of it, or why it is not."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from huggingface_hub import ModelCard

from .card_check import check_model_card
from .cards import CARD_FILE, parse_card
from .errors import PublishingError
from .eval_results import eval_result_files
from .facts import FACTS_FILE, CardFacts, read_facts, read_json, sha256_of
from .model_card import model_card
from .publication import Publication

CONFIG_FILE = "config.json"
METRICS_FILE = "metrics.json"
BASELINE_METRICS_FILE = "baseline/metrics.json"
BENCHMARK_FILE = "benchmark.json"
# What Inference Endpoints run, and what they install for it.
HANDLER = Path(__file__).with_name("handler.py")
REQUIREMENTS_FILE = "requirements.txt"
ENDPOINT_REQUIREMENTS = b"av>=18.0\ntorchvision>=0.21\ntransformers>=5.16,<6\n"
# What a model directory holds for its users. Logs, caches and whatever else lies there stays at home.
PUBLISHED = (
    "*.safetensors",
    "*.json",
    "*.jsonl",
    "*.py",
    "*.csv",
    "*.md",
    "*.png",
    "LICENSE*",
    "baseline/*.json",
    "baseline/*.csv",
    "baseline/*.png",
    "evaluation-*/*",
    "onnx/*",
    "openvino/*",
)
REQUIRED = (CONFIG_FILE, "model.safetensors", "video_preprocessor_config.json", METRICS_FILE)
PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.pickle", "*.ckpt")
UNFINISHED = ("checkpoint*", "refit", "best.safetensors", "unfinished")


def prepare_model(
    directory: str | Path, repo_id: str, *, dataset: str | None = None, license: str | None = None
) -> Publication:
    """Collect a model's files, and write its card for the repository where it will live.

    The card is written anew from `metrics.json`, `baseline/metrics.json`, `benchmark.json` and `training.json`, with
    the repository's name in its examples. A card that was edited since the training is published as it is. Nothing in
    the directory is changed.

    Args:
        directory: Made by `train_classifier`.
        repo_id: `owner/name`.
        dataset: The dataset's repository on the Hub, for the card.
        license: A licence identifier of the Hub, for the card; by default the one of `training.json`, or apache-2.0.

    Raises:
        PublishingError: A file is missing or of a kind that is not published, the card names no licence or no dataset,
            or its figures are not those of the metrics.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise PublishingError(f"{directory}: no such directory. Train a model first.")
    _check_files(directory)
    figures = _read_figures(directory)
    facts = read_facts(directory)
    text = _read_card(directory)
    old = None if text is None else parse_card(text, directory / CARD_FILE, ModelCard)
    if old is not None:
        _check_card(old, figures, facts)

    warnings = []
    if facts is not None and (text is None or sha256_of(text) == facts.get("card_sha256")):
        card = _written_anew(directory, figures, facts, repo_id, dataset, license)
    elif old is not None:
        why = f"was edited since {FACTS_FILE} was written" if facts else f"stands without {FACTS_FILE}"
        warnings.append(f"{CARD_FILE} {why}: it is published as it is; check the names in its examples")
        card = old
        card.data.datasets = [dataset] if dataset else card.data.datasets
        card.data.license = license or card.data.license
    else:
        raise PublishingError(f"{directory}: has neither {CARD_FILE} nor {FACTS_FILE} to write one from. Train again.")
    _check_licence_and_dataset(card)
    _check_card(card, figures, facts)

    files: dict[str, Path | bytes] = {HANDLER.name: HANDLER, REQUIREMENTS_FILE: ENDPOINT_REQUIREMENTS}
    files |= {path: directory / path for path in _published(directory)}
    files[CONFIG_FILE] = _config_of_no_machine(directory / CONFIG_FILE)
    left_out = sorted(path for path in _all_files(directory) if path not in files)
    if left_out:
        more = f" and {len(left_out) - 5} more" if len(left_out) > 5 else ""
        warnings.append(f"left out, since no user of the model needs them: {', '.join(left_out[:5])}{more}")
    files |= {CARD_FILE: str(card).encode("utf-8"), **eval_result_files(figures.metrics, card.data.datasets)}
    return Publication("model", files, tuple(warnings))


def _config_of_no_machine(path: Path) -> bytes:
    """A configuration without the backbone's local path, which those of earlier versions hold."""
    config = read_json(path) or {}
    config.get("backbone_config", {}).pop("_name_or_path", None)
    return f"{json.dumps(config, indent=2, sort_keys=True)}\n".encode()


class _Figures(NamedTuple):
    """What was measured: a card is written from it and held against it."""

    metrics: dict[str, Any]
    baseline: dict[str, Any] | None
    benchmark: dict[str, Any] | None


def _read_figures(directory: Path) -> _Figures:
    metrics = read_json(directory / METRICS_FILE)
    assert metrics is not None  # noqa: S101 - it is one of the required files
    return _Figures(metrics, read_json(directory / BASELINE_METRICS_FILE), read_json(directory / BENCHMARK_FILE))


def _written_anew(
    directory: Path, figures: _Figures, facts: CardFacts, repo_id: str, dataset: str | None, license: str | None
) -> Any:
    facts["model"]["repo_id"] = repo_id
    if dataset:
        facts["dataset"]["repo_id"] = dataset
    if license:
        facts["model"]["license"] = license
    pictures = [path.name for path in directory.glob("*.png")]
    return parse_card(model_card(facts, *figures, pictures), CARD_FILE, ModelCard)


def _check_card(card: Any, figures: _Figures, facts: CardFacts | None) -> None:
    check_model_card(card, figures.metrics, figures.baseline, figures.benchmark, facts)


def _check_files(directory: Path) -> None:
    for pattern in UNFINISHED:
        for path in directory.glob(pattern):
            raise PublishingError(f"{path}: the training has not ended. Resume it first.")
    for name in REQUIRED:
        if not (directory / name).is_file():
            raise PublishingError(f"{directory}: has no {name}, so it is no model that was trained and tested.")
    for pattern in PICKLES:
        for path in directory.glob(pattern):
            raise PublishingError(f"{path}: a pickle can run code when it is loaded. Save safetensors only.")
    config = read_json(directory / CONFIG_FILE) or {}
    for reference in config.get("auto_map", {}).values():
        module = directory / f"{str(reference).split('.')[0]}.py"
        if not module.is_file():
            raise PublishingError(f"{module}: named in config.json, but not there. Save the model again.")


def _check_licence_and_dataset(card: Any) -> None:
    if not card.data.license:
        raise PublishingError(f"{CARD_FILE} names no licence. Add `license:` to its metadata.")
    named = card.data.datasets or [result.dataset_name for result in card.data.eval_results or ()]
    if not any(named):
        raise PublishingError(f"{CARD_FILE} names no dataset. Add `datasets:` to its metadata.")


def _read_card(directory: Path) -> str | None:
    path = directory / CARD_FILE
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _published(directory: Path) -> list[str]:
    return sorted(
        path
        for path in _all_files(directory)
        if any(PurePosixPath(path).match(pattern) and path.count("/") == pattern.count("/") for pattern in PUBLISHED)
    )


def _all_files(directory: Path) -> Iterator[str]:
    """All files but hidden ones, by their path in the directory."""
    for path in directory.rglob("*"):
        parts = path.relative_to(directory).parts
        if path.is_file() and not any(part.startswith(".") or part == "__pycache__" for part in parts):
            yield "/".join(parts)
