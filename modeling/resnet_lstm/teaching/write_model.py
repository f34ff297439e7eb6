"""A taught model -> a complete model directory, as a training leaves one."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from transformers.utils import cached_file

from ..data.video_folder import staged_folder
from ..publishing import write_model_card
from ..publishing.facts import FACTS_FILE, CardFacts, DatasetFacts, ModelFacts, TaughtFacts, read_facts
from ..video_processing_resnet_lstm import ResNetLSTMVideoProcessor
from .errors import TeachingError
from .teach import SPLIT, TaughtModel

logger = logging.getLogger(__name__)


def require_new_directory(directory: Path) -> None:
    """Raise a `TeachingError` where there is something."""
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise TeachingError(f"{directory}: exists. Choose a new folder for the taught model.")


def write_taught_model(
    taught: TaughtModel, processor: ResNetLSTMVideoProcessor, directory: str | Path, taught_from: str
) -> None:
    """Write weights, configuration, processor, code, figures, pictures and card: all of it or, after an error, none.

    Args:
        taught: What came of teaching.
        processor: The processor.
        directory: The folder to make.
        taught_from: The directory or Hub id of the model that was taught. The card is written from the facts that a
            training left there; where there are none, there is no card, and the model cannot be published.

    Raises:
        TeachingError: The folder holds something.
    """
    directory = Path(directory)
    require_new_directory(directory)
    facts = _facts_of(taught_from)
    if facts is None:
        logger.warning("%s: has no %s, so no card is written.", taught_from, FACTS_FILE)
    name = directory.resolve().name  # also of "."
    report = replace(taught.report, model_name=name)
    with staged_folder(directory.resolve()) as staging:
        taught.model.save_pretrained(staging)
        processor.save_pretrained(staging)
        report.write(staging)
        if facts is not None:
            write_model_card(
                staging,
                metrics=report.to_dict(),
                model_facts=_model_facts(taught, facts, name if directory.is_absolute() else directory.as_posix()),
                training={
                    "taught from": _public_name(taught_from),
                    "classes taught": len(taught.classes),
                    "clips": len(taught.clips),
                    "seconds of teaching": round(taught.seconds, 1),
                },
                baseline=None,
                dataset=_dataset_facts(taught, facts),
            )


def _facts_of(name: str) -> CardFacts | None:
    """What a training, or a teaching, has told of a model."""
    path = cached_file(
        name,
        FACTS_FILE,
        _raise_exceptions_for_gated_repo=False,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_connection_errors=False,
    )
    return None if path is None else read_facts(Path(path).parent)


def _public_name(name: str) -> str:
    """A Hub id as it is; of a folder no more than its own name."""
    return Path(name).resolve().name if Path(name).exists() else name


def _model_facts(taught: TaughtModel, facts: CardFacts, repo_id: str) -> ModelFacts:
    config, before = taught.model.config, facts["model"].get("taught")
    origin = facts["dataset"]["name"] if before is None else f"{before['dataset']}, and {facts['dataset']['name']}"
    return {
        **facts["model"],
        "repo_id": repo_id,
        "parameters": taught.model.num_parameters(),
        "temperature": config.temperature,
        "known_threshold": config.known_threshold,
        "background": config.background_label,
        "taught": TaughtFacts(dataset=origin, classes=taught.classes, kept=config.num_labels - len(taught.classes)),
    }


def _dataset_facts(taught: TaughtModel, facts: CardFacts) -> DatasetFacts:
    return DatasetFacts(
        name=taught.report.dataset_name,
        repo_id=None,
        # The old clips' terms hold for what was learned from them.
        is_ucf101=facts["dataset"]["is_ucf101"],
        clips={SPLIT: len(taught.clips)},
        groups={SPLIT: len({clip.group for clip in taught.clips})},
    )
