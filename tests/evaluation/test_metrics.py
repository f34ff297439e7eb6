from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import f1_score, log_loss

from resnet_lstm.evaluation import compute_metrics

NAMES = ["archery", "biking", "diving", "fencing", "knitting", "rowing", "typing"]


@pytest.fixture
def predictions() -> tuple[np.ndarray, np.ndarray, list[str]]:
    """100 clips of seven classes, two thirds of them right, in groups of four."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 7, 100)
    logits = generator.normal(size=(100, 7)).astype(np.float32)
    logits[np.arange(100), labels] += 1.5
    return logits, labels, [f"{label}_g{clip // 4}" for clip, label in enumerate(labels)]


def test_figures_equal_those_of_sklearn(predictions: tuple[np.ndarray, np.ndarray, list[str]]) -> None:
    logits, labels, groups = predictions
    metrics = compute_metrics(logits, labels, groups, NAMES)
    predicted = logits.argmax(axis=1)
    probabilities = np.exp(logits.astype(float)) / np.exp(logits.astype(float)).sum(axis=1, keepdims=True)
    assert metrics.top1 == pytest.approx((predicted == labels).mean())
    assert metrics.macro_f1 == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert metrics.loss == pytest.approx(log_loss(labels, probabilities))
    five_best = np.argsort(-logits, axis=1)[:, :5]
    assert metrics.top5 == pytest.approx((five_best == labels[:, None]).any(axis=1).mean())


def test_rows_of_the_classes_add_up_to_the_split(predictions: tuple[np.ndarray, np.ndarray, list[str]]) -> None:
    logits, labels, groups = predictions
    metrics = compute_metrics(logits, labels, groups, NAMES)
    assert [row.label for row in metrics.per_class] == NAMES
    assert sum(row.clips for row in metrics.per_class) == metrics.clips == 100
    assert sum(row.groups for row in metrics.per_class) == metrics.groups == len(set(groups))
    assert np.trace(metrics.confusion_matrix) / 100 == pytest.approx(metrics.top1)
    top5_hits = sum((row.top5_recall or 0) * row.clips for row in metrics.per_class)
    assert top5_hits / 100 == pytest.approx(metrics.top5)


def test_confusion_matrix_has_true_classes_as_rows() -> None:
    metrics = compute_metrics(np.array([[0.0, 1.0, 0.0]]), [0], ["a"], NAMES[:3])
    assert metrics.confusion_matrix.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_class_without_clips_has_no_recall_and_does_not_enter_the_means() -> None:
    # The third class has no clip, yet one clip of the second is taken for it.
    logits = np.eye(3)[[0, 0, 1, 2]]
    metrics = compute_metrics(logits, [0, 0, 1, 1], list("abcd"), NAMES[:3])
    absent = metrics.per_class[2]
    assert (absent.clips, absent.recall, absent.f1, absent.top5_recall, absent.precision) == (0, None, None, None, 0.0)
    assert metrics.macro_f1 == pytest.approx((1 + 2 / 3) / 2)
    assert metrics.balanced_accuracy == pytest.approx((1 + 1 / 2) / 2)


def test_class_never_predicted_has_no_precision_and_an_f1_of_zero() -> None:
    metrics = compute_metrics(np.eye(2)[[0, 0]], [0, 1], ["a", "b"], NAMES[:2])
    assert metrics.per_class[1].precision is None
    assert metrics.per_class[1].f1 == 0


def test_equal_logits_are_no_hit_for_every_class() -> None:
    metrics = compute_metrics(np.zeros((7, 7)), np.arange(7), list("abcdefg"), NAMES)
    assert metrics.top1 == pytest.approx(1 / 7)
    assert metrics.top5 == pytest.approx(5 / 7)
    assert metrics.confusion_matrix[:, 0].tolist() == [1] * 7


def test_large_logits_do_not_overflow_the_loss() -> None:
    metrics = compute_metrics(np.array([[1000.0, 0.0], [0.0, 1000.0]]), [0, 0], ["a", "b"], NAMES[:2])
    assert metrics.loss == pytest.approx(500)


def test_figures_survive_json(predictions: tuple[np.ndarray, np.ndarray, list[str]]) -> None:
    logits, labels, groups = predictions
    figures = compute_metrics(logits, labels, groups, NAMES).to_dict()
    assert json.loads(json.dumps(figures, allow_nan=False))["per_class"][0]["label"] == "archery"


@pytest.mark.parametrize(
    ("logits", "labels", "groups", "message"),
    [
        (np.array([[0.0, np.nan]]), [0], ["a"], "clip 0 has a logit that is not finite"),
        (np.zeros((1, 2)), [2], ["a"], "clip 0 has the label 2"),
        (np.zeros((1, 2)), [-1], ["a"], "clip 0 has the label -1"),
        (np.zeros((2, 2)), [0], ["a"], "2 rows of logits"),
        (np.zeros((1, 2)), [0.0], ["a"], "expected integers"),
        (np.zeros((0, 2)), [], [], "at least one clip"),
        (np.zeros((1, 3)), [0], ["a"], "label_names has 2"),
    ],
)
def test_predictions_that_cannot_be_scored_are_refused(
    logits: np.ndarray, labels: list[int], groups: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        compute_metrics(logits, labels, groups, NAMES[:2])
