from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import SCRIPTS
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.comparison import (
    BASELINE,
    RECIPES,
    CrossValidation,
    LabelledClips,
    Recipe,
    compare,
    cross_validate,
    group_folds,
    reduced_folds,
    to_markdown,
)
from resnet_lstm.data import SPLITS, DatasetError, VideoFolder
from resnet_lstm.features import UNIFORM, FeatureCache, FeaturesInMemory, extract_features


@pytest.fixture(scope="module")
def clips(tiny_dataset: VideoFolder) -> LabelledClips:
    """40 clips of two classes, in groups of two."""
    clips = LabelledClips.of(tiny_dataset, SPLITS)
    order = np.argsort([file.sha256 for file in clips.files])
    groups = [""] * len(clips)
    for label in range(2):
        for number, index in enumerate(index for index in order if clips.labels[index] == label):
            groups[index] = f"{label}/{number // 2}"
    grouped = [type(clip)(clip.file_name, clip.label, group) for clip, group in zip(clips.clips, groups, strict=True)]
    return LabelledClips(grouped, clips.files, clips.labels, groups, clips.label_names)


@pytest.fixture(scope="module")
def features(clips: LabelledClips, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory) -> FeaturesInMemory:
    model = ResNetLSTMForVideoClassification.from_backbone(tiny_backbone).resnet_lstm
    processor = ResNetLSTMVideoProcessor(size={"height": 32, "width": 32}, num_frames=6)
    cache = FeatureCache(tmp_path_factory.mktemp("cache"), model.backbone, processor)
    extract_features(model, processor, cache, clips.files, [UNIFORM], num_workers=0)
    return FeaturesInMemory(cache)


def run(
    name: str, clips: LabelledClips, features: FeaturesInMemory, backbone: Path, output: Path, num_seeds: int = 1
) -> CrossValidation:
    settings = {**RECIPES[name].settings, "num_train_epochs": 2}
    recipe = Recipe("", RECIPES[name].head, settings, closed_form=RECIPES[name].closed_form)
    return cross_validate(
        name, recipe, clips, group_folds(clips, 3), range(num_seeds), features, str(backbone), output
    )


def test_no_group_lies_in_two_parts_of_a_fold_and_every_clip_is_scored_once(clips: LabelledClips) -> None:
    folds = group_folds(clips, 3)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(len(clips)))
    for fold in folds:
        parts = [{clips.groups[index] for index in part} for part in (fold.train, fold.validation, fold.test)]
        assert all(parts)
        assert len(set.union(*parts)) == sum(map(len, parts)) == 20
    with pytest.raises(DatasetError, match="20 groups cannot make 21 folds"):
        group_folds(clips, 21)


def test_few_clips_come_from_many_groups_and_more_hold_fewer(clips: LabelledClips) -> None:
    folds = group_folds(clips, 3)
    fewer, more = reduced_folds(folds, clips, 2, seed=0), reduced_folds(folds, clips, 8, seed=0)
    for fold, few, many in zip(folds, fewer, more, strict=True):
        assert not len(few.validation)
        assert set(few.train) <= set(many.train) <= {*fold.train, *fold.validation}
        assert np.bincount(clips.labels[few.train]).tolist() == [2, 2]
        assert len({clips.groups[index] for index in few.train}) == 4
        assert list(few.test) == list(fold.test)
    other = reduced_folds(folds, clips, 2, seed=1)
    assert [list(fold.train) for fold in other] != [list(fold.train) for fold in fewer]


@pytest.mark.parametrize("name", ["mean-of-frames", "last-state", "resnet-lstm", "by-gradient"])
def test_a_recipe_is_trained_once_and_then_read(
    name: str, clips: LabelledClips, features: FeaturesInMemory, tiny_backbone: Path, tmp_path: Path
) -> None:
    first = run(name, clips, features, tiny_backbone, tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(written) == 3
    second = run(name, clips, features, tiny_backbone, tmp_path)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == written
    np.testing.assert_array_equal(first.logits["as filmed"], second.logits["as filmed"])
    assert np.isfinite(first.calibrated_logits).all()
    run(name, clips, features, tiny_backbone, tmp_path, num_seeds=2)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 6


@pytest.mark.parametrize(("name", "blind"), [("mean-of-frames", True), ("frames-only", True), ("no-lstm", False)])
def test_shuffling_changes_the_logits_unless_the_head_is_blind_to_order(
    name: str, blind: bool, clips: LabelledClips, features: FeaturesInMemory, tiny_backbone: Path, tmp_path: Path
) -> None:
    logits = run(name, clips, features, tiny_backbone, tmp_path).logits
    for order in ("shuffled", "reversed"):
        assert np.allclose(logits["as filmed"], logits[order], atol=1e-4) == blind


def test_the_table_compares_on_the_same_clips(
    clips: LabelledClips, features: FeaturesInMemory, tiny_backbone: Path, tmp_path: Path
) -> None:
    names = (BASELINE, "no-lstm")
    results = {name: run(name, clips, features, tiny_backbone, tmp_path, num_seeds=2) for name in names}
    baseline, row = compare(results, RECIPES, clips, BASELINE)
    assert baseline.gain is None
    assert row.gain is not None
    assert row.gain["top1"].value == pytest.approx(row.top1 - baseline.top1)
    assert row.gain["top1"].groups == 20
    assert row.top1 == pytest.approx(np.mean(row.top1_of_seeds))
    expected = np.mean([of_seed.argmax(1) == clips.labels for of_seed in results["no-lstm"].logits["as filmed"]])
    assert row.top1 == pytest.approx(expected)
    shuffled = np.mean([of_seed.argmax(1) == clips.labels for of_seed in results["no-lstm"].logits["shuffled"]])
    assert row.order["shuffled"] is not None
    assert row.order["shuffled"].value == pytest.approx(expected - shuffled)
    assert "`no-lstm`" in to_markdown([baseline, row])


def compare_script(dataset: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / "compare.py"), "--dataset", str(dataset), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_writes_tables_and_pictures(tiny_dataset: VideoFolder, tiny_backbone: Path, tmp_path: Path) -> None:
    options = (
        "--output", str(tmp_path), "--cache-dir", str(tmp_path / "cache"), "--backbone", str(tiny_backbone),
        "--num-folds", "2", "--num-seeds", "1", "--recipes", "frames-only", "no-lstm", "--baseline", "frames-only",
    )  # fmt: skip
    run = compare_script(tiny_dataset.root, *options)
    assert run.returncode == 0, run.stderr
    result = json.loads((tmp_path / "comparison.json").read_text())
    assert result["clips"] == 36  # the test split stays closed
    assert [row["name"] for row in result["rows"]] == ["frames-only", "no-lstm"]
    with (tmp_path / "comparison.csv").open() as file:
        assert [row["name"] for row in csv.DictReader(file)] == ["frames-only", "no-lstm"]
    assert (tmp_path / "comparison.md").read_text() in run.stdout
    assert (tmp_path / "gains.png").stat().st_size > 1000

    run = compare_script(tiny_dataset.root, *options, "--few-clips")
    assert run.returncode == 0, run.stderr
    assert "| recipe | 1 | 2 | 5 | 10 | 20 | all |" in run.stdout
    assert {path.suffix for path in tmp_path.glob("few_clips.*")} == {".json", ".csv", ".md", ".png"}

    run = compare_script(tmp_path / "nowhere", *options)
    assert run.returncode == 2
    assert "nowhere: not a VideoFolder" in run.stderr
