from __future__ import annotations

import pytest

from resnet_lstm.evaluation.average_precision import ScoredSegment, average_precision_by_class, temporal_iou


def segment(start: float, end: float, score: float = 1.0, label: str = "jump", video: int = 0) -> ScoredSegment:
    return ScoredSegment(video, label, start, end, score)


def test_iou_is_the_shared_part_of_the_union() -> None:
    assert temporal_iou(segment(0, 4), segment(2, 6)) == pytest.approx(2 / 6)
    assert temporal_iou(segment(0, 4), segment(0, 4)) == 1
    assert temporal_iou(segment(0, 4), segment(4, 6)) == 0
    assert temporal_iou(segment(0, 4), segment(0, 4, video=1)) == 0


def test_all_found_is_1_and_nothing_found_is_0() -> None:
    true = [segment(0, 4), segment(10, 14)]
    assert average_precision_by_class([segment(0, 4, 0.3), segment(10, 14, 0.2)], true) == {"jump": 1.0}
    assert average_precision_by_class([], true) == {"jump": 0.0}
    assert average_precision_by_class([segment(5, 9)], true) == {"jump": 0.0}


def test_a_false_segment_costs_what_ranks_below_it() -> None:
    true = [segment(0, 4), segment(10, 14)]
    found = [segment(0, 4, 0.9), segment(20, 24, 0.8), segment(10, 14, 0.7)]
    # Precision 1 at the first hit, 2/3 at the second: (1 + 2/3) / 2.
    assert average_precision_by_class(found, true)["jump"] == pytest.approx(5 / 6)
    found = [segment(0, 4, 0.9), segment(20, 24, 0.6), segment(10, 14, 0.7)]
    assert average_precision_by_class(found, true)["jump"] == 1.0


def test_precision_is_interpolated_from_higher_recalls() -> None:
    true = [segment(0, 4), segment(10, 14), segment(20, 24)]
    found = [segment(50, 54, 0.9), segment(0, 4, 0.8), segment(10, 14, 0.7)]
    # Precisions 0, 1/2, 2/3: the first hit counts with the 2/3 that comes at a higher recall.
    assert average_precision_by_class(found, true)["jump"] == pytest.approx((2 / 3 + 2 / 3) / 3)


def test_a_true_segment_is_found_once() -> None:
    found = [segment(0, 4, 0.9), segment(0.5, 4, 0.8)]
    assert average_precision_by_class(found, [segment(0, 4), segment(10, 14)])["jump"] == 0.5


def test_the_overlap_must_reach_the_threshold() -> None:
    found, true = [segment(0, 2)], [segment(0, 4)]
    assert average_precision_by_class(found, true, min_iou=0.5) == {"jump": 1.0}
    assert average_precision_by_class(found, true, min_iou=0.51) == {"jump": 0.0}


def test_classes_and_videos_are_kept_apart() -> None:
    true = [segment(0, 4, label="run"), segment(0, 4, video=1)]
    found = [segment(0, 4), segment(0, 4, label="run"), segment(0, 4, label="swim")]
    assert average_precision_by_class(found, true) == {"jump": 0.0, "run": 1.0}
