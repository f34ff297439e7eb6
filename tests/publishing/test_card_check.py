from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from resnet_lstm.publishing import PublishingError, prepare_model
from resnet_lstm.publishing.card_check import check_model_card, figures_of

SOURCES = ("baseline/metrics.json", "training.json")


def read(directory: Path, name: str) -> dict[str, Any]:
    return json.loads((directory / name).read_text())


def check(directory: Path, card: str, metrics: dict[str, Any] | None = None) -> None:
    metrics = metrics or read(directory, "metrics.json")
    check_model_card(ModelCard(card), metrics, *(read(directory, name) for name in SOURCES))


def test_every_figure_of_a_card_is_one_of_the_metrics(trained_dir: Path) -> None:
    card = prepare_model(trained_dir, "someone/tiny").card
    check(trained_dir, card)
    assert len(figures_of(card)) > 20
    # Nothing that looks like a measurement escapes: all numbers with decimals of the text stand among the figures.
    text = re.sub(r"```.*?```|\(https?:[^)]*\)", "", ModelCard(card).text, flags=re.DOTALL)
    training = text[text.index("## Training\n") :]
    decimals = set(re.findall(r"(?<![\d.])[+-]?\d+\.\d+", text.replace(training, "")))
    temperature = {"1.250"}
    assert decimals - set(figures_of(card)) <= temperature


def test_each_figure_that_is_changed_is_noticed(trained_dir: Path) -> None:
    card = (trained_dir / "README.md").read_text()
    body = card.index("\n---\n", 4)
    top1 = f"{100 * read(trained_dir, 'metrics.json')['top1']['value']:.1f}"
    for old, new in ((f"{top1} %", "99.3 %"), (f"{top1} % [", f"{top1} % [1"), ("## Figures", "Right in 99.3 % ")):
        assert old in card[body:]
        with pytest.raises(PublishingError, match="does not match"):
            check(trained_dir, card[:body] + card[body:].replace(old, new, 1))
    with pytest.raises(PublishingError, match=r"its metadata has 0\.5 for top-1"):
        check(trained_dir, re.sub(r"value: \S+", "value: 0.5", card, count=1))


def test_a_card_of_older_metrics_is_refused(trained_dir: Path) -> None:
    card, metrics = (trained_dir / "README.md").read_text(), read(trained_dir, "metrics.json")
    newer = copy.deepcopy(metrics)
    newer["top1"]["low"] -= 0.02
    with pytest.raises(PublishingError, match=r"the top-1 of metrics\.json, .*, is not in its text"):
        check(trained_dir, card, newer)
    with pytest.raises(PublishingError, match=r"no figure for top-1 \(leaky split\)"):
        check(trained_dir, card, metrics | {"leaky": True})
