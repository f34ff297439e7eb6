from __future__ import annotations

from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import StrictDataclassClassValidationError

from resnet_lstm import ResNetLSTMConfig, ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.inference import ClipPrediction, predict_clips
from resnet_lstm.known_score import KnownScore, squared_distances


@pytest.fixture
def known_score() -> KnownScore:
    """Clips of two classes: those of the first are sure, those of the second never."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200) % 2
    logits = torch.zeros(200, 3)
    logits[:, 0] = torch.where(labels == 0, 6.0, 0.0)
    logits[:, 1] = torch.where(labels == 1, 1.0, 0.0)
    logits += 0.2 * torch.randn(200, 3, generator=generator)
    known_score = KnownScore(8, 3)
    distances = 8 + torch.rand(200, generator=generator)
    known_score.set_statistics(logits, distances, labels, torch.zeros(8), torch.zeros(0, 8))
    return known_score


def test_an_undecided_clip_is_unknown_where_clips_of_the_action_are_sure(known_score: KnownScore) -> None:
    usual = torch.ones(1, 8)  # at a distance of 8 from the centre
    sure, undecided = torch.tensor([[6.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    assert known_score(usual, sure) > 0.5
    assert known_score(usual, undecided) < 0.01
    # No clip of the second class is surer.
    assert known_score(usual, undecided[:, [1, 0, 2]]) > 0.5


def test_a_clip_far_from_all_others_is_less_known(known_score: KnownScore) -> None:
    sure = torch.tensor([[6.0, 0.0, 0.0]]).expand(2, 3)
    near, far = known_score(torch.stack([torch.ones(8), 2 * torch.ones(8)]), sure)
    assert far < near - 0.2


def test_what_is_usual_one_way_is_not_another() -> None:
    directions = torch.zeros(1, 4)
    directions[0, 0] = 0.9
    distances = squared_distances(2 * torch.eye(4) + 1, torch.ones(4), directions)
    torch.testing.assert_close(distances, torch.tensor([4 * (1 - 0.81), 4.0, 4.0, 4.0]))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_does_not_overflow(known_score: KnownScore, dtype: torch.dtype) -> None:
    features, logits = 300 * torch.ones(1, 8), torch.tensor([[6.0, 0.0, 0.0]])
    expected = known_score(features, logits)
    assert known_score.to(dtype)(features.to(dtype), logits.to(dtype)).item() == pytest.approx(
        expected.item(), abs=0.02
    )


def test_the_background_is_no_action_and_all_else_is_as_known_as_without_it(known_score: KnownScore) -> None:
    with_background = KnownScore(8, 4, background=3)
    with_background.load_state_dict(known_score.state_dict() | padded_signs(known_score))
    usual = torch.ones(1, 8)
    sure, undecided = torch.tensor([[6.0, 0.0, 0.0]]), torch.tensor([[1.0, 0.0, 0.0]])
    for logits in (sure, undecided):
        unlike = torch.cat([logits, torch.tensor([[-20.0]])], dim=1)
        torch.testing.assert_close(with_background(usual, unlike), known_score(usual, logits))
        half = torch.cat([logits, logits.logsumexp(dim=1, keepdim=True)], dim=1)
        torch.testing.assert_close(with_background(usual, half), known_score(usual, logits) / 2)
        alike = torch.cat([logits, torch.tensor([[20.0]])], dim=1)
        assert with_background(usual, alike) < 1e-5


def padded_signs(known_score: KnownScore) -> dict[str, torch.Tensor]:
    """What is known of the signs, for one class more."""
    return {
        name: torch.cat([known_score.state_dict()[name], torch.ones(2, 1)], dim=1)
        for name in ("sign_means", "sign_deviations")
    }


def test_what_is_saved_knows_as_much(
    knowing_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path
) -> None:
    pixel_values = torch.randn(2, 6, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    knowing_model.save_pretrained(tmp_path)
    loaded = ResNetLSTMForVideoClassification.from_pretrained(tmp_path)
    assert loaded.config.known_threshold == 0.4
    with torch.no_grad():
        expected = knowing_model.eval()(pixel_values).known_score
        known_score = loaded(pixel_values).known_score
    assert expected is not None
    assert expected.shape == (2,)
    torch.testing.assert_close(known_score, expected, rtol=0, atol=1e-6)


def test_a_model_that_does_not_tell_gives_none(tiny_model: ResNetLSTMForVideoClassification) -> None:
    assert tiny_model(torch.zeros(1, 6, 3, 32, 32)).known_score is None
    with pytest.raises(StrictDataclassClassValidationError, match=r"known_threshold=1\.5"):
        ResNetLSTMConfig(known_threshold=1.5)
    with pytest.raises(StrictDataclassClassValidationError, match="background_label_id=-1"):
        ResNetLSTMConfig(background_label_id=-1)


def test_a_prediction_says_what_the_model_says(
    knowing_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path
) -> None:
    prediction = next(predict_clips(knowing_model, tiny_processor, [numbered_clip]))
    assert isinstance(prediction, ClipPrediction)
    with torch.no_grad():
        outputs = knowing_model(**tiny_processor(numbered_clip, return_tensors="pt"))
    assert prediction.known_score is not None
    assert prediction.known_score == pytest.approx(float(outputs.known_score), abs=1e-5)
    config = knowing_model.config
    config.known_threshold = prediction.known_score + 1e-9
    assert prediction.is_unknown(config)
    config.known_threshold = prediction.known_score
    assert not prediction.is_unknown(config)
    config.background_label_id = prediction.top_k(1)[0]
    assert prediction.is_unknown(config)


def test_a_file_without_what_the_score_is_told_by_gives_a_model_without_the_score(
    knowing_model: ResNetLSTMForVideoClassification, tmp_path: Path
) -> None:
    threshold = knowing_model.config.known_threshold
    knowing_model.set_known_score(None, None)
    knowing_model.save_pretrained(tmp_path)
    model = ResNetLSTMForVideoClassification.from_pretrained(tmp_path, known_threshold=threshold)
    assert model.known_score is None
    assert model.config.known_threshold is None


def test_statistics_that_come_from_the_meta_device_are_those_of_a_new_score() -> None:
    backbone = {"embedding_size": 8, "hidden_sizes": [8], "depths": [1], "layer_type": "basic"}
    config = ResNetLSTMConfig(backbone_config=backbone, num_labels=3, known_threshold=0.4)
    with torch.device("meta"):
        model = ResNetLSTMForVideoClassification(config)
    model.to_empty(device="cpu")
    model.init_weights()
    assert model.known_score is not None
    expected = KnownScore(config.hidden_size, 3).state_dict()
    torch.testing.assert_close(model.known_score.state_dict(), expected, rtol=0, atol=0)
