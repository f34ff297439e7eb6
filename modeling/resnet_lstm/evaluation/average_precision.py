"""Average precision of segments in time, as ActivityNet defines it.

A predicted segment is right if it overlaps a true one of its class enough, and none with a higher score has taken that
one. Precision is interpolated: at each recall the best one at this recall or a higher one counts (Caba Heilbron et
al., "ActivityNet", CVPR 2015; the area under that curve, as in PASCAL VOC since 2010).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ScoredSegment:
    """A stretch of a video that is said, or known, to be of a class.

    Attributes:
        video: Which video.
        label: The class.
        start_seconds: Its start.
        end_seconds: Its end.
        score: How sure it is; without meaning for a true segment.
    """

    video: int
    label: str
    start_seconds: float
    end_seconds: float
    score: float = 1.0


def temporal_iou(one: ScoredSegment, other: ScoredSegment) -> float:
    """Intersection over union of two stretches of time; 0 where they are of different videos."""
    if one.video != other.video:
        return 0.0
    overlap = min(one.end_seconds, other.end_seconds) - max(one.start_seconds, other.start_seconds)
    if overlap <= 0:
        return 0.0
    lengths = one.end_seconds - one.start_seconds + other.end_seconds - other.start_seconds
    return overlap / (lengths - overlap)


def average_precision_by_class(
    predicted: Sequence[ScoredSegment], true: Sequence[ScoredSegment], *, min_iou: float = 0.5
) -> dict[str, float]:
    """The average precision of each class that has a true segment.

    Args:
        predicted: The segments that were found.
        true: Those that there are.
        min_iou: How much of their union a predicted and a true segment must share.

    Returns:
        By class, in order of name. Their mean is the mean average precision (mAP).
    """
    return {
        label: _average_precision(
            [segment for segment in predicted if segment.label == label],
            [segment for segment in true if segment.label == label],
            min_iou,
        )
        for label in sorted({segment.label for segment in true})
    }


def _average_precision(predicted: list[ScoredSegment], true: list[ScoredSegment], min_iou: float) -> float:
    taken: set[int] = set()
    hits = np.zeros(len(predicted), bool)
    for rank, segment in enumerate(sorted(predicted, key=lambda each: -each.score)):
        overlaps = [(temporal_iou(segment, each), -index) for index, each in enumerate(true) if index not in taken]
        iou, index = max(overlaps, default=(0.0, 0))
        if iou >= min_iou:
            hits[rank] = True
            taken.add(-index)
    if not hits.any():
        return 0.0
    precision = hits.cumsum() / np.arange(1, len(hits) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    # Recall rises by one true segment at each hit.
    return float(best_from_here[hits].sum() / len(true))
