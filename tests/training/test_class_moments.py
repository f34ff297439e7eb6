from __future__ import annotations

import numpy as np
import torch

from resnet_lstm.training.class_moments import NUM_KEPT_DIRECTIONS, ClassMoments

HIDDEN_SIZE = 90


def clips(num_clips: int, labels: list[int], seed: int = 0) -> tuple[torch.Tensor, np.ndarray, list[str]]:
    """Features, labels and groups; two clips of a class are of one group."""
    features = torch.randn(num_clips, HIDDEN_SIZE, generator=torch.Generator().manual_seed(seed))
    label_of = np.array(labels)[np.arange(num_clips) % len(labels)]
    groups = [f"{label}-{clip // (2 * len(labels))}-{seed}" for clip, label in enumerate(label_of)]
    return features, label_of, groups


def covariance(moments: ClassMoments) -> torch.Tensor:
    return moments.residuals.T @ moments.residuals


def test_moments_of_two_parts_are_those_of_the_whole() -> None:
    one, other = clips(30, [0, 1, 4]), clips(20, [1, 2], seed=1)  # class 1 is in both
    parts = ClassMoments.of(*one).and_also(ClassMoments.of(*other))
    whole = ClassMoments.of(torch.cat([one[0], other[0]]), np.concatenate([one[1], other[1]]), [*one[2], *other[2]])
    assert parts.labels.tolist() == [0, 1, 2, 4]
    for name in ("means", "num_groups", "num_clips", "variances"):
        torch.testing.assert_close(getattr(parts, name), getattr(whole, name))
    torch.testing.assert_close(covariance(parts), covariance(whole))
    assert parts.covariance_clips == whole.covariance_clips == 50


def test_what_a_model_keeps_of_few_clips_is_all_of_them() -> None:
    moments = ClassMoments.of(*clips(NUM_KEPT_DIRECTIONS - 4, [0, 2]))
    kept = ClassMoments.from_statistics(moments.to_statistics(4, 0.5, 2.0, 1.0, np.empty(0)))
    assert kept.labels.tolist() == [0, 2]
    torch.testing.assert_close(kept.means, moments.means)
    torch.testing.assert_close(covariance(kept), covariance(moments), atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(kept.variances, moments.variances)


def test_what_a_model_keeps_of_many_clips_has_their_main_directions_and_all_of_their_variance() -> None:
    features, labels, groups = clips(400, [0, 1])
    features[:, :3] *= 10
    moments = ClassMoments.of(features, labels, groups)
    kept = ClassMoments.from_statistics(moments.to_statistics(2, 0.5, 2.0, 1.0, np.empty(0)))
    assert len(kept.residuals) == NUM_KEPT_DIRECTIONS < len(features)
    torch.testing.assert_close(covariance(kept)[:3, :3], covariance(moments)[:3, :3], rtol=1e-2, atol=0.5)
    torch.testing.assert_close(kept.variances, moments.variances)


def test_without_its_classes_only_how_clips_differ_is_known() -> None:
    moments = ClassMoments.of(*clips(30, [0, 1]))
    new = ClassMoments.of(*clips(12, [0, 1, 2], seed=1))
    both = moments.without_classes().and_also(new)
    torch.testing.assert_close(both.means, new.means)
    assert both.covariance_clips == 42
    torch.testing.assert_close(covariance(both), (30 * covariance(moments) + 12 * covariance(new)) / 42)
