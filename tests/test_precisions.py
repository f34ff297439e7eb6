"""Every precision is right: half of it in the backbone changes an answer by no more than the backbone's rounding."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import pipeline

from resnet_lstm import ResNetLSTMForVideoClassification
from resnet_lstm.folded_backbone import can_be_folded

Model = ResNetLSTMForVideoClassification
HALVES = [torch.float16, torch.bfloat16]
WAYS: dict[str, Callable[[Model, torch.dtype], Model]] = {
    "half": lambda model, dtype: model.half() if dtype == torch.float16 else model.bfloat16(),
    "to": lambda model, dtype: model.to(dtype),
    "compiled": lambda model, dtype: compiled(model, {torch.float16: "fp16", torch.bfloat16: "bf16"}[dtype]),
}


def compiled(model: Model, precision: str) -> Model:
    model.compile_for_inference(precision=precision)
    return model


def make_real(model: Model) -> None:
    """Give a head the magnitudes of a real one: a few features that hardly vary, and others that vary a lot."""
    size = model.config.hidden_size
    mean = torch.linspace(0.05, 3.0, size)
    variance = torch.logspace(-9, 0.5, size)
    model.resnet_lstm.set_feature_statistics(mean, variance)


def make_variances_real(model: Model) -> None:
    """Give a BatchNorm of the backbone a variance as those of the usual ResNet-50 have, beyond float16's numbers."""
    layer = model.resnet_lstm.backbone.embedder.embedder
    scale = 1000.0
    with torch.no_grad():
        layer.convolution.weight *= scale
        layer.normalization.running_mean *= scale
        layer.normalization.running_var.copy_(layer.normalization.running_var.clamp_min(0.2) * scale**2)


@pytest.fixture
def model(knowing_model: Model) -> Model:
    make_real(knowing_model)
    make_variances_real(knowing_model)
    return knowing_model


@pytest.fixture
def pixel_values() -> torch.Tensor:
    return torch.randn(4, 6, 3, 32, 32, generator=torch.Generator().manual_seed(1))


def head_tensors(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if ".backbone." not in name and tensor.is_floating_point()
    }


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("dtype", HALVES, ids=str)
@torch.no_grad()
def test_half_a_backbone_is_a_whole_answer(
    model: Model, pixel_values: torch.Tensor, way: str, dtype: torch.dtype
) -> None:
    # The rounding of the features alone, through the head in float64, is what any right computation differs by.
    features = model.resnet_lstm.extract_frame_features(pixel_values)
    exact = copy.deepcopy(model).double()(frame_features=features.double()).logits
    rounded = copy.deepcopy(model).double()(frame_features=(features * (1 + 2**-7)).double()).logits
    bound = 3 * (rounded - exact).abs().max().item() + 0.05
    halved = WAYS[way](model, dtype)
    outputs = halved(pixel_values)
    assert outputs.logits.dtype == torch.float32
    assert torch.isfinite(outputs.logits).all()
    assert (outputs.logits - exact).abs().max().item() <= bound
    assert outputs.known_score.dtype == torch.float32
    torch.testing.assert_close(outputs.frame_logits.mean(dim=1), outputs.logits)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@torch.no_grad()
def test_features_read_in_another_precision_give_the_same_answer(model: Model, dtype: torch.dtype) -> None:
    features = 3 * torch.rand(2, 6, model.config.frame_feature_size)
    expected = model(frame_features=features)
    outputs = model.to(dtype)(frame_features=features)
    torch.testing.assert_close(outputs.logits, expected.logits, rtol=0, atol=0)
    torch.testing.assert_close(outputs.known_score, expected.known_score, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_what_is_folded_in_half_precision_is_all_of_it(model: Model, dtype: torch.dtype) -> None:
    backbone = model.to(dtype).resnet_lstm.backbone
    assert can_be_folded(backbone)
    # A convolution of another dtype than the rest is no plain backbone; a BatchNorm of float32 is.
    backbone.encoder.stages[-1].layers[-1].layer[-1].convolution.float()
    assert not can_be_folded(backbone)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_the_head_stays_as_it_is(model: Model, tmp_path: Path, dtype: torch.dtype) -> None:
    expected = {name: tensor.clone() for name, tensor in head_tensors(model).items()}
    model.save_pretrained(tmp_path / "whole")
    model.to(dtype).save_pretrained(tmp_path / "halved")
    loaded = (
        model,
        Model.from_pretrained(tmp_path / "halved"),
        Model.from_pretrained(tmp_path / "whole", dtype=dtype),
    )
    for halved in loaded:
        assert halved.dtype == dtype
        assert halved.resnet_lstm.backbone.dtype == dtype
        for name, module in halved.resnet_lstm.backbone.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                assert module.weight.dtype == torch.float32, name
                assert module.get_buffer("running_var").dtype == torch.float32, name
        assert head_tensors(halved).keys() == expected.keys()
        for name, tensor in head_tensors(halved).items():
            torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0, msg=name)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
@pytest.mark.parametrize("gradients", [False, True], ids=["inferred", "with gradients"])
def test_autocast_leaves_the_head_in_float32(
    model: Model, pixel_values: torch.Tensor, dtype: torch.dtype, gradients: bool
) -> None:
    features = 3 * torch.rand(2, 6, model.config.frame_feature_size)
    with torch.set_grad_enabled(gradients):
        expected = model(frame_features=features).logits
        whole = model(pixel_values).logits
        with torch.autocast("cpu", dtype=dtype):
            torch.testing.assert_close(model(frame_features=features).logits, expected, rtol=0, atol=0)
            logits = model(pixel_values).logits
    assert logits.dtype == torch.float32
    assert (logits - whole).abs().max() < 1.0


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_training_in_half_precision_lowers_the_loss(
    tiny_model: Model, pixel_values: torch.Tensor, dtype: torch.dtype
) -> None:
    model = tiny_model.train()
    model.unfreeze_backbone()
    labels = torch.tensor([0, 1, 2, 0])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(8):
        with torch.autocast("cpu", dtype=dtype):
            loss = model(pixel_values, labels=labels).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_the_pipeline_in_half_precision(model_dir: Path, numbered_clip: Path, dtype: torch.dtype) -> None:
    expected = pipeline("video-classification", model=str(model_dir))(str(numbered_clip))
    answers = pipeline("video-classification", model=str(model_dir), dtype=dtype)(str(numbered_clip))
    scores = {answer["label"]: answer["score"] for answer in answers}
    assert scores == pytest.approx({answer["label"]: answer["score"] for answer in expected}, abs=0.02)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
@torch.no_grad()
def test_the_real_backbone_in_half_precision(resnet50_path: Path, precision: str) -> None:
    model = Model.from_backbone(resnet50_path).eval().resnet_lstm
    pixel_values = torch.randn(1, 4, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    expected = model.extract_frame_features(pixel_values)
    model.compile_for_inference(precision=precision)
    features = model.extract_frame_features(pixel_values)
    assert features.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(features, expected, dim=-1).min() > 0.9995
