from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from resnet_lstm.data.leakage import Leakage
from resnet_lstm.evaluation import EvaluationReport, evaluate_predictions
from resnet_lstm.evaluation.report import leakage_words

NAMES = ["archery", "biking", "diving", "fencing", "knitting", "rowing"]
CLEAN = Leakage("test", num_clips=48, groups_known=True, shared_group=(), same_bytes=()).to_dict()
SHARING = CLEAN | {"shared_group": 7}


def report(**changes: Any) -> EvaluationReport:
    """48 clips of six classes in 25 groups, most of them right; the last class has no clip."""
    generator = np.random.default_rng(0)
    labels = np.arange(48) % 5
    logits = generator.normal(size=(48, 6))
    logits[np.arange(48), labels] += 2
    arguments: dict[str, Any] = {
        "logits": logits,
        "labels": labels,
        "groups": [f"{label}_g{clip // 10}" for clip, label in enumerate(labels)],
        "file_names": [f"clip_{clip}.mp4" for clip in range(48)],
        "label_names": NAMES,
        "split": "test",
        "split_scheme": "by group",
        "leaky": False,
        "leakage": CLEAN,
        "model_name": "tiny",
        "dataset_name": "six actions",
        "num_resamples": 200,
    }
    return evaluate_predictions(**(arguments | changes))


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_report_says_what_its_figures_rest_on() -> None:
    figures = report(seed=3).to_dict()
    for name in ("top1", "top5", "macro_f1"):
        assert figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"]
    assert figures["bootstrap"] == {"unit": "group", "confidence": 0.95, "resamples": 200, "seed": 3}
    assert (figures["clips"], figures["groups"]) == (48, 25)
    assert (figures["split"], figures["split_scheme"], figures["leaky"]) == ("test", "by group", False)
    assert figures["leakage"] == CLEAN
    assert figures["loss"] > 0


def test_written_files_are_complete_and_agree(tmp_path: Path) -> None:
    evaluation = report()
    directory = evaluation.write(tmp_path / "new" / "evaluation")
    assert {file.name for file in directory.iterdir()} == {
        "metrics.json",
        "per_class.csv",
        "predictions.csv",
        "confusion_matrix.csv",
        "confusion_matrix.png",
        "per_class_f1.png",
        "reliability.png",
    }
    figures = json.loads((directory / "metrics.json").read_text(encoding="utf-8"))
    assert figures == evaluation.to_dict()

    predictions = rows(directory / "predictions.csv")
    assert len(predictions) == 48
    assert np.mean([row["correct"] == "True" for row in predictions]) == pytest.approx(figures["top1"]["value"])
    for row in predictions:
        assert (row["label"] == row["predicted"]) == (row["correct"] == "True")
        assert float(row["score_of_label"]) <= float(row["score_of_predicted"]) <= 1
    assert (predictions[7]["file_name"], predictions[7]["label"], predictions[7]["group"]) == (
        "clip_7.mp4",
        "diving",
        "2_g0",
    )

    matrix = rows(directory / "confusion_matrix.csv")
    assert [[int(row[name]) for name in NAMES] for row in matrix] == figures["confusion_matrix"]
    classes = rows(directory / "per_class.csv")
    assert [row["label"] for row in classes] == NAMES
    assert float(classes[0]["f1"]) == pytest.approx(figures["per_class"][0]["f1"])


def test_class_without_clips_is_empty_in_the_table_and_null_in_json(tmp_path: Path) -> None:
    report().write(tmp_path)
    assert rows(tmp_path / "per_class.csv")[5]["recall"] == ""
    assert json.loads((tmp_path / "metrics.json").read_text())["per_class"][5]["recall"] is None


def test_rewriting_replaces_every_file_and_leaves_no_other(tmp_path: Path) -> None:
    report().write(tmp_path)
    names = {file.name for file in tmp_path.iterdir()}
    open_file = (tmp_path / "metrics.json").open(encoding="utf-8")
    report(model_name="other").write(tmp_path)
    with open_file:
        # A reader that has the old file open still reads the whole old file.
        assert json.load(open_file)["model"] == "tiny"
    assert json.loads((tmp_path / "metrics.json").read_text())["model"] == "other"
    assert {file.name for file in tmp_path.iterdir()} == names


@pytest.mark.parametrize(
    ("changes", "leaky"),
    [
        ({}, False),
        ({"split_scheme": "random", "leaky": True}, True),
        # A scheme that promises much is not believed against what was counted.
        ({"leakage": SHARING}, True),
        ({"leakage": CLEAN | {"same_bytes": 1}}, True),
        ({"leakage": None}, False),
    ],
)
def test_leaky_stands_beside_every_figure_of_a_leaky_split(changes: dict[str, Any], leaky: bool) -> None:
    evaluation = report(**changes)
    assert evaluation.to_dict()["leaky"] is leaky
    figure_lines = [
        line
        for line in evaluation.summary().splitlines()
        if line.startswith(("top-", "macro F1", "balanced accuracy", "loss"))
    ]
    assert len(figure_lines) == 5
    for line in figure_lines:
        assert ("leaky" in line) is leaky
        assert evaluation.split_scheme in line


def test_summary_tells_what_was_counted_or_that_nobody_looked() -> None:
    counted = "leakage: of 48 test clips, 0 equal a training clip byte for byte; 7 share a group with a training clip"
    assert counted in report(leakage=SHARING).summary()
    unknown = CLEAN | {"groups_known": False, "shared_group": None}
    assert "cannot be ruled out" in report(leakage=unknown).summary()
    assert "leakage: not checked" in report(leakage=None).summary()


def test_summary_warns_of_few_groups() -> None:
    few = report(groups=["g0", "g1", "g2"] * 16)
    assert "Only 3 groups" in few.summary()
    assert "Only" not in report().summary()


def test_top5_of_three_classes_is_called_top3() -> None:
    labels = np.arange(48) % 3
    summary = report(logits=np.eye(3)[labels], labels=labels, label_names=NAMES[:3]).summary()
    assert "top-3" in summary
    assert "top-5" not in summary


def test_file_names_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="48 rows of logits, 1 file names"):
        report(file_names=["clip.mp4"])


def test_the_leakage_fits_a_picture_title() -> None:
    found = {"num_clips": 121, "groups_known": True, "shared_group": 119, "same_bytes": 0}
    assert leakage_words(found) == "119 of 121 clips share a group with training"
    assert leakage_words({**found, "shared_group": None}) == "groups unknown, 0 copies of training clips"
    assert leakage_words(None) == "leakage not checked"
