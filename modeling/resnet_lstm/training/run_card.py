"""What a run writes of its model for people: the card, and the facts behind it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..configuration_resnet_lstm import ResNetLSTMConfig
from ..data.video_folder import VideoFolder
from ..evaluation import EvaluationReport, paired_difference
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..publishing import ModelFacts, dataset_facts, write_model_card
from ..whole_file import written_whole
from .loop import TrainingResult
from .output_directory import BASELINE_FOLDER
from .settings import TrainingSettings


def write_card(
    output_dir: Path,
    model: ResNetLSTMForVideoClassification,
    folder: VideoFolder,
    report: EvaluationReport,
    baseline: EvaluationReport | None,
    settings: TrainingSettings,
    result: TrainingResult,
    base_model: str | None,
    tuning: Mapping[str, str],
) -> None:
    """Write the model card and `training.json`, and the baseline's figures with the difference from them."""
    baseline_figures = None
    if baseline is not None:
        difference = paired_difference(report.logits, baseline.logits, report.labels, report.groups)
        baseline_figures = {
            **baseline.to_dict(),
            "difference": {name: interval.to_dict() for name, interval in difference.items()},
        }
        _write_json(output_dir / BASELINE_FOLDER / "metrics.json", baseline_figures)
    write_model_card(
        output_dir,
        metrics=report.to_dict(),
        model_facts=ModelFacts(
            repo_id=report.model_name if output_dir.is_absolute() else output_dir.as_posix(),
            base_model=base_model,
            head=_head_in_words(model.config),
            num_frames=model.config.num_frames,
            parameters=model.num_parameters(),
            temperature=model.config.temperature,
            known_threshold=model.config.known_threshold,
            background=model.config.background_label,
        ),
        training={
            **asdict(settings),
            **tuning,
            "best epoch": "none: the LSTM has no say" if result.best_epoch is None else result.best_epoch,
            "epochs trained": len(result.history),
            "seconds of training": round(result.seconds, 1),
        },
        baseline=baseline_figures,
        dataset=dataset_facts(folder),
    )


def _head_in_words(config: ResNetLSTMConfig) -> str:
    read = "a classifier reads each frame"
    if config.temporal_change:
        lags = " and ".join(str(lag) for lag in config.lags)
        read += f" and what has changed since {'the one' if config.lags == [1] else f'those {lags}'} before"
        if config.motion_stage_sizes:
            read += ", in the whole picture and in bands of it"
    if not config.num_lstm_layers:
        return read
    layers = f"{config.num_lstm_layers} layer{'s' if config.num_lstm_layers > 1 else ''}"
    return f"{read}, beside it an LSTM ({layers} of {config.lstm_hidden_size} units) reads them in order"


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    with written_whole(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
