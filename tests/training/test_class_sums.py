from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import PartialState
from safetensors.torch import load_file, save_file

from resnet_lstm.accelerator import own_share
from resnet_lstm.training.class_moments import ClassMoments
from resnet_lstm.training.class_sums import ClassSums
from resnet_lstm.training.cross_validated_fit import fit_by_cross_validation, fit_by_sums, group_folds
from resnet_lstm.training.fold_sums import FoldSums

NUM_FEATURES, NUM_LABELS, NUM_SCORED = 40, 6, 300
# Few enough to be kept, and more than that.
NUM_CLIPS = {"kept": 250, "summed": 3000}


def clips(num_clips: int) -> tuple[torch.Tensor, np.ndarray, list[str]]:
    """Features far from zero, of much variance some ways, a last label that never comes, groups of five clips."""
    generator = np.random.default_rng(0)
    groups = np.arange(num_clips) // 5
    labels = generator.integers(0, NUM_LABELS - 1, groups[-1] + 1)[groups]
    means = generator.normal(3, 1, (NUM_LABELS, NUM_FEATURES))
    turned, _ = np.linalg.qr(generator.normal(0, 1, (NUM_FEATURES, NUM_FEATURES)))
    noise = generator.normal(0, 1, (num_clips, NUM_FEATURES)) * np.geomspace(1, 20, NUM_FEATURES) @ turned
    features = means[labels] + noise
    return torch.tensor(features, dtype=torch.float32), labels, [f"group {group}" for group in groups]


def fit_in_chunks(num_clips: int) -> dict[str, torch.Tensor]:
    """What a process learns that reads its share of the clips alone, in chunks, and adds up with the others."""
    features, labels, groups = clips(num_clips)
    folds = group_folds(labels, groups)
    sums = FoldSums(NUM_FEATURES, NUM_LABELS, int(folds.max()) + 1, NUM_SCORED)
    for chunk in np.array_split(np.arange(num_clips)[own_share()], 7):
        sums.add(features[chunk], labels[chunk], [groups[index] for index in chunk], folds[chunk])
    sums.add_up_processes()
    return as_tensors(fit_by_sums(sums)[0])


def as_tensors(fit: object) -> dict[str, torch.Tensor]:
    return {
        "weight": fit.classifier.weight,  # type: ignore[attr-defined]
        "bias": fit.classifier.bias,  # type: ignore[attr-defined]
        "means": fit.moments.means.double(),  # type: ignore[attr-defined]
        "covariance": covariance(fit.moments),  # type: ignore[attr-defined]
        "num_groups": fit.moments.num_groups.double(),  # type: ignore[attr-defined]
        "chosen": torch.tensor([fit.shrinkage, fit.prior_groups, fit.temperature]).double(),  # type: ignore[attr-defined]
    }


def covariance(moments: ClassMoments) -> torch.Tensor:
    return moments.residuals.double().T @ moments.residuals.double()


def assert_same(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], relative: float = 1e-6) -> None:
    for name, tensor in expected.items():
        known = tensor[tensor > -1e3]  # the bias of a class that has no clips
        torch.testing.assert_close(found[name], tensor, rtol=0, atol=relative * float(known.abs().max()), msg=name)


def test_moments_by_sums_are_those_of_the_clips_themselves() -> None:
    features, labels, groups = clips(3000)
    parts = [ClassSums(NUM_FEATURES, NUM_LABELS) for _ in range(3)]
    for part, members in zip(parts, np.array_split(np.random.default_rng(1).permutation(3000), 3), strict=True):
        part.add(features[members], labels[members], [groups[index] for index in members])
    found, expected = ClassSums.of_all(parts).moments(), ClassMoments.of(features.double(), labels, groups)
    assert found.labels.tolist() == expected.labels.tolist() == list(range(NUM_LABELS - 1))
    torch.testing.assert_close(found.variances, expected.variances, rtol=1e-6, atol=0)
    for name in ("means", "num_groups", "num_clips"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-12, atol=0)
    torch.testing.assert_close(
        covariance(found), covariance(expected), rtol=0, atol=1e-6 * float(expected.variances.mean())
    )


def test_features_that_never_vary_do_no_harm() -> None:
    features, labels, groups = clips(3000)
    features[:, 3], features[:, 4] = 0.0, features[:, 5]
    fit = fit_by_cross_validation(features, labels, groups, NUM_LABELS, num_scored=NUM_SCORED)
    assert fit.classifier.weight.isfinite().all()
    assert (fit.held_out_logits.argmax(axis=1) == labels).mean() > 0.5


def test_a_fit_to_sums_is_the_fit_to_all_clips() -> None:
    features, labels, groups = clips(NUM_CLIPS["summed"])
    by_sums, by_clips = (
        fit_by_cross_validation(features, labels, groups, NUM_LABELS, num_scored=num_scored)
        for num_scored in (NUM_SCORED, len(labels))
    )
    assert (by_sums.shrinkage, by_sums.prior_groups) == (by_clips.shrinkage, by_clips.prior_groups)
    assert len(by_sums.moments.residuals) == NUM_FEATURES < len(by_clips.moments.residuals)
    # A part of the clips chooses how sure to be; the directions are the same.
    assert by_sums.temperature == pytest.approx(by_clips.temperature, rel=0.25)
    weight = by_sums.classifier.weight * by_sums.temperature / by_clips.temperature
    torch.testing.assert_close(weight, by_clips.classifier.weight, rtol=0, atol=1e-5 * float(weight.abs().max()))
    held_out = by_sums.held_out_logits * by_sums.temperature / by_clips.temperature
    assert held_out.shape == (len(labels), NUM_LABELS)
    np.testing.assert_allclose(held_out, by_clips.held_out_logits, atol=1e-4 * np.abs(held_out[:, :-1]).max())


def test_only_the_clips_to_score_are_kept_of_many() -> None:
    features, labels, groups = clips(30_000)
    sums = FoldSums(NUM_FEATURES, NUM_LABELS, 5, NUM_SCORED)
    for chunk in np.array_split(np.arange(len(labels)), 30):
        sums.add(features[chunk], labels[chunk], [groups[index] for index in chunk], chunk // 5 % 5)
        assert sum(map(len, sums._kept)) < 6000
    scored = sums.scored()
    assert len(scored) == NUM_SCORED
    # Of all folds and classes, as they come.
    assert np.bincount(scored.folds, minlength=5).min() > NUM_SCORED / 10
    assert np.bincount(scored.labels, minlength=NUM_LABELS)[:-1].min() > NUM_SCORED / 15


@pytest.mark.parametrize("num_processes", [2, 4])
def test_several_processes_fit_what_is_fitted_in_memory(tmp_path: Path, num_processes: int) -> None:
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(num_processes))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *launcher, __file__, str(tmp_path)], check=True, env=environment, timeout=120)
    for name, num_clips in NUM_CLIPS.items():
        features, labels, groups = clips(num_clips)
        in_memory = fit_by_cross_validation(features, labels, groups, NUM_LABELS, num_scored=NUM_SCORED)
        assert_same(fit_in_chunks(num_clips), as_tensors(in_memory))
        for rank in range(num_processes):
            assert_same(load_file(tmp_path / f"{name}-{rank}.safetensors"), as_tensors(in_memory))


if __name__ == "__main__":
    state = PartialState(cpu=True)
    for name, num_clips in NUM_CLIPS.items():
        tensors = {key: tensor.contiguous() for key, tensor in fit_in_chunks(num_clips).items()}
        save_file(tensors, Path(sys.argv[1]) / f"{name}-{state.process_index}.safetensors")
    state.destroy_process_group()
