from __future__ import annotations

import dataclasses
import re
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import VideoFolder, build_from_folders
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.data.video_folder import METADATA_FILE
from resnet_lstm.inference import ClipPrediction, predict_clips
from resnet_lstm.training import RunOptions, TrainedClassifier, TrainingSettings, train_classifier

SETTINGS = TrainingSettings(num_train_epochs=3, train_batch_size=8, early_stopping_patience=0)


class Trainer:
    """Trains on cached features of one dataset."""

    def __init__(self, backbone: Path, processor: ResNetLSTMVideoProcessor, root: Path) -> None:
        self.build_model = partial(ResNetLSTMForVideoClassification.from_backbone, backbone)
        self.processor, self.root = processor, root

    def __call__(self, name: str, folder: VideoFolder, settings: TrainingSettings = SETTINGS) -> TrainedClassifier:
        return train_classifier(
            folder,
            self.root / name,
            self.build_model,
            self.processor,
            settings,
            RunOptions(cache_dir=self.root / "cache", num_workers=0),
            head={"lstm_hidden_size": 16},
            train_baseline=False,
        )


@pytest.fixture
def train(tiny_backbone: Path, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path) -> Trainer:
    return Trainer(tiny_backbone, tiny_processor, tmp_path)


def lstm_weights(trained: TrainedClassifier) -> torch.Tensor:
    assert trained.model.lstm_classifier is not None
    return trained.model.lstm_classifier.weight


def with_misleading_validation(folder: VideoFolder, root: Path, every: int = 1) -> VideoFolder:
    """A dataset of two classes whose validation clips are its training clips, called by the other's name.

    Args:
        folder: The dataset to begin with.
        root: Where the new one goes.
        every: Each so many-th of the clips is; the others keep their name.
    """
    for copied, split in {"train": "train", "validation": "train", "test": "test"}.items():
        shutil.copytree(folder.root / split, root / copied)
    metadata = root / "validation" / METADATA_FILE
    one, other = folder.labels
    swapped = {f",{one},": f",{other},", f",{other},": f",{one},"}
    header, *rows = metadata.read_text().splitlines(keepends=True)
    rows[::every] = [re.sub(f",({one}|{other}),", lambda label: swapped[label[0]], row) for row in rows[::every]]
    metadata.write_text("".join([header, *rows]))
    return VideoFolder.open(root)


def test_an_lstm_that_is_no_better_than_the_start_gets_no_say(
    train: Trainer, tiny_dataset: VideoFolder, tmp_path: Path
) -> None:
    # Whatever it learns of the training clips is wrong for these validation clips.
    misleading = with_misleading_validation(tiny_dataset, tmp_path / "misleading")
    trained = train("model", misleading, dataclasses.replace(SETTINGS, learning_rate=1e-2))
    assert trained.result.start is not None
    losses = [record["validation_loss"] for record in trained.result.history]
    assert min(losses) > trained.result.start["validation_loss"]
    assert trained.result.best_epoch is None
    assert not lstm_weights(trained).any()
    assert "the LSTM has no say" in (train.root / "model" / "README.md").read_text()


def test_an_lstm_that_is_better_by_no_more_than_chance_gets_no_say(
    train: Trainer, tiny_dataset: VideoFolder, tmp_path: Path
) -> None:
    # What it learns is right for two clips in three: on average it gains, but other clips could as well lose.
    misleading = with_misleading_validation(tiny_dataset, tmp_path / "misleading", every=3)
    settings = dataclasses.replace(SETTINGS, num_train_epochs=8, learning_rate=1e-2, refit=False)
    trained = train("model", misleading, settings)
    assert trained.result.start is not None
    losses = [record["validation_loss"] for record in trained.result.history]
    assert min(losses) < trained.result.start["validation_loss"]
    assert trained.result.best_epoch is None
    assert not lstm_weights(trained).any()


def test_when_reading_may_stop_is_learnt_where_validation_clips_are_enough(
    train: Trainer, tiny_dataset: VideoFolder, tmp_path: Path
) -> None:
    settings = dataclasses.replace(SETTINGS, num_train_epochs=1)
    assert train("of-4", tiny_dataset, settings).model.config.early_exit_score is None
    of_32 = train("of-32", with_misleading_validation(tiny_dataset, tmp_path / "misleading"), settings)
    assert of_32.model.config.early_exit_score is not None
    saved = ResNetLSTMForVideoClassification.from_pretrained(train.root / "of-32")
    assert saved.config.early_exit_score == of_32.model.config.early_exit_score


def test_what_a_known_clip_is_like_is_learnt_where_clips_are_enough(
    train: Trainer, tiny_dataset: VideoFolder, tmp_path: Path
) -> None:
    settings = dataclasses.replace(SETTINGS, num_train_epochs=1)
    model = train("model", tiny_dataset, settings).model
    assert model.config.known_threshold is not None
    clips = [tiny_dataset.path(split, clip) for split in ("train", "validation") for clip in tiny_dataset.clips(split)]
    pixel_values = torch.cat([train.processor(clip, return_tensors="pt")["pixel_values"] for clip in clips])
    with torch.no_grad():
        known = model(pixel_values).known_score
    # It has seen these clips: fewer of them are refused than the 5 % of those that it has not.
    assert (known < model.config.known_threshold).float().mean() <= 0.05

    few = shutil.copytree(tiny_dataset.root, tmp_path / "few")
    metadata = few / "train" / METADATA_FILE
    metadata.write_text("".join(metadata.read_text().splitlines(keepends=True)[:9]))
    assert train("of-few", VideoFolder.open(few), settings).model.config.known_threshold is None


def test_an_lstm_that_helps_is_kept(train: Trainer, tiny_dataset: VideoFolder) -> None:
    # The two classes differ in nothing but the order of their frames, which only the LSTM can read.
    settings = dataclasses.replace(SETTINGS, num_train_epochs=30, learning_rate=1e-2)
    trained = train("model", tiny_dataset, settings)
    assert trained.result.best_epoch is not None
    assert trained.result.start is not None
    best = trained.result.history[trained.result.best_epoch]
    assert best["validation_loss"] < trained.result.start["validation_loss"]
    assert lstm_weights(trained).any()


def test_validation_clips_are_trained_on_in_the_end_unless_that_is_declined(
    train: Trainer, tiny_dataset: VideoFolder
) -> None:
    refitted, declined = (
        train(f"refit-{refit}", tiny_dataset, dataclasses.replace(SETTINGS, refit=refit)).model.state_dict()
        for refit in (True, False)
    )
    mean = "resnet_lstm.feature_norm.running_mean"
    assert not torch.allclose(refitted[mean], declined[mean])
    assert not torch.allclose(refitted["classifier.weight"], declined["classifier.weight"])


def test_without_validation_clips_the_classifier_alone_is_trained(
    train: Trainer, tiny_dataset: VideoFolder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = shutil.copytree(tiny_dataset.root, tmp_path / "dataset")
    shutil.rmtree(root / "validation")
    trained = train("model", VideoFolder.open(root))
    assert "no validation clips" in caplog.text
    assert trained.result.history == []
    assert trained.model.classifier.weight.any()
    assert not lstm_weights(trained).any()
    assert trained.report is not None
    assert not (train.root / "model" / "training_curves.png").exists()


def test_what_is_saved_predicts_what_was_scored(train: Trainer, tiny_dataset: VideoFolder) -> None:
    trained = train("model", tiny_dataset)
    assert trained.report is not None
    model = ResNetLSTMForVideoClassification.from_pretrained(train.root / "model")
    clip = tiny_dataset.path("test", tiny_dataset.clips("test")[0])
    inputs = train.processor(clip, return_tensors="pt")
    with torch.no_grad():
        in_float32 = model(**inputs).logits[0].numpy()
        model.compile_for_inference()
        logits = model(**inputs).logits[0].numpy()
    assert logits == pytest.approx(trained.report.logits[0], abs=1e-4)
    assert in_float32 == pytest.approx(trained.report.logits[0], abs=0.3)
    assert model.config.temperature == trained.model.config.temperature


def test_clips_of_the_background_are_taken_for_none_of_the_actions(train: Trainer, tmp_path: Path) -> None:
    classes = ["grow", "brighten", "green_to_red"]
    clips = write_generated_clips(tmp_path / "clips", 20, classes=classes, size=(32, 32), num_frames=12)
    (clips / "green_to_red").rename(clips / "background")
    folder = build_from_folders(clips, tmp_path / "dataset")
    model = train("model", folder, dataclasses.replace(SETTINGS, num_train_epochs=1)).model
    assert model.config.id2label[model.config.background_label_id] == "background"

    saved = ResNetLSTMForVideoClassification.from_pretrained(train.root / "model")
    assert saved.config.background_label_id == model.config.background_label_id
    of_background, of_actions = (
        [folder.path(split, clip) for split in ("train", "test") for clip in folder.clips(split) if is_wanted(clip)]
        for is_wanted in (lambda clip: clip.label == "background", lambda clip: clip.label != "background")
    )
    is_refused = {
        prediction.source: prediction.is_unknown(saved.config)
        for prediction in predict_clips(saved, train.processor, [*of_background, *of_actions])
        if isinstance(prediction, ClipPrediction)
    }
    assert np.mean([is_refused[path] for path in of_background]) > 0.9
    assert np.mean([is_refused[path] for path in of_actions]) < 0.2
