from __future__ import annotations

import numpy as np
import pytest
import torch

from resnet_lstm.class_statistics import ClassStatistics
from resnet_lstm.teaching.refit import refit_discriminant
from resnet_lstm.training.class_moments import ClassMoments
from resnet_lstm.training.discriminant import DiscriminantSolver

HIDDEN_SIZE = 300
NUM_OLD, NUM_NEW = 4, 2
SHRINKAGE, PRIOR_GROUPS, DIVISOR = 0.8, 2.0, 5.0
CENTRES = 0.35 * torch.randn(NUM_OLD + NUM_NEW, HIDDEN_SIZE, generator=torch.Generator().manual_seed(0))


def clips(labels: list[int], each: int, seed: int) -> tuple[torch.Tensor, np.ndarray, list[str]]:
    """So many clips of each class, each of a recording of its own."""
    label_of = np.repeat(labels, each)
    noise = torch.randn(len(label_of), HIDDEN_SIZE, generator=torch.Generator().manual_seed(seed))
    return CENTRES[label_of] + noise, label_of, [f"{seed}-{clip}" for clip in range(len(label_of))]


OLD = clips(list(range(NUM_OLD)), 30, 1)
NEW = clips([NUM_OLD, NUM_OLD + 1], 3, 2)
TEST = clips(list(range(NUM_OLD + NUM_NEW)), 50, 3)


@pytest.fixture
def statistics() -> ClassStatistics:
    return ClassMoments.of(*OLD).to_statistics(NUM_OLD, SHRINKAGE, PRIOR_GROUPS, DIVISOR, np.empty(0))


def accuracy(logits: torch.Tensor, of_new: bool) -> float:
    chosen = (TEST[1] >= NUM_OLD) == of_new
    return float((logits.argmax(dim=1).numpy() == TEST[1])[chosen].mean())


def test_classes_of_few_recordings_are_given_what_chance_has_taken(statistics: ClassStatistics) -> None:
    num_labels = NUM_OLD + NUM_NEW
    fit, offsets = refit_discriminant(statistics, *NEW, num_labels, keep_classes=True)
    assert not offsets[:NUM_OLD].any()
    assert (offsets[NUM_OLD:] > 0).all()
    together = torch.cat([OLD[0], NEW[0]]), np.concatenate([OLD[1], NEW[1]]), [*OLD[2], *NEW[2]]
    plain = DiscriminantSolver(ClassMoments.of(*together), num_labels).classifier(SHRINKAGE, PRIOR_GROUPS)
    assert accuracy(fit.classifier(TEST[0]), of_new=True) > accuracy(plain(TEST[0]), of_new=True) + 0.1
    assert accuracy(fit.classifier(TEST[0]), of_new=False) > accuracy(plain(TEST[0]), of_new=False) - 0.05


def test_what_was_given_stays_when_others_are_taught(statistics: ClassStatistics) -> None:
    one, other = clips([NUM_OLD], 3, 2), clips([NUM_OLD + 1], 3, 4)
    first, given = refit_discriminant(statistics, *one, NUM_OLD + 1, keep_classes=True)
    kept = first.moments.to_statistics(NUM_OLD + 1, SHRINKAGE, PRIOR_GROUPS, DIVISOR, np.empty(0))
    kept.offsets.copy_(given)
    _, offsets = refit_discriminant(kept, *other, NUM_OLD + NUM_NEW, keep_classes=True)
    assert offsets[NUM_OLD] == given[NUM_OLD]
    # Both classes have as many recordings.
    assert float(offsets[NUM_OLD + 1]) == pytest.approx(float(given[NUM_OLD]), rel=0.3)


def test_classes_of_as_many_recordings_need_nothing_beside_one_another(statistics: ClassStatistics) -> None:
    labels = NEW[1] - NUM_OLD
    _, offsets = refit_discriminant(statistics, NEW[0], labels, NEW[2], NUM_NEW, keep_classes=False)
    assert offsets.tolist() == pytest.approx([0, 0], abs=1e-6)
    _, offsets = refit_discriminant(None, NEW[0], labels, NEW[2], NUM_NEW, keep_classes=False)
    assert offsets.tolist() == pytest.approx([0, 0], abs=1e-6)


def test_what_is_held_out_is_what_a_model_taught_without_the_recording_says(statistics: ClassStatistics) -> None:
    fit, _ = refit_discriminant(statistics, *NEW, NUM_OLD + NUM_NEW, keep_classes=True)
    rest = np.arange(len(NEW[1])) != 0
    without, _ = refit_discriminant(
        statistics,
        NEW[0][rest],
        NEW[1][rest],
        [group for group, kept in zip(NEW[2], rest, strict=True) if kept],
        NUM_OLD + NUM_NEW,
        keep_classes=True,
    )
    # How much is chance is told by all clips.
    assert fit.held_out_logits[0] == pytest.approx(without.classifier(NEW[0][:1])[0].numpy(), abs=0.5)
