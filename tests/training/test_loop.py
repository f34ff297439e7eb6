from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from accelerate.utils import DataLoaderConfiguration, set_seed
from torch.utils.data import default_collate

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.accelerator import create_accelerator
from resnet_lstm.data import VideoFolder
from resnet_lstm.features import UNIFORM, FeatureCache, View, clip_files, extract_features
from resnet_lstm.training import DivergenceError, ResumeError, TrainingResult, TrainingSettings
from resnet_lstm.training.checkpoint import load_tensors, trained_weights
from resnet_lstm.training.class_weights import class_weights
from resnet_lstm.training.datasets import ClipDataset, FeatureDataset
from resnet_lstm.training.loop import CHECKPOINT_FILE, LOG_FILE, TrainingLoop, parameter_groups

SETTINGS = TrainingSettings(
    num_train_epochs=4,
    train_batch_size=5,
    learning_rate=1e-2,
    early_stopping_patience=0,
    checkpoint_interval_seconds=0,
)


class PowerFailureError(Exception):
    """The run ends here."""


class Runner:
    """Builds the same run again and again."""

    def __init__(self, backbone: Path, folder: VideoFolder, root: Path) -> None:
        self.backbone, self.folder, self.root = backbone, folder, root
        self.processor = ResNetLSTMVideoProcessor(size={"height": 32, "width": 32}, num_frames=6)

    def loop(
        self, name: str, settings: TrainingSettings = SETTINGS, facts: dict[str, str] | None = None
    ) -> TrainingLoop:
        set_seed(settings.seed)
        labels = self.folder.labels
        self.model = model = ResNetLSTMForVideoClassification.from_backbone(
            self.backbone, id2label=dict(enumerate(labels)), num_frames=6, lstm_hidden_size=12
        )
        cache = FeatureCache(self.root / "cache", model.resnet_lstm, self.processor)
        datasets = {}
        for split, views in (("train", [UNIFORM, View("random-1-flip")]), ("validation", [UNIFORM])):
            clips = clip_files(self.folder, split)
            extract_features(model.resnet_lstm, self.processor, cache, clips, views, num_workers=0)
            ids = [labels.index(clip.label) for clip in self.folder.clips(split)]
            datasets[split] = FeatureDataset(clips, ids, cache, views, settings.seed)
        output = self.root / name
        output.mkdir(exist_ok=True)
        accelerator = create_accelerator(
            gradient_accumulation_steps=settings.gradient_accumulation_steps,
            dataloader_config=DataLoaderConfiguration(
                split_batches=True, use_seedable_sampler=True, data_seed=settings.seed
            ),
        )
        weights = class_weights(datasets["train"].labels, 2, settings.class_weight)
        return TrainingLoop(
            model, datasets["train"], datasets["validation"], weights, settings, output, accelerator, run_facts=facts
        )

    def interrupted(self, name: str, after: int, settings: TrainingSettings = SETTINGS) -> None:
        """Run until `after` batches have been trained on."""
        loop = self.loop(name, settings)
        seen = 0
        forward = loop.model.forward

        def counted(*args: torch.Tensor, **kwargs: torch.Tensor) -> object:
            nonlocal seen
            if loop.model.training:
                if seen == after:
                    raise PowerFailureError
                seen += 1
            return forward(*args, **kwargs)

        loop.model.forward = counted
        with pytest.raises(PowerFailureError):
            loop.run(resume=True)


@pytest.fixture
def runner(tiny_backbone: Path, tiny_dataset: VideoFolder, tmp_path: Path) -> Runner:
    return Runner(tiny_backbone, tiny_dataset, tmp_path)


def without_times(result: TrainingResult) -> list[dict[str, float]]:
    return [
        {name: value for name, value in record.items() if name not in ("seconds", "split_scheme")}
        for record in result.history
    ]


def final_weights(loop: TrainingLoop) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in trained_weights(loop.unwrapped_model).items()}


def test_the_loss_falls_and_the_log_says_so(runner: Runner) -> None:
    loop = runner.loop("run", dataclasses.replace(SETTINGS, num_train_epochs=12))
    result = loop.run()
    assert len(result.history) == 12
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"]
    logged = [json.loads(line) for line in (runner.root / "run" / LOG_FILE).read_text().splitlines()]
    assert logged == result.history


def test_the_same_seed_gives_the_same_run_and_another_seed_another(runner: Runner) -> None:
    results = {}
    for name, seed in (("first", 0), ("second", 0), ("third", 1)):
        results[name] = without_times(runner.loop(name, dataclasses.replace(SETTINGS, seed=seed)).run())
    assert results["first"] == results["second"]
    assert results["first"] != results["third"]


@pytest.mark.parametrize("accumulation", [1, 2])
def test_a_run_broken_anywhere_ends_as_an_unbroken_one(runner: Runner, accumulation: int) -> None:
    settings = dataclasses.replace(SETTINGS, gradient_accumulation_steps=accumulation)
    unbroken = runner.loop("unbroken", settings)
    expected = unbroken.run()
    # 32 clips in batches of 5 are 7 batches an epoch.
    for after in (3, 8, 6):
        runner.interrupted("broken", after, settings)
    resumed = runner.loop("broken", settings)
    result = resumed.run(resume=True)
    assert without_times(result) == without_times(expected)
    assert result.best_epoch == expected.best_epoch
    weights = final_weights(unbroken)
    for name, tensor in final_weights(resumed).items():
        torch.testing.assert_close(tensor, weights[name], rtol=0, atol=0, msg=name)


def test_the_best_epoch_is_kept(runner: Runner) -> None:
    # A rate this high spoils what was learnt.
    loop = runner.loop("run", dataclasses.replace(SETTINGS, num_train_epochs=6, learning_rate=1.0))
    result = loop.run()
    losses = [record["validation_loss"] for record in result.history]
    assert result.best_epoch == losses.index(min(losses))
    assert loop._validate()["loss"] == pytest.approx(min(losses), abs=1e-6)


def test_it_stops_early(runner: Runner) -> None:
    settings = dataclasses.replace(SETTINGS, num_train_epochs=30, learning_rate=1.0, early_stopping_patience=2)
    result = runner.loop("run", settings).run()
    assert result.best_epoch is not None
    assert len(result.history) == result.best_epoch + 3 < 30


def test_a_checkpoint_of_another_run_is_refused(runner: Runner) -> None:
    runner.interrupted("run", after=3)
    with pytest.raises(ResumeError, match=r"settings.learning_rate: 0.01 there, 0.5 here"):
        runner.loop("run", dataclasses.replace(SETTINGS, learning_rate=0.5)).run(resume=True)
    with pytest.raises(ResumeError, match=r"dataset: None there, other here"):
        runner.loop("run", facts={"dataset": "other"}).run(resume=True)


def test_checkpoints_leave_the_frozen_backbone_out(runner: Runner) -> None:
    runner.interrupted("run", after=3)
    tensors, _ = load_tensors(runner.root / "run" / CHECKPOINT_FILE)
    assert "model.classifier.weight" in tensors
    assert not [name for name in tensors if "backbone" in name]


def test_a_loss_that_is_no_number_stops_the_run(runner: Runner) -> None:
    loop = runner.loop("run")
    with torch.no_grad():
        runner.model.classifier.weight.fill_(float("nan"))
    with pytest.raises(DivergenceError, match="epoch 0, batch 1: the loss is nan"):
        loop.run()


def test_each_epoch_draws_other_views_but_always_the_same_ones(runner: Runner) -> None:
    dataset = runner.loop("run").train_dataset

    def epoch(number: int) -> torch.Tensor:
        dataset.set_epoch(number)
        return torch.stack([dataset[index]["frame_features"] for index in range(len(dataset))])

    torch.testing.assert_close(epoch(1), epoch(1), rtol=0, atol=0)
    assert not torch.equal(epoch(1), epoch(2))


def first_pixel_values(dataset: ClipDataset) -> torch.Tensor:
    """What the model is called with for the first clip, `[1, T, C, height, width]`."""
    return dataset.to_inputs(default_collate([dataset[0]]))["pixel_values"]


def test_clips_are_augmented_only_in_training(runner: Runner) -> None:
    clips = clip_files(runner.folder, "test")
    expected = runner.processor(clips[0].path, return_tensors="pt")["pixel_values"]
    plain = ClipDataset(clips, [0] * 4, runner.processor)
    augmented = ClipDataset(clips, [0] * 4, runner.processor, augment=True, flip=True)
    seen = set()
    for epoch in range(6):
        plain.set_epoch(epoch)
        augmented.set_epoch(epoch)
        torch.testing.assert_close(first_pixel_values(plain), expected, rtol=0, atol=0)
        pixel_values = first_pixel_values(augmented)
        torch.testing.assert_close(first_pixel_values(augmented), pixel_values, rtol=0, atol=0)
        seen.add(pixel_values.sum(dim=(0, 1, 2, 3)).numpy().tobytes())
    assert len(seen) == 6


def test_class_weights() -> None:
    labels = [0] * 8 + [1] * 2
    torch.testing.assert_close(class_weights(labels, 3, "none"), torch.tensor([1.0, 1.0, 0.0]))
    torch.testing.assert_close(class_weights(labels, 3, "balanced"), torch.tensor([0.625, 2.5, 0.0]))
    weights = class_weights(labels, 3, "sqrt")
    assert weights[1] / weights[0] == pytest.approx(2)
    assert weights[labels].mean() == pytest.approx(1)


def test_norms_and_biases_do_not_decay_and_the_backbone_has_its_own_rate(runner: Runner) -> None:
    runner.loop("run")
    model = runner.model
    rates = {group["lr"] for group in parameter_groups(model, SETTINGS)}
    assert rates == {SETTINGS.learning_rate}
    model.unfreeze_backbone()
    for group in parameter_groups(model, SETTINGS):
        assert {parameter.ndim > 1 for parameter in group["params"]} == {group["weight_decay"] > 0}
    rates = {group["lr"] for group in parameter_groups(model, SETTINGS)}
    assert rates == {SETTINGS.learning_rate, SETTINGS.backbone_learning_rate}
