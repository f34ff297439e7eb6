from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import ResNetConfig, ResNetModel, set_seed

from resnet_lstm import ResNetLSTMForVideoClassification
from resnet_lstm.folded_backbone import FoldedBackbone
from resnet_lstm.frame_reading import features_of_maps


def resnet(**settings: object) -> ResNetModel:
    """Two stages with statistics and scales of their own, as after training."""
    set_seed(0)
    config = {"embedding_size": 8, "hidden_sizes": [8, 16, 32], "depths": [2, 2, 2], **settings}
    model = ResNetModel(ResNetConfig(**config)).eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            assert module.running_mean is not None and module.running_var is not None  # noqa: PT018
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_()
    return model


@pytest.mark.parametrize("num_frames", [1, 9])
@pytest.mark.parametrize("num_motion_stages", [0, 1, 2])
@pytest.mark.parametrize(
    "settings",
    [{"layer_type": "basic"}, {"layer_type": "bottleneck"}, {"hidden_act": "gelu"}],
    ids=["basic", "bottleneck", "gelu"],
)
def test_folding_changes_no_feature(settings: dict[str, object], num_motion_stages: int, num_frames: int) -> None:
    model = resnet(**settings)
    frames = torch.randn(num_frames, 3, 40, 56)
    kept = frames.clone()
    with torch.no_grad():
        outputs = model(frames, output_hidden_states=True)
        expected = features_of_maps(outputs.pooler_output, outputs.hidden_states, num_motion_stages)
        features = FoldedBackbone(model, num_motion_stages=num_motion_stages)(frames)
        torch.testing.assert_close(features, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(frames, kept, rtol=0, atol=0)


def test_other_precisions_are_folded_too() -> None:
    model, frames = resnet(layer_type="bottleneck").double(), torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = model(frames).pooler_output.flatten(1)
        torch.testing.assert_close(FoldedBackbone(model)(frames), expected)


def test_a_compiled_model_gives_the_same_and_saves_the_same(
    tiny_model: ResNetLSTMForVideoClassification, tmp_path: Path
) -> None:
    pixel_values = torch.randn(2, 5, 3, 32, 32)
    tiny_model.save_pretrained(tmp_path / "before")
    with torch.no_grad():
        expected = tiny_model(pixel_values).logits
        tiny_model.compile_for_inference(precision="fp32")
        torch.testing.assert_close(tiny_model(pixel_values).logits, expected, rtol=1e-4, atol=1e-5)
    tiny_model.save_pretrained(tmp_path / "after")
    before, after = (load_file(tmp_path / name / "model.safetensors") for name in ("before", "after"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("way", ["train", "cast", "move"])
def test_training_and_moving_undo_compiling(tiny_model: ResNetLSTMForVideoClassification, way: str) -> None:
    tiny_model.compile_for_inference()
    assert tiny_model.resnet_lstm.compiled_backbone is not None
    tiny_model.eval()
    assert tiny_model.resnet_lstm.compiled_backbone is not None
    {"train": tiny_model.train, "cast": tiny_model.bfloat16, "move": lambda: tiny_model.to("cpu")}[way]()
    assert tiny_model.resnet_lstm.compiled_backbone is None


def test_without_being_compiled_a_model_in_evaluation_is_folded_and_never_stale(
    tiny_model: ResNetLSTMForVideoClassification,
) -> None:
    pixel_values = torch.randn(1, 5, 3, 32, 32)
    base = tiny_model.resnet_lstm
    with torch.no_grad():
        before = tiny_model(pixel_values).logits
        folded = base.compiled_backbone
        assert isinstance(folded, FoldedBackbone)
        tiny_model(pixel_values)
        assert base.compiled_backbone is folded
        for parameter in base.backbone.parameters():
            parameter.mul_(1.1)
        after = tiny_model(pixel_values).logits
    assert base.compiled_backbone is not folded
    assert not torch.allclose(before, after)
    torch.testing.assert_close(tiny_model(pixel_values).logits, after, rtol=1e-4, atol=1e-5)


def test_a_frame_that_repeats_is_computed_once(tiny_model: ResNetLSTMForVideoClassification) -> None:
    pixel_values = torch.randn(2, 5, 3, 32, 32)[:, [0, 0, 0, 1, 0]]
    expected = tiny_model(pixel_values).frame_logits
    folded = FoldedBackbone(tiny_model.resnet_lstm.backbone, num_motion_stages=1)
    computed = []

    def counted(frames: torch.Tensor) -> torch.Tensor:
        computed.append(len(frames))
        return folded(frames)

    tiny_model.compile_for_inference(counted)
    with torch.no_grad():
        torch.testing.assert_close(tiny_model(pixel_values).frame_logits, expected, rtol=1e-4, atol=1e-5)
    assert computed == [6]


def test_a_backbone_of_another_make_can_take_the_place(tiny_model: ResNetLSTMForVideoClassification) -> None:
    pixel_values = torch.randn(2, 5, 3, 32, 32)
    tiny_model.compile_for_inference(lambda frames: torch.ones(len(frames), tiny_model.config.frame_feature_size))
    with torch.no_grad():
        assert (tiny_model(pixel_values, output_frame_features=True).frame_features == 1).all()
    # With gradients wanted, the model's own weights compute them.
    pixel_values.requires_grad_()
    tiny_model(pixel_values).logits.sum().backward()
    assert pixel_values.grad is not None


def test_a_module_in_the_place_is_not_saved_and_can_be_replaced(
    tiny_model: ResNetLSTMForVideoClassification,
) -> None:
    saved = tiny_model.state_dict().keys()
    tiny_model.compile_for_inference(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(40)))
    assert tiny_model.state_dict().keys() == saved
    tiny_model.compile_for_inference(lambda frames: torch.ones(len(frames), 40))
    with torch.no_grad():
        outputs = tiny_model(torch.randn(1, 5, 3, 32, 32), output_frame_features=True)
    assert (outputs.frame_features == 1).all()
    tiny_model.train()
    assert tiny_model.resnet_lstm.compiled_backbone is None


def test_the_real_backbone_is_the_same_folded(resnet50_path: Path) -> None:
    model = ResNetLSTMForVideoClassification.from_backbone(resnet50_path).eval().resnet_lstm
    pixel_values = torch.randn(1, 2, 3, 224, 224)
    with torch.no_grad():
        expected = model.extract_frame_features(pixel_values)
        model.compile_for_inference(precision="fp32")
        torch.testing.assert_close(model.extract_frame_features(pixel_values), expected, rtol=1e-3, atol=1e-4)
