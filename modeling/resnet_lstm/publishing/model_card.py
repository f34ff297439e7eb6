"""The model card, written from figures: no number in it is typed by hand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData

from ..evaluation.report import (
    figure_names,
    leakage_sentence,
)
from ..whole_file import write_texts
from .card_figures import RELIABILITY, calibration, figures, per_class, picture, split_of
from .cards import CARD_FILE
from .citations import LRCN, LSTM, RESNET, UCF101, bibtex
from .facts import CardFacts, DatasetFacts, ModelFacts, write_facts
from .markdown import bullets, table

TASK = "video-classification"
PICTURES = {
    "confusion_matrix.png": "Confusion matrix",
    "per_class_f1.png": "F1 by class",
    "training_curves.png": "Training curves",
}


def write_model_card(
    directory: str | Path,
    *,
    metrics: Mapping[str, Any],
    model_facts: ModelFacts,
    training: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
    dataset: DatasetFacts,
    benchmark: Mapping[str, Any] | None = None,
) -> Path:
    """Write `README.md`, the model card of the Hub, beside the weights, and `training.json`, the facts behind it.

    Args:
        directory: The folder that is published. Pictures already there (`confusion_matrix.png`, `per_class_f1.png`,
            `reliability.png`, `training_curves.png`) are shown.
        metrics: `EvaluationReport.to_dict()` of the model.
        model_facts: The model in facts.
        training: Settings and outcome of the training, name to value, shown as they are.
        baseline: `EvaluationReport.to_dict()` of the order-blind baseline on the same split, or None. May hold
            `"difference"`, the intervals of model minus baseline (`paired_difference`, each `to_dict()`).
        dataset: The data in facts.
        benchmark: Measured speed, `{"figures": [{"name", "median", "relative_to"}, ...]}`, or None.

    Returns:
        The path of the card.

    Raises:
        ValueError: The baseline was scored on other clips than the model.
    """
    directory = Path(directory)
    facts: CardFacts = {"model": model_facts, "dataset": dataset, "training": training}
    card = model_card(facts, metrics, baseline, benchmark, {path.name for path in directory.glob("*.png")})
    write_facts(directory, facts, card)
    write_texts(directory, {CARD_FILE: card})
    return directory / CARD_FILE


def model_card(
    facts: CardFacts,
    metrics: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
    benchmark: Mapping[str, Any] | None,
    pictures: Iterable[str],
) -> str:
    """The text of a model card; see `write_model_card`. `pictures` are the names of those that lie beside it."""
    if baseline is not None:
        _check_same_split(metrics, baseline)
    model_facts, dataset = facts["model"], facts["dataset"]
    pictures = set(pictures)
    sections = [
        _introduction(metrics, model_facts, dataset),
        _usage(model_facts, len(metrics["label_names"])),
        _data(metrics, model_facts, dataset),
        figures(metrics, baseline),
        per_class(metrics),
        *(picture(name, title) for name, title in PICTURES.items() if name in pictures),
        calibration(metrics, model_facts, RELIABILITY in pictures),
        _speed(benchmark),
        _limits(metrics, model_facts, dataset),
        _training(facts["training"]),
        bibtex(RESNET, LSTM, LRCN, *([UCF101] if dataset["is_ucf101"] else [])),
    ]
    data = _card_data(metrics, model_facts, dataset)
    body = "\n\n".join(section for section in sections if section)
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}\n"))


def _card_data(metrics: Mapping[str, Any], model_facts: ModelFacts, dataset: DatasetFacts) -> ModelCardData:
    return ModelCardData(
        library_name="transformers",
        pipeline_tag=TASK,
        license=model_facts.get("license", "apache-2.0"),
        base_model=model_facts["base_model"],
        datasets=[dataset["repo_id"]] if dataset["repo_id"] else None,
        metrics=["accuracy", "f1"],
        tags=[TASK, "action-recognition", "resnet", "lstm", "custom_code"],
        model_name=_model_name(model_facts),
        eval_results=_eval_results(metrics, dataset),
    )


def _eval_results(metrics: Mapping[str, Any], dataset: DatasetFacts) -> list[EvalResult]:
    """The figures as the Hub's widgets and leaderboards read them: the name alone must tell a leaky split."""
    metric_types = {"top1": "accuracy", "top5": "accuracy", "macro_f1": "f1"}
    names = figure_names(len(metrics["label_names"]))
    return [
        EvalResult(
            task_type=TASK,
            task_name="Video classification",
            dataset_type=dataset["repo_id"] or "videofolder",
            dataset_name=dataset["name"],
            dataset_split=metrics["split"],
            dataset_args={"split_scheme": metrics["split_scheme"], "leaky": metrics["leaky"]},
            metric_type=metric_type,
            metric_name=f"{names[name]}{' (leaky split)' if metrics['leaky'] else ''}",
            metric_value=round(metrics[name]["value"], 4),
        )
        for name, metric_type in metric_types.items()
    ]


def _introduction(metrics: Mapping[str, Any], model_facts: ModelFacts, dataset: DatasetFacts) -> str:
    base_model = model_facts["base_model"]
    backbone = f"[{base_model}](https://huggingface.co/{base_model})" if base_model else "a ResNet"
    return f"""# {_model_name(model_facts)}

A video action classifier: {backbone} turns each of
{model_facts["num_frames"]} frames of a clip into a feature vector, {model_facts["head"]}, and
the clip gets one of {len(metrics["label_names"])} actions. It has {model_facts["parameters"]:,} parameters and was
{_learned_from(model_facts, dataset)}. A clip's logits are the mean of its frames' logits, so each moment's share in
the decision is exact."""


def _learned_from(model_facts: ModelFacts, dataset: DatasetFacts) -> str:
    taught = model_facts.get("taught")
    if taught is None:
        return f"trained on {dataset['name']}"
    return f"trained on {taught['dataset']}, then taught by {sum(dataset['clips'].values())} {dataset['name']}"


def _usage(model_facts: ModelFacts, labels: int) -> str:
    repo_id = model_facts["repo_id"]
    return f"""## How to use

```python
from transformers import pipeline  # 5.16 or newer

classifier = pipeline("{TASK}", model="{repo_id}", trust_remote_code=True)
classifier("clip.mp4")
```

or, step by step:

```python
from transformers import AutoModelForVideoClassification, AutoVideoProcessor

processor = AutoVideoProcessor.from_pretrained("{repo_id}", trust_remote_code=True)
model = AutoModelForVideoClassification.from_pretrained("{repo_id}", trust_remote_code=True)
logits = model(**processor("clip.mp4", return_tensors="pt")).logits
```

live, a few frames at a time, each call going on where the last one ended:

```python
frames = processor(latest_frames, do_sample_frames=False, return_tensors="pt")  # [[T, H, W, 3] uint8]
outputs = model(**frames, lstm_state=lstm_state)  # None in the first call
lstm_state, answers = outputs.lstm_state, outputs.frame_logits.softmax(-1)  # [1, T, {labels}]
```

or on the command line, with the `resnet-lstm` package:

```bash
resnet-lstm predict {repo_id} clip.mp4
resnet-lstm predict {repo_id} match.mp4 --timeline
```

The processor decodes, samples and normalises a video as in training and in the evaluation below.
`trust_remote_code=True` runs the Python files of this repository: read them, and pin what you have read with
`revision="<commit>"`. It is not needed where `resnet_lstm` is installed and imported."""


def _data(metrics: Mapping[str, Any], model_facts: ModelFacts, dataset: DatasetFacts) -> str:
    groups = dataset.get("groups", {})
    rows = [(split, clips, groups.get(split, "not known")) for split, clips in dataset["clips"].items()]
    name = (
        f"[{dataset['name']}](https://huggingface.co/datasets/{dataset['repo_id']})"
        if dataset["repo_id"]
        else (dataset["name"])
    )
    return f"""## Training data and split

{name}, {split_of(metrics)}. {_what_the_split_tells(metrics)} Leakage: {leakage_sentence(metrics["leakage"])}.

{table(("split", "clips", "groups"), rows)}{_what_teaching_tells(model_facts)}"""


def _what_teaching_tells(model_facts: ModelFacts) -> str:
    taught = model_facts.get("taught")
    if taught is None:
        return ""
    text = (
        "\n\nThe figures are of the clips that the model was taught by, each recognised by what was learned from the "
        "other recordings."
    )
    if taught["kept"]:
        text += (
            f" The {taught['kept']} classes that it knew before are among the answers; how well their own clips are "
            "recognised was not measured again."
        )
    return text


def _what_the_split_tells(metrics: Mapping[str, Any]) -> str:
    if metrics["leaky"]:
        return (
            "**This split is leaky**: it tests on clips whose source video, or the very clip, was also trained on. "
            "The figures tell how well the model recognises videos it has seen, and say little about new ones."
        )
    if metrics["leakage"] is not None and not metrics["leakage"]["groups_known"]:
        return (
            "Which clips were cut from one source video is not known. Where such clips stand on both sides of the "
            "split, the figures are too high, and their intervals too narrow."
        )
    return "A group is the source video that clips were cut from; the split is made to keep each on one side."


def _speed(benchmark: Mapping[str, Any] | None) -> str:
    figures = (benchmark or {}).get("figures") or []
    if not figures:
        return ""
    rows = [(figure["name"], f"{figure['median']:.2f}", figure["relative_to"]) for figure in figures]
    note = "Ratios of what was measured side by side; `resnet-lstm benchmark` measures them on another machine."
    return f"## Speed\n\n{note}\n\n{table(('what', 'time, as a multiple', 'of'), rows)}"


def _limits(metrics: Mapping[str, Any], model_facts: ModelFacts, dataset: DatasetFacts) -> str:
    closed = (
        f"The set of actions is closed. Any video, of anything, gets one of the {len(metrics['label_names'])} "
        "classes, often with a high score: a score is no evidence that one of these actions takes place."
    )
    threshold = model_facts.get("known_threshold")
    if threshold is not None:
        closed += (
            f" What the model returns as `known_score` is some: below {threshold:.3f} (`config.known_threshold`) take "
            "the clip for none of them. The threshold is set so that one in twenty clips that do show one of the "
            "actions falls below it; it does not catch every clip that shows none of them."
        )
    background = model_facts.get("background")
    if background is not None:
        closed += (
            f" It has learned from clips of none of them, the class `{background}`: what is taken for that shows none."
        )
    limits = [
        closed,
        "Clips unlike the training data (camera, place, people, several actions at a time) are recognised worse than "
        "the figures above say.",
        "Videos show people. Classify them only with their consent or another lawful ground; do not use the model to "
        "watch, rate or identify persons, nor where a wrong answer can do harm.",
    ]
    if dataset["is_ucf101"]:
        if "taught" not in model_facts:
            limits.insert(1, "The actions are those of UCF-101, most of them sports and the care of the body.")
        limits.append(
            "The clips of UCF-101 were taken from YouTube and are offered for research; no licence for other use "
            "comes with them. Consider this before any use of the weights beyond research."
        )
    return f"## Limits and misuse\n\n{bullets(limits)}"


def _training(training: Mapping[str, Any]) -> str:
    rows = [(name, f"{value:g}" if isinstance(value, float) else value) for name, value in training.items()]
    return f"## Training\n\n{table(('setting', 'value'), rows)}"


def _check_same_split(metrics: Mapping[str, Any], baseline: Mapping[str, Any]) -> None:
    for key in ("dataset", "split", "split_scheme", "clips", "groups", "label_names"):
        if metrics[key] != baseline[key]:
            raise ValueError(
                f"the baseline's {key} is {baseline[key]!r}, the model's {metrics[key]!r}: their figures can only "
                "stand side by side on the same clips. Evaluate both on one split."
            )


def _model_name(model_facts: ModelFacts) -> str:
    return model_facts["repo_id"].split("/")[-1]
