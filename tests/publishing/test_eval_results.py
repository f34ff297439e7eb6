from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import ModelCard, parse_eval_result_entries

from hub_processes import Publisher
from loopback_hub import LoopbackHub
from published_models import report_of
from resnet_lstm.publishing import prepare_model
from resnet_lstm.publishing.eval_results import eval_result_files

NAMES = [f"action {number}" for number in range(6)]
PATH = ".eval_results/actions.yaml"


def test_the_figures_are_entries_of_the_datasets_leaderboard() -> None:
    report = report_of(NAMES, 0, 2.0)
    files = eval_result_files(report.to_dict(), ["someone/actions"])
    entries = parse_eval_result_entries(yaml.safe_load(files[PATH]))
    assert [(entry.dataset_id, entry.task_id, entry.value) for entry in entries] == [
        ("someone/actions", task, round(report.to_dict()[task]["value"], 4)) for task in ("top1", "top5", "macro_f1")
    ]
    assert entries[0].notes == "top-1; test split (grouped), 60 clips"


@pytest.mark.parametrize("datasets", [None, [], ["a/b", "a/c"]])
def test_figures_of_no_one_dataset_are_on_no_leaderboard(datasets: list[str] | None) -> None:
    assert eval_result_files(report_of(NAMES, 0, 2.0).to_dict(), datasets) == {}


def test_a_leaky_figure_is_on_no_leaderboard() -> None:
    leaky = report_of(NAMES, 0, 2.0, split_scheme="random", leaky=True)
    assert eval_result_files(leaky.to_dict(), ["someone/actions"]) == {}


def test_they_are_published_with_the_card_and_say_the_same(
    publish: Publisher, loopback_hub: LoopbackHub, trained_dir: Path
) -> None:
    assert not any(path.startswith(".") for path in prepare_model(trained_dir, "someone/tiny").files)
    publish("model", trained_dir, "--repo", "someone/tiny", "--dataset", "someone/actions")
    content = loopback_hub.content("someone/tiny")
    card: Any = ModelCard(content["README.md"].decode())
    shown = [result.metric_value for result in card.data.eval_results or ()]
    assert [entry.value for entry in parse_eval_result_entries(yaml.safe_load(content[PATH]))] == shown
