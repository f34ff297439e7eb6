"""Clips of other actions that a training is given to learn by: which they are, and what they change."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import make_tiny_processor
from resnet_lstm import ResNetLSTMForVideoClassification
from resnet_lstm.data import DatasetError, VideoFolder
from resnet_lstm.data.generated_clips import write_generated_clips
from resnet_lstm.evaluation.unknown_clips import find_unknown_clips
from resnet_lstm.inference import ClipPrediction, predict_clips
from resnet_lstm.training import RunOptions, TrainingSettings, train_classifier


@pytest.fixture(scope="module")
def others(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six clips of each of "grow" and "green_to_red"."""
    return write_generated_clips(
        tmp_path_factory.mktemp("others") / "clips", 6, classes=["grow", "green_to_red"], size=(32, 32), num_frames=12
    )


def trained(folder: VideoFolder, backbone: Path, root: Path, unknown: Path | None) -> ResNetLSTMForVideoClassification:
    train_classifier(
        folder,
        root / f"with-{unknown is not None}",
        partial(ResNetLSTMForVideoClassification.from_backbone, backbone),
        make_tiny_processor(),
        TrainingSettings(num_train_epochs=1, train_batch_size=8),
        RunOptions(cache_dir=root / "cache", num_workers=0, precision="fp32"),
        head={"num_lstm_layers": 0},
        train_baseline=False,
        unknown=find_unknown_clips(unknown, folder.labels) if unknown else (),
    )
    return ResNetLSTMForVideoClassification.from_pretrained(root / f"with-{unknown is not None}").eval()


def test_a_model_that_has_seen_others_tells_their_like_better(
    tiny_dataset: VideoFolder, tiny_backbone: Path, others: Path, tmp_path: Path
) -> None:
    without, with_others = (trained(tiny_dataset, tiny_backbone, tmp_path, place) for place in (None, others))
    assert (without.config.num_background_kinds, with_others.config.num_background_kinds) == (0, 2)
    # What is learned of others changes no answer.
    torch.testing.assert_close(with_others.classifier.weight, without.classifier.weight)
    unseen = write_generated_clips(
        tmp_path / "unseen", 9, classes=["grow", "green_to_red"], size=(32, 32), num_frames=12, seed=1
    )
    known = [tiny_dataset.path("test", clip) for clip in tiny_dataset.clips("test")]

    def part_refused(model: ResNetLSTMForVideoClassification, clips: list[Path]) -> float:
        answers = list(predict_clips(model, make_tiny_processor(), clips, num_workers=0))
        told = [a.is_unknown(model.config.known_threshold) for a in answers if isinstance(a, ClipPrediction)]
        assert len(told) == len(clips)
        return float(np.mean(told))

    clips = sorted(unseen.rglob("*.mp4"))
    assert part_refused(with_others, clips) > part_refused(without, clips)
    assert part_refused(with_others, clips) > part_refused(with_others, known)


def test_others_are_named_by_their_folders_and_known_ones_left_out(others: Path) -> None:
    clips = find_unknown_clips(others, ["grow"])
    assert {clip.kind for clip in clips} == {"green_to_red"}
    assert len({clip.group for clip in clips}) == 6
    with pytest.raises(DatasetError, match="all its clips are of actions that the model knows"):
        find_unknown_clips(others, ["grow", "green_to_red"])
    with pytest.raises(DatasetError, match="no such folder"):
        find_unknown_clips(others / "nowhere", [])


def test_of_a_dataset_the_splits_that_are_asked_for_are_taken(tiny_dataset: VideoFolder) -> None:
    clips = find_unknown_clips(tiny_dataset.root, ["brighten"], ("train", "validation"))
    expected = [
        (tiny_dataset.path(split, clip), clip.label, tiny_dataset.group_of(clip))
        for split in ("train", "validation")
        for clip in tiny_dataset.clips(split)
        if clip.label != "brighten"
    ]
    assert [(clip.path, clip.kind, clip.group) for clip in clips] == expected
