"""Post-training quantisation of the backbone to 8-bit integers; the head keeps float32."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import nn

from ..inference.runtimes import import_extra
from ..modeling_resnet_lstm import ResNetLSTMForVideoClassification


def quantize_backbone(graph: Any, format: str, kept: list[str], samples: Sequence[np.ndarray]) -> Any:
    """The graph with the backbone in int8, each range taken from what samples make of it.

    Args:
        graph: From `to_openvino` or `to_onnx`.
        format: Which of the two.
        kept: The names of the nodes that stay in float32.
        samples: Each `[B, T, C, H, W]` float32; they are read more than once, in order.

    Raises:
        ImportError: NNCF is not installed.
    """
    nncf = import_extra("nncf", format)
    ranges = import_extra("nncf.quantization.range_estimator", format).RangeEstimatorParametersSet
    nncf.set_log_level(logging.WARNING)
    return nncf.quantize(
        graph,
        nncf.Dataset(samples, lambda pixel_values: {"pixel_values": pixel_values}),
        subset_size=len(samples),
        ignored_scope=nncf.IgnoredScope(names=kept),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            # Ranges that lose least, rather than such that hold the rare, strong activations of a ResNet.
            activations_range_estimator_params=ranges.HISTOGRAM,
            # ONNX Runtime adds pairs of products in 16 bits on CPUs without VNNI: weights of 7 bits do not overflow.
            overflow_fix=nncf.OverflowFix.ENABLE if format == "onnx" else nncf.OverflowFix.DISABLE,
        ),
    )


def kept_in_float32(graph: Any, format: str, model: ResNetLSTMForVideoClassification) -> list[str]:
    """The names of a graph's nodes that are not quantised: the head, the first convolution and the first layer.

    These few convolutions, a twelfth of the arithmetic, make a third of what int8 errs by.
    """
    backbone = model.resnet_lstm.backbone
    early = [backbone.embedder, backbone.encoder.stages[0].layers[0]]
    num_early = sum(isinstance(module, nn.Conv2d) for part in early for module in part.modules())
    convolutions, head = {"onnx": _onnx_nodes, "openvino": _openvino_nodes}[format](graph)
    return [*convolutions[:num_early], *head]


def _openvino_nodes(graph: Any) -> tuple[list[str], list[str]]:
    """The names of all convolutions of an `openvino.Model`, and of what is computed from `frame_features`."""
    nodes = graph.get_ordered_ops()
    convolutions = [node.get_friendly_name() for node in nodes if node.get_type_name() == "Convolution"]
    head = {graph.output("frame_features").get_node().input_value(0).get_node().get_friendly_name()}
    later = []
    for node in nodes:
        if any(value.get_node().get_friendly_name() in head for value in node.input_values()):
            head.add(node.get_friendly_name())
            if node.get_type_name() != "Result":
                later.append(node.get_friendly_name())
    return convolutions, later


def _onnx_nodes(graph: Any) -> tuple[list[str], list[str]]:
    """The names of all convolutions of an `onnx.ModelProto`, and of what is computed from `frame_features`."""
    nodes = graph.graph.node  # in the order of computation
    tensors, later = {"frame_features"}, []
    for node in nodes:
        if tensors.intersection(node.input):
            tensors.update(node.output)
            later.append(node.name)
    return [node.name for node in nodes if node.op_type == "Conv"], later
