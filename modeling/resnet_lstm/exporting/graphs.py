"""The whole model as a graph of another framework, for any number of clips and frames."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.utils import logging as transformers_logging

from ..inference.runtimes import OUTPUTS, import_extra
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification
from ..whole_file import named_in_errors

# Numbers of clips and frames that appear nowhere in the model, so that none of its sizes can be taken for one.
_EXAMPLE_SIZE = (2, 3)


class _WholeModel(nn.Module):
    """`pixel_values` -> `OUTPUTS`. In which layout frames lie in memory is left to the runtime."""

    def __init__(self, model: ResNetLSTMForVideoClassification) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> dict[str, torch.Tensor]:
        features, _ = self.model.resnet_lstm.read_frames(pixel_values.flatten(0, 1))  # [B * T, D]
        frame_features = features.unflatten(0, pixel_values.shape[:2])
        outputs = self.model(frame_features=frame_features)
        return {"logits": outputs.logits, "frame_logits": outputs.frame_logits, "frame_features": frame_features}


def to_openvino(model: ResNetLSTMForVideoClassification, frame_shape: tuple[int, int, int]) -> Any:
    """The model as an `openvino.Model`; BatchNorm is folded into the convolutions.

    It is traced: what `torch.export` makes of an LSTM knows only one number of frames, and quantisation finds no
    biases in what OpenVINO reads from ONNX.

    Args:
        model: In float32 and evaluation mode, on the CPU.
        frame_shape: C, H and W.
    """
    openvino = import_extra("openvino", "openvino")
    example = torch.zeros(*_EXAMPLE_SIZE, *frame_shape)
    with _exporters_kept_quiet():
        return openvino.convert_model(
            _WholeModel(model), example_input=example, input=[("pixel_values", [-1, -1, *frame_shape])]
        )


def to_onnx(model: ResNetLSTMForVideoClassification, frame_shape: tuple[int, int, int]) -> Any:
    """The model as an `onnx.ModelProto`; BatchNorm is folded into the convolutions.

    Args:
        model: In float32 and evaluation mode, on the CPU.
        frame_shape: C, H and W.
    """
    for module in ("onnx", "onnxscript"):
        import_extra(module, "onnx")
    model = copy.deepcopy(model)
    if model.resnet_lstm.lstm is not None:
        model.resnet_lstm.lstm = _OnnxLSTM(model.resnet_lstm.lstm)  # type: ignore[assignment]
    example = torch.zeros(*_EXAMPLE_SIZE, *frame_shape)
    with _exporters_kept_quiet(), torch.no_grad():
        program = torch.onnx.export(
            _WholeModel(model),
            (example,),
            dynamic_shapes={"pixel_values": {0: "B", 1: "T"}},
            input_names=["pixel_values"],
            output_names=list(OUTPUTS),
            dynamo=True,
            verbose=False,
        )
    assert program is not None  # noqa: S101 - it is only with dynamo=False
    graph = program.model_proto
    # Where in this code a node comes from says nothing to others.
    for node in graph.graph.node:
        del node.metadata_props[:]
    return graph


class _OnnxLSTM(nn.Module):
    """An LSTM as the ONNX operator of that name; `torch.export` makes steps for one number of frames of it."""

    # PyTorch has the input, forget, cell and output gates in this order; ONNX has i, o, f, c.
    _GATES = (0, 3, 1, 2)

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        self.hidden_size, self.num_layers = lstm.hidden_size, lstm.num_layers
        for layer in range(lstm.num_layers):
            weights = {kind: self._gates(lstm, f"{kind}_l{layer}") for kind in ("weight_ih", "weight_hh")}
            biases = [self._gates(lstm, f"{kind}_l{layer}") for kind in ("bias_ih", "bias_hh")]
            for name, tensor in {**weights, "biases": torch.cat(biases)}.items():
                self.register_buffer(f"{name}_{layer}", tensor[None])

    def _gates(self, lstm: nn.LSTM, name: str) -> torch.Tensor:
        parts = lstm.get_parameter(name).detach().chunk(4)
        return torch.cat([parts[gate] for gate in self._GATES])

    def forward(
        self, inputs: torch.Tensor, state: tuple[torch.Tensor, torch.Tensor]
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
        sequence = inputs.transpose(0, 1)  # [T, B, inputs]
        num_frames, batch_size = sequence.shape[:2]
        last = []
        for layer in range(self.num_layers):
            weights = [self.get_buffer(f"{name}_{layer}") for name in ("weight_ih", "weight_hh", "biases")]
            hidden, cell = (part[layer : layer + 1] for part in state)  # each [1, B, U]
            state_shape = [1, batch_size, self.hidden_size]
            sequence, hidden, cell = torch.onnx.ops.symbolic_multi_out(
                "LSTM",
                [sequence, *weights, None, hidden, cell],
                {"hidden_size": self.hidden_size},
                dtypes=[sequence.dtype] * 3,
                shapes=[[num_frames, *state_shape], state_shape, state_shape],
            )
            sequence = sequence.squeeze(1)  # [T, B, U]
            last.append((hidden, cell))
        hidden, cell = (torch.cat(parts) for parts in zip(*last, strict=True))
        return sequence.transpose(0, 1), (hidden, cell)


def save_openvino(graph: Any, path: Path) -> None:
    """Write an `openvino.Model` as .xml and .bin, its weights as they are."""
    openvino = import_extra("openvino", "openvino")
    try:
        openvino.save_model(graph, path, compress_to_fp16=False)
        # Not all of its versions notice that a disk is full.
        openvino.Core().read_model(path)
    except RuntimeError as error:
        raise OSError(f"{path}: OpenVINO cannot write it ({error}). Is there room for it?") from error


def save_onnx(graph: Any, path: Path) -> None:
    """Write an `onnx.ModelProto` as one file."""
    with named_in_errors(path):
        import_extra("onnx", "onnx").save_model(graph, path)


@contextmanager
def _exporters_kept_quiet() -> Iterator[None]:
    """They warn of their own insides, and of checks of shapes that hold for every clip."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        transformers_logging.set_verbosity(verbosity)
