from __future__ import annotations

import dataclasses
import json
import shutil
from functools import partial
from pathlib import Path

import pytest
import torch

from conftest import build_tiny_model
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import VideoFolder
from resnet_lstm.data.video_folder import DatasetError
from resnet_lstm.training import RunOptions, TrainedClassifier, TrainingSettings, TuningSettings, train_classifier
from resnet_lstm.training.clip_augmentation import ClipAugmentation
from resnet_lstm.training.pull_to_start import PullToStart
from resnet_lstm.training.tuned_parts import TunedByClips, TunedByMaps, tuned_parameter_groups
from resnet_lstm.training.tuning import best_point
from resnet_lstm.training.weight_line import POINTS, WeightLine

SETTINGS = TrainingSettings(num_train_epochs=1, early_stopping_patience=0)
LAST_STAGE = TuningSettings(unfreeze="last_stage", tuning_epochs=2, tuning_learning_rate=1e-3)
ALL = dataclasses.replace(LAST_STAGE, unfreeze="all")


class Tuner:
    """Trains and tunes on one dataset."""

    def __init__(self, backbone: Path, processor: ResNetLSTMVideoProcessor, root: Path) -> None:
        self.backbone, self.processor, self.root = backbone, processor, root
        self.build_model = partial(ResNetLSTMForVideoClassification.from_backbone, backbone)

    def __call__(
        self,
        name: str,
        folder: VideoFolder,
        tuning: TuningSettings | None = None,
        settings: TrainingSettings = SETTINGS,
        num_views: int = 1,
    ) -> TrainedClassifier:
        return train_classifier(
            folder,
            self.root / name,
            self.build_model,
            self.processor,
            settings,
            RunOptions(cache_dir=self.root / "cache", num_workers=0, num_views=num_views, precision="fp32"),
            head={"lstm_hidden_size": 16},
            train_baseline=False,
            tuning=tuning,
        )


@pytest.fixture
def tuner(tunable_backbone: Path, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path) -> Tuner:
    return Tuner(tunable_backbone, tiny_processor, tmp_path)


def backbone_of(trained: TrainedClassifier) -> dict[str, torch.Tensor]:
    return dict(trained.model.resnet_lstm.backbone.state_dict())


@pytest.mark.parametrize("tuning", [LAST_STAGE, ALL], ids=lambda tuning: tuning.unfreeze)
def test_the_result_is_never_below_the_frozen_model_on_validation_clips(
    tuner: Tuner, tiny_dataset: VideoFolder, tuning: TuningSettings
) -> None:
    frozen = tuner("frozen", tiny_dataset)
    assert frozen.result.validation is not None
    # From a rate that does little to one that spoils all that the backbone knew.
    for rate in (1e-4, 1e-2, 10.0):
        tuned = tuner(f"tuned-{rate}", tiny_dataset, dataclasses.replace(tuning, tuning_learning_rate=rate))
        outcome = tuned.tuning
        assert outcome is not None
        assert tuned.result.validation is not None
        assert outcome.points.keys() == set(POINTS)
        assert outcome.points[outcome.chosen]["loss"] == min(figures["loss"] for figures in outcome.points.values())
        assert outcome.frozen == frozen.result.validation
        assert tuned.result.validation["loss"] <= frozen.result.validation["loss"]
        is_pretrained = all(backbone_of(frozen)[name].equal(tensor) for name, tensor in backbone_of(tuned).items())
        assert outcome.is_kept is not is_pretrained
        if not outcome.is_kept:
            frozen_weights = frozen.model.state_dict()
            assert all(frozen_weights[name].equal(tensor) for name, tensor in tuned.model.state_dict().items())


def test_of_the_last_stage_alone_nothing_before_it_changes(tuner: Tuner, tiny_dataset: VideoFolder) -> None:
    frozen = tuner("frozen", tiny_dataset)
    tuned = tuner("tuned", tiny_dataset, dataclasses.replace(LAST_STAGE, tuning_learning_rate=1e-2))
    before, after = backbone_of(frozen), backbone_of(tuned)
    changed = {name for name in before if not before[name].equal(after[name])}
    assert tuned.tuning is not None
    assert bool(changed) is tuned.tuning.is_kept
    assert all(name.startswith("encoder.stages.1.") and "running" not in name for name in changed)


@pytest.mark.parametrize("tuning", [LAST_STAGE, ALL], ids=lambda tuning: tuning.unfreeze)
def test_what_was_chosen_stands_in_the_log_the_facts_and_the_card(
    tuner: Tuner, tiny_dataset: VideoFolder, tuning: TuningSettings
) -> None:
    tuned = tuner("model", tiny_dataset, tuning, num_views=2)
    output = tuner.root / "model"
    assert tuned.tuning is not None
    log = [json.loads(line) for line in (output / "tuning_log.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in log if "epoch" in record] == [0, 1]
    assert {record["point"]: record["validation_loss"] for record in log if "point" in record} == {
        point: figures["loss"] for point, figures in tuned.tuning.points.items()
    }
    assert log[-1]["chosen"] == tuned.tuning.chosen
    facts = json.loads((output / "training.json").read_text())["training"]
    assert facts["unfreeze"] == tuning.unfreeze
    card = (output / "README.md").read_text()
    for name, value in tuned.tuning.in_words().items():
        assert facts[name] == value
        assert name in card
    assert not (output / "tuning").exists()
    assert not (output / "tuned").exists()


def test_without_validation_clips_there_is_no_tuning(tuner: Tuner, tiny_dataset: VideoFolder, tmp_path: Path) -> None:
    root = shutil.copytree(tiny_dataset.root, tmp_path / "dataset")
    shutil.rmtree(root / "validation")
    with pytest.raises(DatasetError, match="unfreeze=last_stage needs validation clips"):
        tuner("model", VideoFolder.open(root), LAST_STAGE)


def test_a_backbone_that_is_trained_from_its_start_is_not_tuned(tuner: Tuner, tiny_dataset: VideoFolder) -> None:
    def unfrozen(**config: object) -> ResNetLSTMForVideoClassification:
        model = ResNetLSTMForVideoClassification.from_backbone(tuner.backbone, **config)
        model.unfreeze_backbone()
        return model

    tuner.build_model = unfrozen  # type: ignore[assignment]
    with pytest.raises(ValueError, match="unfreeze=all: the model comes with its backbone unfrozen"):
        tuner("model", tiny_dataset, ALL)


def test_of_equal_points_the_one_nearest_to_the_frozen_model_is_chosen() -> None:
    figures = {0.0: 0.9, 0.25: 0.7, 0.5: 0.6, 0.75: 0.6, 1.0: 0.8}
    points = {point: {"loss": value, "top1": value, "macro_f1": 0.5} for point, value in figures.items()}
    assert best_point(points, SETTINGS) == 0.5
    assert best_point(points, dataclasses.replace(SETTINGS, metric_for_best_model="top1")) == 0.0
    assert best_point(points, dataclasses.replace(SETTINGS, metric_for_best_model="macro_f1")) == 0.0


def test_both_ends_of_the_line_are_met_to_the_bit() -> None:
    module = torch.nn.BatchNorm1d(3)
    start = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with torch.no_grad():
        module.weight.copy_(torch.tensor([0.1, 0.2, 0.3]))
    end = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    line = WeightLine(module, start)
    for point, expected in ((0.0, start), (1.0, end)):
        line.move_to(point)
        assert all(tensor.equal(expected[name]) for name, tensor in module.state_dict().items())
    line.move_to(0.5)
    torch.testing.assert_close(module.weight.data, torch.tensor([0.55, 0.6, 0.65]))


@pytest.mark.parametrize(("part", "stages"), [(TunedByMaps, {1}), (TunedByClips, {-1, 0, 1})])
def test_earlier_stages_are_tuned_at_lower_rates_and_norms_and_head_do_not_decay_or_move(
    tiny_backbone: Path, part: type[TunedByMaps | TunedByClips], stages: set[int]
) -> None:
    tuned = part(build_tiny_model(tiny_backbone), torch.float32)
    assert all(".backbone." in name for name, weight in tuned.named_parameters() if weight.requires_grad)
    groups = tuned_parameter_groups(tuned, dataclasses.replace(ALL, layer_decay=0.1), weight_decay=0.05)
    assert {round(group["lr"], 9) for group in groups} == {round(1e-3 * 0.1 ** (1 - stage), 9) for stage in stages}
    for group in groups:
        assert {parameter.ndim > 1 for parameter in group["params"]} == {group["weight_decay"] > 0}


def test_tuning_by_maps_sees_what_the_whole_model_sees(tiny_backbone: Path) -> None:
    model = build_tiny_model(tiny_backbone, temporal_change=True)
    pixel_values = torch.randn(2, 6, 3, 32, 32)
    expected = model(pixel_values).logits
    base = model.resnet_lstm
    with torch.no_grad():
        features, hidden_states = base.read_frames(pixel_values.flatten(0, 1))
    maps = hidden_states[-2].permute(0, 2, 3, 1).unflatten(0, (2, 6))
    bands = features[:, base.config.pooled_size :].unflatten(0, (2, 6))
    torch.testing.assert_close(TunedByMaps(model, torch.float32)(maps, bands).logits, expected)


def test_tuned_weights_are_pulled_to_where_they_began() -> None:
    module = torch.nn.Linear(2, 1)
    pull = PullToStart(module, strength=0.5)
    assert pull().item() == 0
    with torch.no_grad():
        module.bias.add_(2)
    assert pull().item() == pytest.approx(1.0)
    pull().backward()
    assert module.bias.grad is not None
    assert module.bias.grad.item() == pytest.approx(1.0)


def test_augmentation_is_the_same_for_all_frames_of_a_clip_and_follows_from_its_seed() -> None:
    picture = torch.randint(0, 256, (1, 24, 32, 3), dtype=torch.uint8)
    clip = picture.expand(5, -1, -1, -1)
    augment = ClipAugmentation()
    augmented = augment(clip, seed=1)
    assert augmented.shape == clip.shape
    assert augmented.dtype == torch.uint8
    assert all(frame.equal(augmented[0]) for frame in augmented)
    assert not augmented.equal(clip)
    torch.manual_seed(7)
    assert augment(clip, seed=1).equal(augmented)
    assert not augment(clip, seed=2).equal(augmented)
