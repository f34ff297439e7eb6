from __future__ import annotations

import csv
import itertools
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
    DEFAULT,
    RECIPES,
    CrossValidation,
    LabelledClips,
    Recipe,
    TaughtResult,
    TaughtTrial,
    UnknownResult,
    class_folds,
    compare,
    cross_validate,
    group_folds,
    leave_out_classes,
    reduced_folds,
    teach_left_out_classes,
    to_markdown,
)
from resnet_lstm.comparison.background_clips import BackgroundResult, BackgroundTrial, learn_background
from resnet_lstm.comparison.unknown_actions import OUR_METHOD, UnknownTrial, without_classes
from resnet_lstm.data import SPLITS, DatasetError, VideoFolder
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.data.video_folder import Clip, file_sha256
from resnet_lstm.features import UNIFORM, ClipFile, FeatureCache, FeaturesInMemory, extract_features


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
    return features_of(clips, tiny_backbone, tmp_path_factory.mktemp("cache"))


def features_of(clips: LabelledClips, tiny_backbone: Path, cache_dir: Path) -> FeaturesInMemory:
    model = ResNetLSTMForVideoClassification.from_backbone(tiny_backbone).resnet_lstm
    processor = ResNetLSTMVideoProcessor(size={"height": 32, "width": 32}, num_frames=6)
    cache = FeatureCache(cache_dir, model, processor)
    extract_features(model, processor, cache, clips.files, [UNIFORM], num_workers=0)
    return FeaturesInMemory(cache)


@pytest.fixture(scope="module")
def colour_clips(tmp_path_factory: pytest.TempPathFactory) -> LabelledClips:
    """72 clips of six classes, each a colour, in groups of two."""
    root = tmp_path_factory.mktemp("colours")
    generator = np.random.default_rng(0)
    colours = [(220, 40, 40), (40, 220, 40), (40, 40, 220), (220, 220, 40), (40, 220, 220), (220, 40, 220)]
    clips, files, labels = [], [], []
    for label, colour in enumerate(colours):
        for number in range(12):
            noise = generator.integers(-35, 36, (6, 32, 32, 3)) + generator.integers(-30, 31, 3)
            frames = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            path = write_video(root / f"{label}-{number}.mp4", frames)
            clips.append(Clip(path.name, str(label), f"{label}/{number // 2}"))
            files.append(ClipFile(path, file_sha256(path)))
            labels.append(label)
    return LabelledClips(clips, files, np.array(labels), [str(clip.group) for clip in clips], list("012345"))


@pytest.fixture(scope="module")
def colour_features(
    colour_clips: LabelledClips, tiny_backbone: Path, tmp_path_factory: pytest.TempPathFactory
) -> FeaturesInMemory:
    return features_of(colour_clips, tiny_backbone, tmp_path_factory.mktemp("colour-cache"))


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


def test_classes_are_left_out_in_turn_and_their_clips_are_the_unknown_ones(
    colour_clips: LabelledClips, colour_features: FeaturesInMemory, tiny_backbone: Path, tmp_path: Path
) -> None:
    recipe = Recipe("", RECIPES[DEFAULT].head, {"num_train_epochs": 1})
    left_out = class_folds(colour_clips.labels, 3)
    assert sorted(np.concatenate(left_out)) == [0, 1, 2, 3, 4, 5]
    folds = group_folds(colour_clips, 2)

    def trials() -> list[UnknownTrial]:
        return leave_out_classes(
            DEFAULT, recipe, colour_clips, folds, left_out, 0, colour_features, str(tiny_backbone), tmp_path
        )

    first = trials()
    written = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")}
    assert len(first) == len(written) == 6
    for trial, (classes, fold) in zip(first, itertools.product(left_out, folds), strict=True):
        assert trial.is_known.tolist() == [label not in classes for label in colour_clips.labels[fold.test]]
    again = trials()
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.safetensors")} == written
    names = colour_clips.label_names
    result = UnknownResult.of(first, 3, names)
    assert result == UnknownResult.of(again, 3, names)
    areas = {row.method: row.auroc for row in result.rows}
    assert areas[OUR_METHOD] > 0.8
    assert result.unknown_refused > result.known_refused
    assert sorted(row.label for row in result.classes) == sorted(names)
    for row in result.classes:
        label = names.index(row.label)
        assert row.clips == (colour_clips.labels == label).sum()
        without = [trial for trial in first if not trial.is_known[trial.labels == label].any()]
        refused = np.concatenate([trial.is_refused[trial.labels == label] for trial in without])
        assert row.refused == refused.mean()
        assert row.refused + row.taken_for_share <= 1 + 1e-9
        # It is never taken for itself, which the model does not know.
        assert row.taken_for in set(names) - {row.label} | {""}
    result.write(tmp_path, {}, "colours")
    assert {path.suffix for path in tmp_path.glob("unknown.*")} == {".json", ".csv", ".md", ".png"}


def test_classes_are_left_out_in_turn_and_taught(
    colour_clips: LabelledClips, colour_features: FeaturesInMemory, tiny_backbone: Path, tmp_path: Path
) -> None:
    fold = group_folds(colour_clips, 2)[0]

    def trial(clips_per_class: int) -> TaughtTrial:
        return teach_left_out_classes(
            *("no-lstm", RECIPES["no-lstm"], colour_clips, fold, np.array([1, 4]), clips_per_class),
            *(0, colour_features, str(tiny_backbone), tmp_path),
        )

    first = trial(3)
    assert trial(3) == first
    assert len(list(tmp_path.rglob("*.json"))) == 1
    assert trial(4) != first
    for figure in (first.new_taught, first.old_taught, first.new_trained, first.old_trained):
        assert figure > 0.8  # colours are easily told
    result = TaughtResult([first, trial(4)], 3)
    assert result.gain("old_taught", "old_taught") == (0, 0, 0)
    assert f"| new classes |  | {100 * result.mean('new_taught'):.1f} % |" in result.to_markdown()
    result.write(tmp_path, {"seeds": 1})
    record = json.loads((tmp_path / "taught.json").read_text())
    assert [each["new_taught"] for each in record["trials"]] == [each.new_taught for each in result.trials]


def test_a_model_without_the_classes_that_are_left_out_knows_the_others(clips: LabelledClips) -> None:
    fold = group_folds(clips, 3)[0]
    known, known_fold = without_classes(clips, fold, np.array([0]))
    assert known.label_names == clips.label_names[1:]
    assert known.labels.tolist() == (clips.labels - 1).tolist()
    for part in ("train", "validation", "test"):
        expected = [index for index in getattr(fold, part) if clips.labels[index] == 1]
        assert getattr(known_fold, part).tolist() == expected


def test_a_recipe_that_does_not_tell_what_it_knows_is_refused(
    clips: LabelledClips, features: FeaturesInMemory, tiny_backbone: Path, tmp_path: Path
) -> None:
    recipe = Recipe("", RECIPES[BASELINE].head, {"num_train_epochs": 1})
    with pytest.raises(ValueError, match="does not tell what it knows"):
        leave_out_classes(
            BASELINE, recipe, clips, group_folds(clips, 2), [np.array([0])], 0, features, str(tiny_backbone), tmp_path
        )


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

    run = compare_script(tiny_dataset.root, *options, "--few-clips", "--unknown")
    assert run.returncode == 2
    assert "choose one" in run.stderr

    run = compare_script(tmp_path / "nowhere", *options)
    assert run.returncode == 2
    assert "nowhere: not a VideoFolder" in run.stderr


def test_a_background_is_learned_beside_the_actions(
    colour_clips: LabelledClips, colour_features: FeaturesInMemory, tiny_backbone: Path, tmp_path: Path
) -> None:
    recipe = RECIPES["no-lstm"]
    fold = group_folds(colour_clips, 2)[0]

    def trial() -> BackgroundTrial:
        return learn_background(
            *("no-lstm", recipe, colour_clips, fold, np.array([0]), np.array([1])),
            *(0, colour_features, str(tiny_backbone), tmp_path),
        )

    first = trial()
    (written,) = tmp_path.rglob("*.json")
    modified = written.stat().st_mtime_ns
    assert trial() == first
    assert written.stat().st_mtime_ns == modified
    assert first.with_it.top1 > 0.9
    assert first.with_it.auroc_alike > 0.99
    assert first.with_it.alike_refused > max(0.9, first.without.alike_refused)
    BackgroundResult([first, first]).write(tmp_path, {"dataset": "colours"})
    table = (tmp_path / "background.md").read_text()
    without, with_it = (100 * each.alike_refused for each in (first.without, first.with_it))
    assert f"| {without:.1f} % | {with_it:.1f} % |" in table
