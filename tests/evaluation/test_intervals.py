from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score

from resnet_lstm.evaluation import bootstrap_over_groups, paired_difference
from resnet_lstm.evaluation.intervals import GroupResamples, mean_and_standard_error

FIGURES = ("top1", "top5", "macro_f1")


def clustered_predictions(
    seed: int, *, num_labels: int = 6, groups_per_label: int = 4, clips_per_group: int = 5
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Logits, labels and groups where all clips of a group are right together (60 % of groups) or wrong together."""
    generator = np.random.default_rng(seed)
    labels, groups, predicted = [], [], []
    for label in range(num_labels):
        for group in range(groups_per_label):
            wrong = (label + generator.integers(1, num_labels)) % num_labels
            labels += [label] * clips_per_group
            groups += [f"{label}_g{group}"] * clips_per_group
            predicted += [label if generator.random() < 0.6 else wrong] * clips_per_group
    logits = np.eye(num_labels)[np.array(predicted)] * 5 + generator.normal(size=(len(labels), num_labels)) * 0.1
    return logits, np.array(labels), groups


def test_interval_is_wider_over_groups_than_over_clips_when_groups_agree() -> None:
    logits, labels, groups = clustered_predictions(0)
    each_alone = [str(clip) for clip in range(len(labels))]
    over_groups = bootstrap_over_groups(logits, labels, groups)["top1"]
    over_clips = bootstrap_over_groups(logits, labels, each_alone)["top1"]
    # Five clips that always agree are one observation: the interval widens by about the square root of five.
    assert over_groups.high - over_groups.low > 1.7 * (over_clips.high - over_clips.low)
    assert (over_groups.groups, over_clips.groups) == (24, 120)


@pytest.mark.parametrize("groups_per_label", [2, 4])
def test_interval_holds_the_true_accuracy_about_as_often_as_it_says(groups_per_label: int) -> None:
    trials = 300
    held = 0
    for seed in range(trials):
        logits, labels, groups = clustered_predictions(
            seed, num_labels=12, groups_per_label=groups_per_label, clips_per_group=3
        )
        interval = bootstrap_over_groups(logits, labels, groups, num_resamples=400, seed=seed)["top1"]
        held += interval.low <= 0.6 <= interval.high
    # Drawing all n groups of a class holds it in about 79 % where n is 2; drawing clips, in less than 70 %.
    assert 0.86 <= held / trials <= 0.99


def test_vectorised_figures_equal_those_of_a_loop_over_the_same_draws() -> None:
    logits, labels, groups = clustered_predictions(1)
    logits += np.random.default_rng(2).normal(size=logits.shape) * 3
    resamples = GroupResamples.draw(labels, groups, num_resamples=200, seed=3)
    predicted = logits.argmax(axis=1)
    five_best = np.argsort(-logits, axis=1)[:, :5]
    in_five = (five_best == labels[:, None]).any(axis=1)
    loop: dict[str, list[float]] = {name: [] for name in FIGURES}
    for weights in resamples.weights:
        of_clip = weights[resamples.group_of_clip]
        loop["top1"].append(accuracy_score(labels, predicted, sample_weight=of_clip))
        loop["top5"].append(np.average(in_five, weights=of_clip))
        loop["macro_f1"].append(f1_score(labels, predicted, sample_weight=of_clip, average="macro"))
    intervals = bootstrap_over_groups(logits, labels, groups, num_resamples=200, seed=3)
    for name in FIGURES:
        low, high = np.quantile(loop[name], [0.025, 0.975])
        assert (intervals[name].low, intervals[name].high) == pytest.approx((low, high)), name


def test_every_class_stays_in_every_draw() -> None:
    _, labels, groups = clustered_predictions(0, groups_per_label=2)
    resamples = GroupResamples.draw(labels, groups, num_resamples=500, seed=0)
    of_clip = resamples.weights[:, resamples.group_of_clip]
    for label in range(6):
        assert (of_clip[:, labels == label].sum(axis=1) > 0).all()


def test_group_alone_in_its_class_is_no_certainty() -> None:
    logits, labels, groups = clustered_predictions(0, groups_per_label=1)
    resamples = GroupResamples.draw(labels, groups, num_resamples=200, seed=0)
    assert (resamples.weights.std(axis=0) > 0).all()
    interval = bootstrap_over_groups(logits, labels, groups)["top1"]
    assert interval.low < interval.value < interval.high


def test_group_that_spans_classes_is_drawn_whole() -> None:
    labels = np.array([0, 1, 0, 1, 0, 1])
    resamples = GroupResamples.draw(labels, ["a", "a", "b", "b", "c", "c"], num_resamples=50, seed=0)
    assert resamples.weights.shape == (50, 3)
    assert np.unique(resamples.weights).tolist() == [0, 1.5, 3]


def test_draws_keep_the_size_of_the_split() -> None:
    _, labels, groups = clustered_predictions(0, groups_per_label=3)
    weights = GroupResamples.draw(labels, groups, num_resamples=50, seed=0).weights
    assert weights.sum(axis=1) == pytest.approx(np.full(50, 18))


def test_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    logits, labels, groups = clustered_predictions(0, groups_per_label=7, clips_per_group=3)
    first = bootstrap_over_groups(logits, labels, groups, seed=1)
    assert first == bootstrap_over_groups(logits, labels, groups, seed=1)
    assert first["macro_f1"] != bootstrap_over_groups(logits, labels, groups, seed=2)["macro_f1"]


def test_order_of_the_clips_does_not_matter() -> None:
    logits, labels, groups = clustered_predictions(0)
    order = np.random.default_rng(0).permutation(len(labels))
    shuffled = bootstrap_over_groups(logits[order], labels[order], [groups[clip] for clip in order])
    for name, interval in bootstrap_over_groups(logits, labels, groups).items():
        assert (shuffled[name].low, shuffled[name].high) == pytest.approx((interval.low, interval.high))


def test_all_right_on_a_few_groups_is_no_certainty_either() -> None:
    labels = np.repeat(np.arange(6), 4)
    groups = [f"g{clip // 2}" for clip in range(24)]
    intervals = bootstrap_over_groups(np.eye(6)[labels], labels, groups)
    assert intervals["top1"].high == 1
    assert intervals["top1"].low == pytest.approx(0.025 ** (1 / 12))
    assert bootstrap_over_groups(-np.eye(6)[labels], labels, groups)["top1"].high == pytest.approx(
        1 - 0.025 ** (1 / 12)
    )


def test_top5_of_five_classes_is_certain() -> None:
    logits, labels, groups = clustered_predictions(0, num_labels=5)
    interval = bootstrap_over_groups(logits, labels, groups)["top5"]
    assert (interval.low, interval.value, interval.high) == (1, 1, 1)


def test_one_group_gives_the_whole_range() -> None:
    interval = bootstrap_over_groups(np.eye(6)[[0, 1, 0]], [0, 1, 1], ["only"] * 3)["top1"]
    assert (interval.low, interval.high, interval.groups) == (0, 1, 1)


def test_paired_difference_of_a_model_with_itself_is_zero() -> None:
    logits, labels, groups = clustered_predictions(0)
    for interval in paired_difference(logits, logits, labels, groups).values():
        assert (interval.low, interval.value, interval.high) == (0, 0, 0)


def test_paired_difference_sees_what_overlapping_intervals_hide() -> None:
    logits, labels, groups = clustered_predictions(0, groups_per_label=10)
    better = logits.copy()
    # One clip in five of every group is put right: the groups differ widely, the gain hardly.
    better[::5] = 10 * np.eye(6)[labels[::5]]
    worse_alone, better_alone = (bootstrap_over_groups(each, labels, groups)["top1"] for each in (logits, better))
    assert worse_alone.high > better_alone.low
    difference = paired_difference(better, logits, labels, groups)["top1"]
    assert difference.value == pytest.approx(better_alone.value - worse_alone.value)
    assert 0 < difference.low < difference.value < difference.high


def test_confidence_outside_its_range_is_refused() -> None:
    logits, labels, groups = clustered_predictions(0)
    with pytest.raises(ValueError, match="confidence=95"):
        bootstrap_over_groups(logits, labels, groups, confidence=95)


def test_standard_error_of_clips_of_their_own_is_the_usual_one_and_is_larger_where_groups_agree() -> None:
    values = np.random.default_rng(0).normal(size=40)
    mean, error = mean_and_standard_error(values, [str(index) for index in range(40)])
    assert mean == pytest.approx(values.mean())
    assert error == pytest.approx(values.std(ddof=1) / math.sqrt(40))
    # Ten groups of four clips that are all alike tell what ten clips would.
    repeated, groups = np.repeat(values[:10], 4), [str(index // 4) for index in range(40)]
    assert mean_and_standard_error(repeated, groups) == pytest.approx(
        mean_and_standard_error(values[:10], [str(index) for index in range(10)])
    )


def test_one_group_says_nothing_of_others() -> None:
    assert mean_and_standard_error(np.array([1.0, 1.1, 0.9]), ["a"] * 3) == (pytest.approx(1.0), math.inf)
