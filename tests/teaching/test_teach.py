from __future__ import annotations

import copy
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import build_tiny_model
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data import DatasetError, VideoFolder
from resnet_lstm.data.generated_clips import generate_frames, write_generated_clips
from resnet_lstm.features import FeatureCache
from resnet_lstm.inference import ClipPrediction, predict_clips
from resnet_lstm.teaching import TaughtModel, TeachingError, learn_statistics, teach
from resnet_lstm.training.class_moments import ClassMoments
from resnet_lstm.training.discriminant import DiscriminantSolver

GREEN = "green_to_red"


def clip_features(
    model: ResNetLSTMForVideoClassification, processor: ResNetLSTMVideoProcessor, clips: list[Path]
) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat([model(**processor(clip, return_tensors="pt")).clip_features for clip in clips])


def training_clips(folder: VideoFolder) -> tuple[list[Path], list[str], list[str]]:
    """The clips that a model was trained on in the end, their labels and groups."""
    clips = [(split, clip) for split in ("train", "validation") for clip in folder.clips(split)]
    return (
        [folder.path(split, clip) for split, clip in clips],
        [clip.label for _, clip in clips],
        [folder.group_of(clip) for _, clip in clips],
    )


@pytest.fixture
def taught(
    teachable_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, new_clips: Path
) -> TaughtModel:
    """The model of "brighten" and "darken", taught "grow" and "green_to_red"."""
    return teach(teachable_model, tiny_processor, {name: new_clips / name for name in ("grow", GREEN)})


def test_new_classes_are_known_beside_the_old_ones(
    taught: TaughtModel,
    teachable_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tmp_path: Path,
) -> None:
    assert list(taught.model.config.id2label.values()) == ["brighten", "darken", "grow", GREEN]
    assert teachable_model.config.num_labels == 2
    others = write_generated_clips(tmp_path / "others", 6, seed=1, classes=[GREEN], size=(32, 32), num_frames=12)
    with torch.inference_mode():
        answers = [
            int(taught.model(**tiny_processor(clip, return_tensors="pt")).logits.argmax())
            for clip in (others / GREEN).iterdir()
        ]
    assert answers.count(3) >= 5


def test_no_old_clip_is_needed_for_what_training_on_all_clips_would_give(
    taught: TaughtModel, tiny_processor: ResNetLSTMVideoProcessor, tiny_dataset: VideoFolder
) -> None:
    old, labels, groups = training_clips(tiny_dataset)
    paths = [*old, *(Path(clip.source) for clip in taught.clips)]
    names = [*labels, *(clip.label for clip in taught.clips)]
    model = taught.model
    statistics = model.class_statistics
    assert statistics is not None
    moments = ClassMoments.of(
        clip_features(model, tiny_processor, paths),
        np.array([model.config.label2id[name] for name in names]),
        [*groups, *(clip.group for clip in taught.clips)],
    )
    classifier = DiscriminantSolver(moments, 4).classifier(float(statistics.shrinkage), float(statistics.prior_groups))
    classifier = classifier.divided_by(float(statistics.divisor))
    torch.testing.assert_close(model.classifier.weight.detach(), classifier.weight, atol=1e-4, rtol=1e-3)


def test_clips_are_recognised_by_what_was_learned_from_other_recordings(
    taught: TaughtModel, teachable_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor
) -> None:
    assert taught.report.metrics.clips == len(taught.clips) == 8
    assert "of 8 taught clips, 0 equal a training clip" in taught.report.summary()
    assert "one recording left out at a time" in taught.report.summary()
    # What a model that was taught without a clip says of the clip.
    left_out = taught.clips[0]
    classes = {
        name: [clip.source for clip in taught.clips if clip.label == name and clip is not left_out]
        for name in ("grow", GREEN)
    }
    without = teach(teachable_model, tiny_processor, classes).model
    features = clip_features(without, tiny_processor, [Path(left_out.source)])
    with torch.no_grad():
        logits, of_all = (
            (model.classifier(features) / model.config.temperature)[0].numpy() for model in (without, taught.model)
        )
    # Not equal: what is taken from new classes for chance is estimated from one clip less by the former.
    away, learned = (np.abs(taught.report.logits[0] - others).max() for others in (logits, of_all))
    assert away < learned / 20


def test_what_is_unknown_is_told_anew(
    taught: TaughtModel, teachable_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor
) -> None:
    assert teachable_model.config.known_threshold is not None
    assert taught.model.config.known_threshold is not None
    before, after = teachable_model.known_score, taught.model.known_score
    assert before is not None
    assert after is not None
    torch.testing.assert_close(after.sign_means[:, :2], before.sign_means)
    with torch.inference_mode():
        known = [
            float(taught.model(**tiny_processor(clip.source, return_tensors="pt")).known_score)
            for clip in taught.clips
        ]
    assert np.mean(np.array(known) < taught.model.config.known_threshold) <= 0.25


def test_a_taught_model_can_be_taught_again(
    taught: TaughtModel, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path
) -> None:
    clips = write_generated_clips(tmp_path / "more", 3, classes=["move_left"], size=(32, 32), num_frames=12)
    again = teach(taught.model, tiny_processor, {"move_left": clips})
    assert list(again.model.config.id2label.values())[2:] == ["grow", GREEN, "move_left"]
    statistics = again.model.class_statistics
    assert statistics is not None
    assert statistics.num_clips.tolist()[2:] == [4, 4, 3]


def test_a_class_that_is_known_learns_from_more_clips(
    taught: TaughtModel, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path
) -> None:
    clips = write_generated_clips(tmp_path / "more", 3, seed=1, classes=["grow"], size=(32, 32), num_frames=12)
    again = teach(taught.model, tiny_processor, {"grow": clips})
    assert again.model.config.id2label == taught.model.config.id2label
    statistics = again.model.class_statistics
    assert statistics is not None
    assert statistics.num_clips.tolist()[2:] == [7, 4]
    assert statistics.num_groups.tolist()[2:] == [7, 4]


def test_old_classes_can_be_replaced(
    teachable_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, new_clips: Path
) -> None:
    classes = {name: new_clips / name for name in ("grow", GREEN)}
    taught = teach(teachable_model, tiny_processor, classes, replace=True)
    assert list(taught.model.config.id2label.values()) == ["grow", GREEN]
    assert taught.model.lstm_classifier is not None
    assert not taught.model.lstm_classifier.weight.any()
    # Eight clips are too few to tell what a known one is like.
    assert taught.model.config.known_threshold is None
    # Of a model that keeps nothing, what is needed is learned from the new clips alone.
    teachable_model.set_class_statistics(None)
    assert teach(teachable_model, tiny_processor, classes, replace=True).model.class_statistics is not None


def test_the_lstm_keeps_its_say_about_old_classes_and_has_none_about_new_ones(
    teachable_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, new_clips: Path
) -> None:
    assert teachable_model.lstm_classifier is not None
    teachable_model.lstm_classifier.weight.data.normal_()
    result = teach(teachable_model, tiny_processor, {"grow": new_clips / "grow"})
    taught = result.model
    assert taught.lstm_classifier is not None
    torch.testing.assert_close(taught.lstm_classifier.weight[:2], teachable_model.lstm_classifier.weight)
    assert not taught.lstm_classifier.weight[2:].any()
    # Nor is it passed over where the clips are recognised.
    teachable_model.lstm_classifier.weight.data.zero_()
    without = teach(teachable_model, tiny_processor, {"grow": new_clips / "grow"})
    assert (np.abs(result.report.logits - without.report.logits)[:, :2] > 1e-3).all()
    np.testing.assert_allclose(result.report.logits[:, 2], without.report.logits[:, 2], atol=1e-4)


def test_files_folders_frames_and_a_cache_teach_the_same(
    teachable_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path
) -> None:
    frames = [generate_frames(GREEN, index, 0, size=(32, 32), num_frames=6) for index in range(2)]
    assert teach(teachable_model, tiny_processor, {GREEN: frames}).clips[1].name == f"{GREEN}/clip (2)"
    clips = write_generated_clips(tmp_path / "clips", 2, classes=[GREEN], size=(32, 32), num_frames=12)
    cache = FeatureCache.of_model(tmp_path / "cache", teachable_model.resnet_lstm, tiny_processor)
    weights = [
        teach(teachable_model, tiny_processor, {GREEN: sources}, cache=kept_in).model.classifier.weight
        for sources, kept_in in ((clips, None), (sorted(clips.rglob("*.mp4")), None), (clips, cache), (clips, cache))
    ]
    for other in weights[1:]:
        torch.testing.assert_close(other, weights[0], atol=1e-3, rtol=1e-2)
    assert len(list((tmp_path / "cache").rglob("*.safetensors"))) == 2


def test_a_clip_that_cannot_be_read_is_named_and_left_out(
    teachable_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    new_clips: Path,
    tmp_path: Path,
) -> None:
    clips = shutil.copytree(new_clips / "grow", tmp_path / "grow")
    (clips / "broken.mp4").write_bytes(b"no video")
    cache = FeatureCache.of_model(tmp_path / "cache", teachable_model.resnet_lstm, tiny_processor)
    for kept_in in (None, cache):
        taught = teach(teachable_model, tiny_processor, {"grow": clips}, cache=kept_in)
        assert len(taught.clips) == 4
        assert [re.search(r"broken\.mp4: not readable as a video", error) is not None for _, error in taught.errors]
    one = [clips / "broken.mp4", clips / "grow_000.mp4"]
    with pytest.raises(
        TeachingError, match=r"class 'grow': has 1 clip that can be used \(.*broken\.mp4: not readable"
    ):
        teach(teachable_model, tiny_processor, {"grow": one})


def test_what_a_model_needs_to_be_taught_is_saved_with_it(
    taught: TaughtModel, tiny_processor: ResNetLSTMVideoProcessor, new_clips: Path, tmp_path: Path
) -> None:
    taught.model.save_pretrained(tmp_path / "taught")
    loaded = ResNetLSTMForVideoClassification.from_pretrained(tmp_path / "taught", dtype=torch.bfloat16).eval()
    assert loaded.class_statistics is not None
    assert taught.model.class_statistics is not None
    for name, statistic in taught.model.class_statistics.named_buffers():
        torch.testing.assert_close(loaded.class_statistics.get_buffer(name), statistic)
    pixel_values = tiny_processor(taught.clips[0].source, return_tensors="pt")["pixel_values"]
    loaded = ResNetLSTMForVideoClassification.from_pretrained(tmp_path / "taught").eval()
    with torch.inference_mode():
        torch.testing.assert_close(loaded(pixel_values).logits, taught.model(pixel_values).logits)


def test_a_new_classifier_forgets_the_statistics(teachable_dir: Path) -> None:
    model = ResNetLSTMForVideoClassification.from_pretrained(teachable_dir, num_labels=7, ignore_mismatched_sizes=True)
    assert model.class_statistics is None
    assert model.config.num_class_directions == 0


def test_a_model_without_statistics_learns_them_from_its_dataset(
    teachable_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    tiny_dataset: VideoFolder,
    new_clips: Path,
) -> None:
    classes = {"grow": new_clips / "grow"}
    kept = teach(teachable_model, tiny_processor, classes).model
    old = copy.deepcopy(teachable_model)
    old.set_class_statistics(None)
    with pytest.raises(TeachingError, match=r"keeps no statistics of its classes.*Give the dataset"):
        teach(old, tiny_processor, classes)
    learn_statistics(old, tiny_processor, tiny_dataset)
    torch.testing.assert_close(old.classifier.weight, teachable_model.classifier.weight)
    learned = teach(old, tiny_processor, classes).model
    torch.testing.assert_close(learned.classifier.weight, kept.classifier.weight, atol=1e-4, rtol=1e-3)


def test_statistics_are_not_learned_from_another_dataset(
    tiny_backbone: Path, tiny_processor: ResNetLSTMVideoProcessor, tiny_dataset: VideoFolder
) -> None:
    other = build_tiny_model(tiny_backbone)  # of jump, run and swim
    with pytest.raises(DatasetError, match="only one of the two has brighten, darken, jump, run, swim"):
        learn_statistics(other, tiny_processor, tiny_dataset)


def test_a_background_can_be_taught_and_is_taken_for_none_of_the_actions(
    teachable_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, new_clips: Path
) -> None:
    lessons = {"grow": new_clips / "grow", "background": new_clips / "green_to_red"}
    taught = teach(teachable_model, tiny_processor, lessons)
    config = taught.model.config
    assert config.id2label[config.background_label_id] == "background"
    refused = {
        label: [
            prediction.is_unknown(config)
            for prediction in predict_clips(taught.model, tiny_processor, sorted(folder.iterdir()))
            if isinstance(prediction, ClipPrediction)
        ]
        for label, folder in lessons.items()
    }
    assert all(refused["background"])
    assert not any(refused["grow"])
    again = teach(taught.model, tiny_processor, {"shrink": [generate_frames("shrink", i, 0) for i in range(4)]})
    assert again.model.config.background_label_id == config.background_label_id
