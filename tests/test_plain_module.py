"""A model is a module like any other, before and after a prediction: nothing that others do to it is passed by."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.multiprocessing
from accelerate import cpu_offload, disk_offload
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.optim.swa_utils import AveragedModel
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoModel, AutoModelForVideoClassification

from resnet_lstm import ResNetLSTMForVideoClassification

Model = ResNetLSTMForVideoClassification


def compile_in_float32(model: Model) -> None:
    model.compile_for_inference(precision="fp32")


def predict(model: Model) -> None:
    with torch.no_grad():
        model(torch.randn(1, 3, 3, 32, 32))


@pytest.fixture(params=[None, predict, compile_in_float32], ids=["new", "has predicted", "compiled"])
def model(tiny_model: Model, request: pytest.FixtureRequest) -> Model:
    """`tiny_model`, as it is, after a prediction, and after `compile_for_inference`."""
    if request.param is not None:
        request.param(tiny_model)
    return tiny_model


@pytest.fixture
def pixel_values() -> torch.Tensor:
    return torch.randn(2, 6, 3, 32, 32, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def expected(tiny_model: Model, pixel_values: torch.Tensor) -> torch.Tensor:
    """The logits by the model's modules: with gradients nothing else computes them."""
    return tiny_model(pixel_values).logits.detach()


@torch.no_grad()
def inferred(model: nn.Module, pixel_values: torch.Tensor) -> torch.Tensor:
    logits: torch.Tensor = model(pixel_values).logits
    return logits


def assert_close(logits: torch.Tensor, expected: torch.Tensor, atol: float = 1e-4) -> None:
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=atol)


def test_it_can_be_copied(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    assert_close(inferred(copy.deepcopy(model), pixel_values), expected)


def test_it_can_be_pickled(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    assert_close(inferred(pickle.loads(pickle.dumps(model)), pixel_values), expected)  # noqa: S301 - made here


def test_it_can_be_saved_as_a_module(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    assert_close(inferred(torch.load(file, weights_only=False), pixel_values), expected)


def _send_logits(model: Model, pixel_values: torch.Tensor, answers: torch.multiprocessing.SimpleQueue) -> None:
    answers.put(inferred(model, pixel_values).numpy())


def test_it_can_be_sent_to_another_process(
    tiny_model: Model, pixel_values: torch.Tensor, expected: torch.Tensor
) -> None:
    predict(tiny_model)
    context = torch.multiprocessing.get_context("spawn")
    answers = context.SimpleQueue()
    process = context.Process(target=_send_logits, args=(tiny_model, pixel_values, answers))
    process.start()
    assert_close(torch.from_numpy(answers.get()), expected)
    process.join()


def test_what_another_process_writes_to_shared_weights_counts(model: Model, pixel_values: torch.Tensor) -> None:
    model.share_memory()
    before = inferred(model, pixel_values)
    weight = model.resnet_lstm.backbone.embedder.embedder.convolution.weight
    # As another process would: past the tensor, whose version does not tell.
    weight.detach().numpy()[:] *= 2
    assert not torch.allclose(inferred(model, pixel_values), before)


def test_moving_averages_of_it_can_be_kept(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    averaged = AveragedModel(model)
    averaged.update_parameters(model)
    assert_close(inferred(averaged, pixel_values), expected)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.5)
    averaged.update_parameters(model)
    assert not torch.allclose(inferred(averaged, pixel_values), expected)


def test_data_parallel_calls_it(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    assert_close(inferred(nn.DataParallel(model), pixel_values), expected)


def _backbone(model: Model) -> nn.Module:
    return model.resnet_lstm.backbone


def _convolution(model: Model) -> nn.Module:
    layer: nn.Module = model.resnet_lstm.backbone.encoder.stages[0].layers[0].layer[0].convolution
    return layer


@pytest.mark.parametrize("part", [_backbone, _convolution])
@pytest.mark.parametrize("way", ["register_forward_hook", "register_forward_pre_hook"])
def test_hooks_on_the_backbone_are_called(
    model: Model, pixel_values: torch.Tensor, expected: torch.Tensor, part: Callable[[Model], nn.Module], way: str
) -> None:
    calls = []
    handle = getattr(part(model), way)(lambda *_: calls.append(1))
    assert_close(inferred(model, pixel_values), expected)
    assert calls == [1]
    handle.remove()
    assert_close(inferred(model, pixel_values), expected)
    assert calls == [1]


def test_hooks_on_all_modules_are_called(model: Model, pixel_values: torch.Tensor) -> None:
    seen = []
    handle = nn.modules.module.register_module_forward_hook(lambda module, *_: seen.append(type(module)))
    inferred(model, pixel_values)
    handle.remove()
    assert nn.Conv2d in seen


def test_a_replaced_layer_counts(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    model.resnet_lstm.backbone.encoder.stages[0].layers[0].activation = nn.Identity()
    assert_close(inferred(model, pixel_values), model(pixel_values).logits)
    assert not torch.allclose(inferred(model, pixel_values), expected)


def test_a_replaced_backbone_counts(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    backbone = copy.deepcopy(model.resnet_lstm.backbone)
    backbone.embedder.embedder.convolution.weight.data.mul_(2)
    model.resnet_lstm.backbone = backbone
    assert_close(inferred(model, pixel_values), model(pixel_values).logits)
    assert not torch.allclose(inferred(model, pixel_values), expected)


def test_weights_that_are_only_lent_count(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    name = "resnet_lstm.backbone.embedder.embedder.convolution.weight"
    doubled = {name: 2 * model.get_parameter(name).detach()}
    with torch.no_grad():
        lent = torch.func.functional_call(model, doubled, (pixel_values,)).logits
    assert not torch.allclose(lent, expected)
    assert_close(inferred(model, pixel_values), expected)


@pytest.mark.parametrize("targets", [["convolution"], ["lstm_projection", "classifier"]], ids=["backbone", "head"])
def test_lora(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor, targets: list[str]) -> None:
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=targets, init_lora_weights=False))
    unmerged = inferred(adapted, pixel_values)
    assert not torch.allclose(unmerged, expected)
    assert_close(unmerged, adapted(pixel_values).logits)
    adapted.merge_adapter()
    assert_close(inferred(adapted, pixel_values), unmerged)
    adapted.unmerge_adapter()
    with adapted.disable_adapter():
        assert_close(inferred(adapted, pixel_values), expected)
    assert_close(inferred(adapted.merge_and_unload(), pixel_values), unmerged)


def test_lora_on_a_frozen_backbone_learns(model: Model, pixel_values: torch.Tensor) -> None:
    adapted = get_peft_model(model, LoraConfig(r=2, target_modules=["convolution"])).train()
    adapted(pixel_values, labels=torch.tensor([0, 1])).loss.backward()
    learning = {name for name, parameter in adapted.named_parameters() if parameter.grad is not None}
    assert learning
    assert all("lora_" in name for name in learning)


@torch.no_grad()
def test_torch_compile(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    torch._dynamo.reset()
    with torch._dynamo.config.patch(allow_rnn=True):  # Dynamo breaks the graph at any LSTM unless told not to
        compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
        assert_close(compiled(pixel_values).logits, expected)


@torch.no_grad()
def test_torch_export(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    exported = torch.export.export(model, (pixel_values,), strict=False)
    assert_close(exported.module()(pixel_values).logits, expected)


class _Logits(nn.Module):
    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(pixel_values).logits
        return logits


@torch.no_grad()
def test_torch_jit_trace(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    traced = torch.jit.trace(_Logits(model), pixel_values)
    assert_close(traced(pixel_values), expected)


@torch.no_grad()
def test_flops_are_counted(model: Model, pixel_values: torch.Tensor) -> None:
    with FlopCounterMode(display=False) as counter:
        model(pixel_values)
    assert counter.get_flop_counts()["Global"][torch.ops.aten.convolution] > 0


@pytest.mark.parametrize("way", ["cpu", "disk"])
def test_offloaded_weights(
    model: Model, pixel_values: torch.Tensor, expected: torch.Tensor, way: str, tmp_path: Path
) -> None:
    if way == "cpu":
        cpu_offload(model, execution_device=torch.device("cpu"))
    else:
        disk_offload(model, str(tmp_path), execution_device=torch.device("cpu"))
    assert_close(inferred(model, pixel_values), expected)
    assert_close(inferred(model, pixel_values[:, :1]), inferred(model, pixel_values[:, :1]))


def test_device_map_auto(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor, tmp_path: Path) -> None:
    model.save_pretrained(tmp_path)
    loaded = Model.from_pretrained(tmp_path, device_map="auto")
    assert_close(inferred(loaded.cpu(), pixel_values), expected)
    assert not any(parameter.requires_grad for parameter in loaded.resnet_lstm.backbone.parameters())


def test_quantize_dynamic(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    quantized = torch.ao.quantization.quantize_dynamic(model, {nn.Linear, nn.LSTM}, dtype=torch.qint8)
    assert_close(inferred(quantized, pixel_values), expected, atol=0.1)
    assert_close(inferred(quantized, pixel_values[:, :1]), inferred(model, pixel_values[:, :1]), atol=0.1)


def test_torchao(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    torchao = pytest.importorskip("torchao.quantization")
    torchao.quantize_(model, torchao.Int8WeightOnlyConfig(version=2))
    assert_close(inferred(model, pixel_values), expected, atol=0.1)


def test_a_quantised_backbone_counts(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    parametrised = _convolution(model)
    nn.utils.parametrize.register_parametrization(parametrised, "weight", _Rounded())
    assert_close(inferred(model, pixel_values), model(pixel_values).logits)
    assert not torch.allclose(inferred(model, pixel_values), expected)


class _Rounded(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return (4 * weight).round() / 4


def test_hidden_states(model: Model, pixel_values: torch.Tensor, expected: torch.Tensor) -> None:
    with torch.no_grad():
        outputs = model(pixel_values, output_hidden_states=True)
    assert_close(outputs.logits, expected)
    assert [list(maps.shape) for maps in outputs.hidden_states] == [[12, 8, 8, 8], [12, 8, 8, 8], [12, 16, 4, 4]]
    assert model(pixel_values).hidden_states is None
    model.config.output_hidden_states = True
    assert len(model(pixel_values).hidden_states) == 3
    assert model(frame_features=torch.randn(2, 6, 40)).hidden_states is None


def test_a_model_that_is_gone_leaves_nothing_behind(tiny_model: Model) -> None:
    from resnet_lstm.modeling_resnet_lstm import _compiled_backbones

    copied = copy.deepcopy(tiny_model)
    before = len(_compiled_backbones)
    predict(copied)
    assert len(_compiled_backbones) == before + 1
    del copied
    assert len(_compiled_backbones) == before


def test_what_reads_the_pixels_can_be_replaced(model: Model) -> None:
    embedding = model.get_input_embeddings()
    assert isinstance(embedding, nn.Conv2d)
    assert embedding.in_channels == 3
    model.set_input_embeddings(copy.deepcopy(embedding))
    assert model.get_input_embeddings() is not embedding
    assert model.resnet_lstm.get_input_embeddings() is model.get_input_embeddings()


def test_the_feature_extractor_of_a_saved_classifier_is_found(
    model: Model, pixel_values: torch.Tensor, tmp_path: Path
) -> None:
    model.save_pretrained(tmp_path)
    assert model.config.auto_map.keys() == {"AutoConfig", "AutoModel", "AutoModelForVideoClassification"}
    base = AutoModel.from_pretrained(tmp_path)
    assert_close(base(pixel_values).last_hidden_state, model.resnet_lstm(pixel_values).last_hidden_state, atol=1e-5)


def test_a_model_whose_classes_were_changed_knows_none_of_them_yet(
    knowing_model: Model, pixel_values: torch.Tensor, tmp_path: Path
) -> None:
    knowing_model.config.temperature, knowing_model.config.early_exit_score = 0.3, 0.9
    knowing_model.save_pretrained(tmp_path)
    model = AutoModelForVideoClassification.from_pretrained(tmp_path, num_labels=5, ignore_mismatched_sizes=True)
    outputs = model(pixel_values)
    assert outputs.logits.shape == (2, 5)
    assert outputs.known_score is None
    config = model.config
    assert (config.known_threshold, config.early_exit_score, config.temperature) == (None, None, 1.0)
    model.save_pretrained(tmp_path / "again")
    assert Model.from_pretrained(tmp_path / "again")(pixel_values).known_score is None
