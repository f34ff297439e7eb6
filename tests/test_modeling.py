from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from safetensors.torch import load_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForVideoClassification,
    AutoVideoProcessor,
    ResNetModel,
    Trainer,
    TrainingArguments,
    ViTConfig,
    ViTModel,
    set_seed,
)

from resnet_lstm import (
    ResNetLSTMConfig,
    ResNetLSTMForVideoClassification,
    ResNetLSTMModel,
    ResNetLSTMVideoProcessor,
)


@pytest.fixture
def pixel_values() -> torch.Tensor:
    return torch.randn(2, 6, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_shapes(tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor) -> None:
    outputs = tiny_model(pixel_values, labels=torch.tensor([0, 2]), output_frame_features=True)
    assert outputs.loss.shape == ()
    assert outputs.logits.shape == (2, 3)
    assert outputs.frame_logits.shape == (2, 6, 3)
    assert outputs.frame_features.shape == (2, 6, 40)
    assert [tuple(state.shape) for state in outputs.lstm_state] == [(1, 2, 12), (1, 2, 12), (3, 2, 40)]
    assert isinstance(tiny_model(pixel_values, return_dict=False), tuple)


def test_logits_are_the_mean_of_frame_logits(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    outputs = tiny_model(pixel_values)
    torch.testing.assert_close(outputs.logits, outputs.frame_logits.mean(dim=1))


def test_features_in_give_the_same_logits_as_pixels_in(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    outputs = tiny_model(pixel_values, output_frame_features=True)
    again = tiny_model(frame_features=outputs.frame_features)
    torch.testing.assert_close(again.logits, outputs.logits)


def test_exactly_one_input_is_taken(tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        tiny_model()
    with pytest.raises(ValueError, match="exactly one"):
        tiny_model(pixel_values, frame_features=torch.zeros(2, 6, 16))
    with pytest.raises(ValueError, match=r"\[2, 3, 32, 32\]"):
        tiny_model(pixel_values[:, 0])


def test_no_frame_knows_the_frames_after_it(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    changed = pixel_values.clone()
    changed[:, 4:] = 0
    before, after = tiny_model(pixel_values).frame_logits, tiny_model(changed).frame_logits
    torch.testing.assert_close(before[:, :4], after[:, :4])
    assert not torch.allclose(before[:, 4:], after[:, 4:])


def test_the_state_goes_on_where_it_left_off(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    whole = tiny_model(pixel_values).frame_logits
    first = tiny_model(pixel_values[:, :2])
    second = tiny_model(pixel_values[:, 2:], lstm_state=first.lstm_state)
    torch.testing.assert_close(torch.cat([first.frame_logits, second.frame_logits], dim=1), whole)


@torch.no_grad()
@pytest.mark.parametrize("num_lstm_layers", [0, 1, 2])
def test_frame_by_frame_gives_the_same(tiny_backbone: Path, pixel_values: torch.Tensor, num_lstm_layers: int) -> None:
    set_seed(0)
    model = ResNetLSTMForVideoClassification.from_backbone(
        tiny_backbone, num_lstm_layers=num_lstm_layers, lstm_hidden_size=12
    ).eval()
    if model.lstm_classifier is not None:
        nn.init.normal_(model.lstm_classifier.weight)
    whole = model(pixel_values)
    frame_logits, lstm_state = [], None
    for frame in pixel_values.split(1, dim=1):
        outputs = model(frame, lstm_state=lstm_state)
        lstm_state = outputs.lstm_state
        frame_logits.append(outputs.frame_logits)
    torch.testing.assert_close(torch.cat(frame_logits, dim=1), whole.frame_logits)
    torch.testing.assert_close(lstm_state, whole.lstm_state)


@pytest.mark.parametrize("temporal_change", [False, True])
@pytest.mark.parametrize("num_lstm_layers", [0, 1, 2])
def test_order_matters_unless_there_is_neither_change_nor_lstm(
    tiny_backbone: Path, pixel_values: torch.Tensor, temporal_change: bool, num_lstm_layers: int
) -> None:
    set_seed(0)
    model = ResNetLSTMForVideoClassification.from_backbone(
        tiny_backbone, temporal_change=temporal_change, num_lstm_layers=num_lstm_layers, lstm_hidden_size=12
    ).eval()
    if model.lstm_classifier is not None:
        nn.init.normal_(model.lstm_classifier.weight)
    same = torch.allclose(model(pixel_values).logits, model(pixel_values.flip(1)).logits, atol=1e-6)
    assert same == (num_lstm_layers == 0 and not temporal_change)


def test_what_stands_still_has_not_changed(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    base = tiny_model.resnet_lstm
    features = base.extract_frame_features(pixel_values)
    features[:, 3] = features[:, 2]
    presence, change, _ = base.magnitudes(features).split([16, 40, 40], dim=-1)
    torch.testing.assert_close(presence[:, 3], presence[:, 2])
    assert change[:, 3].max() < 0.02  # zero but for what keeps its gradient finite
    assert change[:, 4].max() > 0.1


def test_every_frame_is_read_at_one_length(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    base = tiny_model.resnet_lstm
    magnitudes = base.magnitudes(base.extract_frame_features(pixel_values))
    base.set_feature_statistics(magnitudes.mean(dim=(0, 1)), magnitudes.var(dim=(0, 1)))
    size = base.config.hidden_size
    lengths = base(pixel_values).last_hidden_state[..., :size].norm(dim=-1)
    torch.testing.assert_close(lengths, torch.full((2, 6), size**0.5))


def test_statistics_that_were_set_do_not_move_in_training(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    size = tiny_model.config.hidden_size
    tiny_model.resnet_lstm.set_feature_statistics(torch.full((size,), 0.3), torch.full((size,), 2.0))
    tiny_model.train()
    tiny_model(pixel_values)
    mean = tiny_model.resnet_lstm.feature_norm.state_dict()["running_mean"]
    torch.testing.assert_close(mean, torch.full((size,), 0.3))


def test_the_lstm_has_no_say_until_it_is_trained(tiny_backbone: Path, pixel_values: torch.Tensor) -> None:
    model = ResNetLSTMForVideoClassification.from_backbone(tiny_backbone, num_labels=3, temporal_change=False).eval()
    torch.testing.assert_close(model(pixel_values).logits, model(pixel_values.flip(1)).logits)


def test_a_classifier_that_was_set_is_not_trained_while_the_lstm_is(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    tiny_model.set_classifier(torch.ones(3, tiny_model.config.hidden_size), torch.zeros(3))
    tiny_model.train()
    tiny_model(pixel_values, labels=torch.tensor([0, 1])).loss.backward()
    assert tiny_model.classifier.weight.grad is None
    assert tiny_model.lstm_classifier is not None
    assert tiny_model.lstm_classifier.weight.grad is not None


def test_the_temperature_divides_the_logits(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    before = tiny_model(pixel_values).frame_logits
    tiny_model.config.temperature = 4.0
    torch.testing.assert_close(tiny_model(pixel_values).frame_logits, before / 4)


def test_the_backbone_is_frozen_by_default(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    before = {name: tensor.clone() for name, tensor in tiny_model.resnet_lstm.backbone.state_dict().items()}
    tiny_model.train()
    optimizer = torch.optim.SGD(tiny_model.parameters(), lr=1.0)
    tiny_model(pixel_values, labels=torch.tensor([0, 1])).loss.backward()
    optimizer.step()
    for name, tensor in tiny_model.resnet_lstm.backbone.state_dict().items():
        torch.testing.assert_close(tensor, before[name], rtol=0, atol=0, msg=name)
    assert all(parameter.grad is None for parameter in tiny_model.resnet_lstm.backbone.parameters())
    assert tiny_model.classifier.weight.grad is not None


def test_no_graph_is_kept_for_a_frozen_backbone(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    tiny_model.train()
    assert not tiny_model.resnet_lstm.extract_frame_features(pixel_values).requires_grad
    tiny_model.unfreeze_backbone()
    assert tiny_model.resnet_lstm.extract_frame_features(pixel_values).requires_grad


@pytest.mark.parametrize("batch_norm", [False, True])
def test_an_unfrozen_backbone_learns(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor, batch_norm: bool
) -> None:
    tiny_model.unfreeze_backbone(batch_norm=batch_norm)
    tiny_model.train()
    embedder = tiny_model.resnet_lstm.backbone.embedder.embedder
    mean, weight = embedder.normalization.running_mean.clone(), embedder.convolution.weight.clone()
    optimizer = torch.optim.SGD(tiny_model.parameters(), lr=1.0)
    tiny_model(pixel_values, labels=torch.tensor([0, 1])).loss.backward()
    optimizer.step()
    assert not torch.equal(embedder.convolution.weight, weight)
    assert torch.equal(embedder.normalization.running_mean, mean) != batch_norm
    tiny_model.freeze_backbone()
    assert not any(parameter.requires_grad for parameter in tiny_model.resnet_lstm.backbone.parameters())


def test_gradient_checkpointing_changes_no_gradient(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    tiny_model.unfreeze_backbone()
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            tiny_model.gradient_checkpointing_enable({"use_reentrant": False})
        tiny_model.train()
        tiny_model.zero_grad()
        set_seed(0)
        tiny_model(pixel_values, labels=torch.tensor([0, 1])).loss.backward()
        gradients.append(tiny_model.resnet_lstm.backbone.embedder.embedder.convolution.weight.grad.clone())
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("use_reentrant", [True, False])
def test_gradient_checkpointing_can_be_switched_off_again(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor, use_reentrant: bool
) -> None:
    tiny_model.unfreeze_backbone()
    tiny_model.train()
    calls: list[int] = []
    first_layer = tiny_model.resnet_lstm.backbone.encoder.stages[0].layers[0]
    first_layer.register_forward_pre_hook(lambda *_: calls.append(1))
    num_calls = []
    for switch in (
        lambda: None,
        lambda: tiny_model.gradient_checkpointing_enable({"use_reentrant": use_reentrant}),
        tiny_model.gradient_checkpointing_disable,
    ):
        switch()
        calls.clear()
        tiny_model(pixel_values, labels=torch.tensor([0, 1])).loss.backward()
        num_calls.append(len(calls))
    assert num_calls == [1, 2, 1]
    assert not tiny_model.is_gradient_checkpointing


def test_what_is_saved_is_what_is_loaded(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    pixel_values: torch.Tensor,
    tmp_path: Path,
) -> None:
    tiny_model.save_pretrained(tmp_path)
    tiny_processor.save_pretrained(tmp_path)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".bin", ".pt", ".pth", ".pkl")]
    expected = tiny_model(pixel_values).logits
    config = AutoConfig.from_pretrained(tmp_path)
    assert isinstance(config, ResNetLSTMConfig)
    assert config.label2id == {"jump": 0, "run": 1, "swim": 2}
    assert isinstance(AutoVideoProcessor.from_pretrained(tmp_path), ResNetLSTMVideoProcessor)
    for auto_class in (ResNetLSTMForVideoClassification, AutoModelForVideoClassification):
        model, info = auto_class.from_pretrained(tmp_path, output_loading_info=True)
        assert not any(info.values())
        torch.testing.assert_close(model(pixel_values).logits, expected, rtol=0, atol=0)
        model.train()
        assert not any(parameter.requires_grad for parameter in model.resnet_lstm.backbone.parameters())
        assert not model.resnet_lstm.backbone.embedder.embedder.normalization.training
    base = AutoModel.from_pretrained(tmp_path)
    assert isinstance(base, ResNetLSTMModel)
    torch.testing.assert_close(base(pixel_values).frame_features, tiny_model.resnet_lstm(pixel_values).frame_features)


def test_bfloat16_survives_saving(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor, tmp_path: Path
) -> None:
    expected = tiny_model(pixel_values).logits
    tiny_model.to(torch.bfloat16).save_pretrained(tmp_path)
    model = ResNetLSTMForVideoClassification.from_pretrained(tmp_path)
    assert model.dtype == torch.bfloat16
    logits = model(pixel_values).logits
    torch.testing.assert_close(logits, expected, rtol=0.1, atol=0.05)
    assert model(frame_features=torch.randn(2, 6, 40)).logits.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_all_but_convolutions_is_in_float32_whichever_way_a_model_comes_to_half_precision(
    knowing_model: ResNetLSTMForVideoClassification, tmp_path: Path, dtype: torch.dtype
) -> None:
    knowing_model.save_pretrained(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    for model in (
        AutoModelForVideoClassification.from_pretrained(tmp_path, dtype=dtype),
        AutoModelForVideoClassification.from_config(config, dtype=dtype),
        knowing_model.to(dtype),
    ):
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                # A BatchNorm's variance may be larger than any number of float16.
                is_halved = name.startswith("resnet_lstm.backbone.") and "normalization" not in name
                assert tensor.dtype == (dtype if is_halved else torch.float32), name


def test_autocast_on_the_cpu(tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor) -> None:
    expected = tiny_model(pixel_values).logits
    tiny_model.unfreeze_backbone()
    tiny_model.train()
    with torch.autocast("cpu", torch.bfloat16):
        tiny_model(pixel_values, labels=torch.tensor([0, 1])).loss.backward()
    tiny_model.eval()
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        torch.testing.assert_close(tiny_model(pixel_values).logits.float(), expected, rtol=0.1, atol=0.05)


def test_torch_compile_gives_the_same(
    tiny_model: ResNetLSTMForVideoClassification, pixel_values: torch.Tensor
) -> None:
    with torch.no_grad():
        compiled = torch.compile(tiny_model, backend="aot_eager")(pixel_values)
        torch.testing.assert_close(compiled.logits, tiny_model(pixel_values).logits, rtol=1e-4, atol=1e-5)


def test_construction_on_the_meta_device() -> None:
    with torch.device("meta"):
        model = ResNetLSTMForVideoClassification(ResNetLSTMConfig(num_labels=25))
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    assert model.resnet_lstm.config.frame_feature_size == 2048 + 3 * (1024 + 512)


def test_hugging_face_trainer_lowers_the_loss(tiny_model: ResNetLSTMForVideoClassification, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    flicker = torch.tensor([1.0, -1.0]).repeat(3)[:, None]  # another feature comes and goes in each class
    examples = [
        {
            "frame_features": torch.randn(6, 40, generator=generator) + 3 * flicker * torch.eye(40)[label],
            "labels": label,
        }
        for label in (0, 1, 2)
        for _ in range(8)
    ]
    arguments = TrainingArguments(
        str(tmp_path), num_train_epochs=12, learning_rate=1e-2, report_to=[], save_strategy="no", use_cpu=True,
        logging_steps=3, disable_tqdm=True,
    )  # fmt: skip
    trainer = Trainer(
        tiny_model,
        arguments,
        train_dataset=examples,
        eval_dataset=examples[:20],
        compute_metrics=lambda p: {"top1": float((p.predictions.argmax(-1) == p.label_ids).mean())},
    )
    trainer.train()
    assert trainer.evaluate()["eval_top1"] > 0.9
    losses = [record["loss"] for record in trainer.state.log_history if "loss" in record]
    assert losses[-1] < 0.5 * losses[0]


def test_backbone_weights_arrive(tiny_backbone: Path, pixel_values: torch.Tensor) -> None:
    resnet = ResNetModel.from_pretrained(tiny_backbone).eval()
    model = ResNetLSTMForVideoClassification.from_backbone(tiny_backbone, num_labels=4).eval()
    expected = resnet(pixel_values.flatten(0, 1)).pooler_output.flatten(1).unflatten(0, (2, 6))
    torch.testing.assert_close(model.resnet_lstm.extract_frame_features(pixel_values)[..., :16], expected)


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_torchvision_weights_give_torchvision_features(name: str) -> None:
    set_seed(0)
    resnet = torchvision.models.get_model(name, weights=None).eval()
    for module in resnet.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.get_buffer("running_mean").normal_(0, 0.1)
            module.get_buffer("running_var").uniform_(0.8, 1.2)
    model = ResNetLSTMForVideoClassification.from_backbone(resnet, num_labels=4).eval()
    resnet.fc = nn.Identity()
    pixel_values = torch.randn(1, 2, 3, 64, 64)
    with torch.no_grad():
        expected = resnet(pixel_values[0])
        features = model.resnet_lstm.extract_frame_features(pixel_values)[0]
    torch.testing.assert_close(
        features[:, : model.config.pooled_size], expected, rtol=1e-3, atol=1e-4 * expected.max().item()
    )


def test_a_resnet_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="ResNet"):
        ResNetLSTMForVideoClassification.from_backbone(torchvision.models.resnext50_32x4d(weights=None))


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("num_frames", 0, "at least one frame"),
        ("num_lstm_layers", -1, "0 \\(no LSTM\\) or more"),
        ("num_motion_stages", -1, "0 \\(none\\) or more"),
        ("change_lags", [0, 3], "each must be 1 or more"),
        ("change_lags", [], "there must be one"),
        ("lstm_hidden_size", 0, "at least 1"),
        ("lstm_input_size", 0, "at least 1"),
        ("temperature", 0.0, "above 0"),
        ("dropout", 1.0, "in \\[0, 1\\)"),
    ],
)
def test_impossible_settings_are_refused(field: str, value: float, rule: str) -> None:
    with pytest.raises(Exception, match=rule):
        ResNetLSTMConfig(**{field: value})


def test_the_real_backbone_loads(resnet50_path: Path) -> None:
    model = ResNetLSTMForVideoClassification.from_backbone(resnet50_path, num_labels=25).eval()
    weights = load_file(resnet50_path / "model.safetensors")
    backbone = model.resnet_lstm.backbone.state_dict()
    assert weights["embedder.embedder.convolution.weight"].equal(backbone["embedder.embedder.convolution.weight"])
    with torch.no_grad():
        outputs = model(torch.randn(1, 2, 3, 224, 224), output_frame_features=True)
    assert outputs.frame_features.shape == (1, 2, 2048 + 3 * (1024 + 512))


def test_a_model_of_another_kind_is_no_backbone(tmp_path: Path) -> None:
    vit = ViTModel(ViTConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8))
    vit.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="not a ResNet in the layout"):
        ResNetLSTMForVideoClassification.from_backbone(tmp_path)
