from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import ModelCard

from resnet_lstm.data.leakage import Leakage
from resnet_lstm.evaluation import evaluate_predictions, paired_difference
from resnet_lstm.publishing import DatasetFacts, ModelFacts, write_model_card

NAMES = ["archery", "biking", "diving", "fencing", "knitting", "row|ing"]
LABELS = np.arange(60) % 6
GROUPS = [f"{label}_g{clip // 12}" for clip, label in enumerate(LABELS)]
MODEL: ModelFacts = {
    "repo_id": "someone/resnet-lstm-six",
    "base_model": "microsoft/resnet-50",
    "head": "an LSTM (1 layer, 512 wide)",
    "num_frames": 16,
    "parameters": 28_765_432,
}
DATASET: DatasetFacts = {
    "name": "Six actions",
    "repo_id": "someone/six-actions",
    "is_ucf101": False,
    "clips": {"train": 480, "validation": 61, "test": 60},
    "groups": {"train": 200, "validation": 29, "test": 30},
}
TRAINING = {"optimizer": "AdamW", "learning rate": 1e-3, "epochs": 20, "best epoch": 13}


def logits_of(seed: int, strength: float) -> np.ndarray:
    logits = np.random.default_rng(seed).normal(size=(60, 6))
    logits[np.arange(60), LABELS] += strength
    return logits


def metrics(seed: int = 0, strength: float = 1.5, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "split": "test",
        "split_scheme": "by group",
        "leaky": False,
        "leakage": Leakage("test", 60, groups_known=True, shared_group=(), same_bytes=()).to_dict(),
        "model_name": "resnet-lstm-six",
        "dataset_name": "Six actions",
        "num_resamples": 200,
    }
    files = [f"{clip}.mp4" for clip in range(60)]
    return evaluate_predictions(
        logits_of(seed, strength), LABELS, GROUPS, files, NAMES, **(arguments | changes)
    ).to_dict()


def card_text(directory: Path, figures: dict[str, Any], **changes: Any) -> str:
    arguments: dict[str, Any] = {
        "model_facts": MODEL,
        "training": TRAINING,
        "baseline": None,
        "dataset": DATASET,
    }
    path = write_model_card(directory, metrics=figures, **(arguments | changes))
    return path.read_text(encoding="utf-8")


def test_metadata_makes_the_round_trip(tmp_path: Path) -> None:
    figures = metrics()
    card_text(tmp_path, figures)
    data = ModelCard.load(tmp_path / "README.md").data
    assert (data.library_name, data.pipeline_tag, data.license) == (
        "transformers",
        "video-classification",
        "apache-2.0",
    )
    assert (data.base_model, data.datasets) == ("microsoft/resnet-50", ["someone/six-actions"])
    assert {result.metric_name: result.metric_value for result in data.eval_results} == {
        "top-1": round(figures["top1"]["value"], 4),
        "top-5": round(figures["top5"]["value"], 4),
        "macro F1": round(figures["macro_f1"]["value"], 4),
    }
    assert {result.dataset_split for result in data.eval_results} == {"test"}


def test_every_percentage_is_found_in_the_metrics(tmp_path: Path) -> None:
    figures, baseline = metrics(), metrics(1, 1.2, model_name="mean-pool")
    text = card_text(tmp_path, figures, baseline=baseline)

    def fractions(value: Any) -> list[float]:
        if isinstance(value, dict):
            return [number for each in value.values() for number in fractions(each)]
        if isinstance(value, list):
            return [number for each in value for number in fractions(each)]
        return [value] if isinstance(value, float) else []

    known = {f"{100 * number:.1f}" for number in fractions([figures, baseline])}
    shown = re.findall(r"(\d+\.\d) %", text) + re.findall(r"\[(\d+\.\d), (\d+\.\d)\]", text)
    numbers = {number for each in shown for number in ((each,) if isinstance(each, str) else each)}
    assert len(numbers) > 20
    assert numbers <= known


def test_headline_shows_the_figure_with_its_interval_beside_the_baseline(tmp_path: Path) -> None:
    figures, baseline = metrics(), metrics(1, 1.2, model_name="mean-pool")
    text = card_text(tmp_path, figures, baseline=baseline)
    for report, name in ((figures, "resnet-lstm-six"), (baseline, "mean-pool (order-blind baseline)")):
        row = next(line for line in text.splitlines() if line.startswith(f"| {name} |"))
        top1 = report["top1"]
        assert f"{100 * top1['value']:.1f} % [{100 * top1['low']:.1f}, {100 * top1['high']:.1f}]" in row


@pytest.mark.parametrize(
    ("strength", "baseline_strength", "conclusion"),
    [
        (6.0, 0.5, "; reading the change between frames and their order helps"),
        (0.5, 6.0, "worse than the baseline"),
        (1.5, 1.5, "do not show that reading change and order helps"),
    ],
)
def test_conclusion_on_the_order_of_frames_follows_the_paired_interval(
    strength: float, baseline_strength: float, conclusion: str, tmp_path: Path
) -> None:
    difference = paired_difference(logits_of(0, strength), logits_of(1, baseline_strength), LABELS, GROUPS)
    baseline = metrics(1, baseline_strength, model_name="mean-pool") | {
        "difference": {name: interval.to_dict() for name, interval in difference.items()}
    }
    text = card_text(tmp_path, metrics(0, strength), baseline=baseline)
    assert f"{100 * difference['top1'].value:+.1f} points" in text
    sentence = next(line for line in text.splitlines() if line.startswith("Model minus baseline"))
    assert conclusion in sentence


def test_the_worth_of_order_is_told(tmp_path: Path) -> None:
    altered = {"with frames shuffled": logits_of(1, 0.5), "without the LSTM": logits_of(0, 1.5)}
    figures = metrics(altered_logits=altered)
    (sentence,) = (line for line in card_text(tmp_path, figures).splitlines() if line.startswith("What reading order"))
    lost = figures["lost"]["with frames shuffled"]
    assert f"with frames shuffled {100 * lost['value']:.1f} points [{100 * lost['low']:.1f}, " in sentence
    assert "without the LSTM 0.0 points [0.0, 0.0]" in sentence
    assert sentence.endswith("An interval that holds 0 shows no loss.")
    assert "What reading order" not in card_text(tmp_path, metrics())


def test_baseline_of_other_clips_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="split_scheme is 'random'"):
        card_text(tmp_path, metrics(), baseline=metrics(split_scheme="random", leaky=True))
    assert not (tmp_path / "README.md").exists()


def test_leaky_split_is_called_leaky_in_every_table_and_in_the_metadata(tmp_path: Path) -> None:
    text = card_text(tmp_path, metrics(split_scheme="random", leaky=True))
    data = ModelCard.load(tmp_path / "README.md").data
    assert all("leaky" in result.metric_name for result in data.eval_results)
    assert "**This split is leaky**" in text
    headline = next(line for line in text.splitlines() if line.startswith("| resnet-lstm-six |"))
    assert "test split (random, leaky)" in headline
    assert "On the test split (random, leaky)." in text


def test_clean_split_is_never_called_leaky(tmp_path: Path) -> None:
    body = ModelCard(card_text(tmp_path, metrics())).text
    assert "leaky" not in body
    assert "of 60 test clips, 0 equal a training clip byte for byte; 0 share a group with a training clip" in body


def test_unknown_groups_are_no_promise_of_a_clean_split(tmp_path: Path) -> None:
    unknown = Leakage("test", 60, groups_known=False, shared_group=None, same_bytes=()).to_dict()
    text = card_text(tmp_path, metrics(leakage=unknown))
    assert "shared source videos cannot be ruled out" in text
    assert "the figures are too high" in text
    assert "keep each on one side" not in text


def test_only_pictures_that_exist_are_shown(tmp_path: Path) -> None:
    assert "![" not in card_text(tmp_path, metrics())
    (tmp_path / "training_curves.png").write_bytes(b"")
    text = card_text(tmp_path, metrics())
    assert "![Training curves](training_curves.png)" in text
    assert "confusion_matrix.png" not in text


def test_ucf101_brings_its_terms_and_its_citation(tmp_path: Path) -> None:
    assert "UCF" not in card_text(tmp_path, metrics())
    ucf101 = DATASET | {"is_ucf101": True}
    text = card_text(tmp_path, metrics(), dataset=ucf101)
    assert "no licence for other use" in text
    assert "soomro2012ucf101" in text


def test_dataset_that_is_not_on_the_hub_is_named_without_a_link(tmp_path: Path) -> None:
    text = card_text(tmp_path, metrics(), dataset=DATASET | {"repo_id": None})
    assert "datasets" not in ModelCard(text).data.to_dict()
    assert "Six actions" in text
    assert "[Six actions](" not in text


def test_settings_and_counts_are_shown_as_given(tmp_path: Path) -> None:
    text = card_text(tmp_path, metrics())
    for row in ("| learning rate | 0.001 |", "| best epoch | 13 |", "| validation | 61 | 29 |"):
        assert row in text
    assert "28,765,432 parameters" in text
    assert r"| row\|ing |" in text


def test_few_groups_are_told(tmp_path: Path) -> None:
    assert "Only" not in card_text(tmp_path, metrics())
    figures = metrics() | {"groups": 4}
    assert "Only 4 groups" in card_text(tmp_path, figures)


def test_example_code_names_the_model_and_compiles(tmp_path: Path) -> None:
    examples = re.findall(r"```python\n(.*?)```", card_text(tmp_path, metrics()), re.DOTALL)
    assert len(examples) == 3
    for example in examples:
        ast.parse(example)
    for example in examples[:2]:
        assert MODEL["repo_id"] in example


def test_card_is_replaced_whole(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("something else")
    assert "something else" not in card_text(tmp_path, metrics())
    assert sorted(file.name for file in tmp_path.iterdir()) == ["README.md", "training.json"]


def test_speed_is_shown_where_it_was_measured(tmp_path: Path) -> None:
    assert "## Speed" not in card_text(tmp_path, metrics())
    figures = [
        {"name": "limit", "median": 1.0, "relative_to": "limit"},
        {"name": "OpenVINO", "median": 1.4567, "relative_to": "limit"},
    ]
    text = card_text(tmp_path, metrics(), benchmark={"figures": figures})
    assert "| limit | 1.00 | limit |\n| OpenVINO | 1.46 | limit |" in text


def test_the_threshold_of_the_known_score_is_shown_where_there_is_one(tmp_path: Path) -> None:
    assert "known_score" not in card_text(tmp_path, metrics())
    text = card_text(tmp_path, metrics(), model_facts=MODEL | {"known_threshold": 0.3125})
    assert "below 0.312 (`config.known_threshold`)" in text[text.index("## Limits") :]


def test_the_background_is_named_where_there_is_one(tmp_path: Path) -> None:
    assert "learned from clips of none" not in card_text(tmp_path, metrics())
    text = card_text(tmp_path, metrics(), model_facts=MODEL | {"background": "Background"})
    assert "clips of none of them, the class `Background`" in text[text.index("## Limits") :]


def test_calibration_is_told_with_its_picture(tmp_path: Path) -> None:
    (tmp_path / "reliability.png").write_bytes(b"")
    figures = metrics()
    text = card_text(tmp_path, figures, model_facts=MODEL | {"temperature": 1.25})
    section = text[text.index("## Calibration") : text.index("## Limits")]
    assert f"{figures['calibration_error']:.3f} apart" in section
    assert f"true probabilities would be {figures['calibration_error_by_chance']:.3f} apart" in section
    assert "temperature of 1.250" in section
    assert "](reliability.png)" in section
