from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from resnet_lstm.training.background import lower_background
from resnet_lstm.training.class_moments import ClassMoments
from resnet_lstm.training.cross_validated_fit import DiscriminantFit, fit_by_cross_validation
from resnet_lstm.training.discriminant import DiscriminantSolver


def blobs(
    clips_per_class: list[int], num_features: int, spread: float, seed: int = 0
) -> tuple[torch.Tensor, np.ndarray, list[str]]:
    """Clips around their class means; each clip is a group of its own."""
    generator = np.random.default_rng(seed)
    means = generator.normal(0, spread, (len(clips_per_class), num_features))
    labels = np.repeat(np.arange(len(clips_per_class)), clips_per_class)
    features = means[labels] + generator.normal(0, 1, (len(labels), num_features))
    return torch.tensor(features, dtype=torch.float32), labels, [str(index) for index in range(len(labels))]


@pytest.mark.parametrize("num_features", [12, 200])  # fewer features than clips, and more
@pytest.mark.parametrize("shrinkage", [0.1, 0.8])
def test_with_unshrunken_means_it_is_the_textbook_discriminant_of_features_in_units_of_their_variation(
    num_features: int, shrinkage: float
) -> None:
    features, labels, groups = blobs([20, 20, 20], num_features, 0.3)
    features *= torch.linspace(0.2, 3, num_features)
    moments = ClassMoments.of(features, labels, groups)
    logits = DiscriminantSolver(moments, 3).classifier(shrinkage, prior_groups=0.0)(features).numpy()
    in_units = (features / moments.expected_variances.sqrt()).numpy()
    textbook = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage).fit(in_units, labels)
    expected = textbook.decision_function(in_units)
    centred, expected = (each - each.mean(axis=1, keepdims=True) for each in (logits, expected))
    np.testing.assert_allclose(centred, expected, rtol=1e-2, atol=1e-3 * np.abs(expected).max())


def test_classes_of_few_groups_are_found_too() -> None:
    features, labels, groups = blobs([63, 63, 63, 23], 400, 0.3)
    training = np.concatenate([np.flatnonzero(labels < 3)[::2], np.flatnonzero(labels == 3)[:3]])
    test = np.setdiff1d(np.flatnonzero(labels == 3), training)

    moments = ClassMoments.of(features[training], labels[training], [groups[i] for i in training])

    def recall_of_the_small_class(prior_groups: float) -> float:
        classifier = DiscriminantSolver(moments, 4).classifier(0.8, prior_groups)
        return float((classifier(features[test]).argmax(dim=1) == 3).float().mean())

    assert recall_of_the_small_class(0.0) < 0.1 < 0.3 < recall_of_the_small_class(2.0)


def test_how_far_means_are_drawn_together_is_chosen_by_what_the_clips_can_tell() -> None:
    # Many recordings of some classes, few of others: the more of a mean is chance, the farther it is drawn.
    faint, clear = (
        fit_by_cross_validation(*blobs([60, 60, 60, 4, 4, 4], 300, spread), 6).prior_groups for spread in (0.1, 1.0)
    )
    assert clear < faint


def test_what_varies_much_within_classes_counts_for_less() -> None:
    features, labels, groups = blobs([12, 12, 12], 400, 0.5)
    features[:, 200:] += 4 * torch.randn(36, 200, generator=torch.Generator().manual_seed(1))
    unseen, truth, _ = blobs([200, 200, 200], 400, 0.5)
    unseen[:, 200:] += 4 * torch.randn(600, 200, generator=torch.Generator().manual_seed(2))
    fit = fit_by_cross_validation(features, labels, groups, 3)
    assert (fit.classifier(unseen).argmax(dim=1).numpy() == truth).mean() > 0.85
    equal_units = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=fit.shrinkage).fit(features.numpy(), labels)
    assert (equal_units.predict(unseen.numpy()) == truth).mean() < 0.75


def test_how_much_features_vary_is_told_by_all_of_them_where_clips_are_few() -> None:
    features, labels, groups = blobs([3, 3], 300, 0.3)
    moments = ClassMoments.of(features, labels, groups)
    assert float(moments.expected_variances.std() / moments.variances.std()) < 0.4
    assert float(moments.expected_variances.mean()) == pytest.approx(float(moments.variances.mean()), rel=0.3)
    many = ClassMoments.of(*blobs([300, 300], 300, 0.3))
    torch.testing.assert_close(many.expected_variances, many.variances, rtol=0.02, atol=0)


def test_one_clip_a_class_makes_the_nearest_prototype() -> None:
    prototypes, labels, groups = blobs([1] * 6, 50, 1.0)
    fit = fit_by_cross_validation(prototypes, labels, groups, 6)
    clips = torch.randn(200, 50, generator=torch.Generator().manual_seed(1))
    nearest = torch.cdist(clips, prototypes).argmin(dim=1)
    # Means drawn to their centre keep their directions; a few clips lie near the border.
    assert (fit.classifier(clips).argmax(dim=1) == nearest).float().mean() > 0.85
    assert fit.classifier(clips).softmax(dim=1).max() < 0.999
    assert np.isnan(fit.held_out_logits).all()


def test_held_out_logits_have_not_seen_their_group() -> None:
    # Each group looks like nothing else, and its label is drawn at random: there is nothing to know of a new one.
    generator = np.random.default_rng(0)
    group_of_clip = np.repeat(np.arange(40), 5)
    labels = generator.integers(0, 2, 40)[group_of_clip]
    looks = generator.normal(0, 1, (40, 300))
    features = torch.tensor(looks[group_of_clip] + generator.normal(0, 0.1, (200, 300)), dtype=torch.float32)
    fit = fit_by_cross_validation(features, labels, [str(group) for group in group_of_clip], 2)
    assert (fit.classifier(features).argmax(dim=1).numpy() == labels).mean() == 1.0
    assert 0.2 < (fit.held_out_logits.argmax(axis=1) == labels).mean() < 0.8


def test_a_class_of_one_group_cannot_be_held_out() -> None:
    features, labels, groups = blobs([10, 10, 4], 20, 2.0)
    groups[-4:] = ["alone"] * 4
    held_out = fit_by_cross_validation(features, labels, groups, 3).held_out_logits
    assert np.isnan(held_out[-4:]).all()
    assert np.isfinite(held_out[:-4]).all()


def test_a_class_without_clips_is_never_predicted() -> None:
    features, labels, groups = blobs([10, 10], 20, 1.0)
    fit = fit_by_cross_validation(features, labels * 2, groups, 3)  # class 1 has none
    assert set(fit.classifier(torch.randn(100, 20)).argmax(dim=1).tolist()) <= {0, 2}


def test_the_shrinkage_is_chosen_by_what_the_clips_can_tell() -> None:
    features, labels, groups = blobs([100, 100], 20, 0.3)
    together = features + 2 * features[:, :1] * torch.linspace(-1, 1, 20)
    spherical, elongated = (
        fit_by_cross_validation(each, labels, groups, 2).shrinkage for each in (features, together)
    )
    assert elongated < spherical


@pytest.mark.parametrize("num_clips", [30, 200])
def test_distances_are_those_of_the_shrunken_covariance(num_clips: int) -> None:
    features, labels, groups = blobs([num_clips // 2] * 2, 40, 1.0)
    solver = DiscriminantSolver(ClassMoments.of(features, labels, groups), 2)
    distances = solver.spread(0.3).squared_distances(features).double()
    residuals = solver.residuals.double()
    mean_variance = solver.variances.mean().double()
    covariance = 0.7 * residuals.T @ residuals + 0.3 * mean_variance * torch.eye(40)
    offsets = (features - solver.centre).double()
    expected = (offsets * torch.linalg.solve(covariance, offsets.T).T).sum(dim=1)
    torch.testing.assert_close(distances, 0.3 * mean_variance * expected, rtol=1e-3, atol=0)


def test_held_out_distances_are_those_of_fits_without_the_clip() -> None:
    features, labels, groups = blobs([20, 20, 20], 200, 0.3)
    fit = fit_by_cross_validation(features, labels, groups, 3)
    assert not np.isnan(fit.held_out_distances).any()
    seen = fit.spread.squared_distances(features).numpy()
    # With more features than clips, a clip that has been seen looks far more usual than one that has not.
    assert (fit.held_out_distances > seen).mean() > 0.95


def test_finding_directions_draws_no_random_number_that_training_would() -> None:
    features, labels, groups = blobs([20, 20, 20], 200, 0.3)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit_by_cross_validation(features, labels, groups, 3)
    torch.testing.assert_close(torch.rand(3), expected, rtol=0, atol=0)


def test_few_clips_of_actions_are_taken_for_background() -> None:
    # The background is of two kinds, each as close to the actions as these are to one another.
    features, labels, groups = blobs([60, 60, 60, 30, 30], 40, 0.4)
    background, labels = 3, labels.clip(max=3)
    fit = fit_by_cross_validation(features, labels, groups, 4)
    lowered = lower_background(fit, background)

    def part_taken_for_background(fit: DiscriminantFit, of_background: bool) -> float:
        chosen = (labels == background) == of_background
        return float((fit.held_out_logits[chosen].argmax(axis=1) == background).mean())

    assert part_taken_for_background(fit, False) > 0.05
    assert part_taken_for_background(lowered, False) <= 0.02 + 1 / 180  # a clip more or less
    assert part_taken_for_background(lowered, True) > 0.4
    difference = fit.classifier(features) - lowered.classifier(features)
    assert not difference[:, :background].any()
    torch.testing.assert_close(difference[:, background], torch.full((len(features),), lowered.background_offset))
    assert lower_background(lowered, background).background_offset == pytest.approx(0, abs=1e-6)
