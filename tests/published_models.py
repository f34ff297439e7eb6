"""A small model's directory as a training leaves it, without the training."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data.leakage import Leakage
from resnet_lstm.evaluation import EvaluationReport, evaluate_predictions, paired_difference
from resnet_lstm.publishing import DatasetFacts, ModelFacts, write_model_card
from resnet_lstm.whole_file import write_texts

NUM_CLIPS = 60


def report_of(names: list[str], seed: int, strength: float, **changes: Any) -> EvaluationReport:
    """The report on made-up logits of 60 clips; the more `strength`, the more of them are right."""
    labels = np.arange(NUM_CLIPS) % len(names)
    logits = np.random.default_rng(seed).normal(size=(NUM_CLIPS, len(names)))
    logits[np.arange(NUM_CLIPS), labels] += strength
    arguments: dict[str, Any] = {
        "split": "test",
        "split_scheme": "grouped",
        "leaky": False,
        "leakage": Leakage("test", NUM_CLIPS, groups_known=True, shared_group=(), same_bytes=()).to_dict(),
        "model_name": "tiny",
        "dataset_name": "Three actions",
        "num_resamples": 200,
    }
    groups = [f"{label}_g{clip // 12}" for clip, label in enumerate(labels)]
    files = [f"{clip}.mp4" for clip in range(NUM_CLIPS)]
    return evaluate_predictions(logits, labels, groups, files, names, **(arguments | changes))


def write_trained_model(
    directory: Path, model: ResNetLSTMForVideoClassification, processor: ResNetLSTMVideoProcessor
) -> Path:
    """Weights, configuration, processor, code, figures, pictures and card."""
    model.save_pretrained(directory)
    processor.save_pretrained(directory)
    names = [model.config.id2label[index] for index in range(model.config.num_labels)]
    report, baseline = report_of(names, 0, 2.0), report_of(names, 1, 1.5, model_name="mean of frames")
    report.write(directory)
    difference = paired_difference(report.logits, baseline.logits, report.labels, report.groups)
    figures = baseline.to_dict() | {"difference": {name: each.to_dict() for name, each in difference.items()}}
    write_json(directory / "baseline" / "metrics.json", figures)
    write_model_card(
        directory,
        metrics=report.to_dict(),
        model_facts=ModelFacts(
            repo_id="runs/tiny",
            base_model="microsoft/resnet-50",
            head="a classifier reads each frame",
            num_frames=processor.num_frames,
            parameters=model.num_parameters(),
            temperature=1.25,
        ),
        training={"learning_rate": 1e-3, "epochs trained": 3, "seconds of training": 12.5},
        baseline=figures,
        dataset=DatasetFacts(
            name="Three actions", repo_id=None, is_ucf101=False, clips={"train": 300, "validation": 60, "test": 60}
        ),
    )
    return directory


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file and the folder that it is in."""
    write_texts(path.parent, {path.name: json.dumps(content)})
