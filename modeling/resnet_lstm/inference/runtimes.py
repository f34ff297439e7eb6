"""Exported models run by OpenVINO or ONNX Runtime, and the frame features of one in the place of the backbone.

The model around it stays what it is: it takes frames or features, goes on from a state, and its small head is
computed by PyTorch. So whatever calls a model need not know what computes its features.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Protocol

import torch

from ..device_precision import backbone_dtype

# What an exported graph computes of `pixel_values` [B, T, C, H, W]: [B, L], [B, T, L] and [B, T, D].
OUTPUTS = ("logits", "frame_logits", "frame_features")

_OPENVINO_PRECISIONS = {torch.float32: "f32", torch.bfloat16: "bf16"}

# Bounds the memory that many clips at once would take, and how many sizes a runtime has to prepare itself for.
_FRAMES_AT_A_TIME = 16


class ExportedGraph(Protocol):
    """An exported model: `pixel_values` `[B, T, C, H, W]` float32 -> its outputs, in the order they were asked for.

    It may be called from several threads.

    Attributes:
        frame_shape: C, H and W, which are fixed; any number of clips and frames will do.
        dtype: What is computed in, where it is not 8-bit integers.
    """

    frame_shape: tuple[int, ...]
    dtype: torch.dtype

    def __call__(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]: ...


class OpenVINOGraph:
    """An exported model run by OpenVINO on the CPU, see `ExportedGraph`.

    Args:
        path: The .xml file; the .bin file lies beside it.
        outputs: Which of `OUTPUTS` are wanted. What only the others need is not computed.
        num_threads: By default as many as PyTorch uses.
        precision: "fp32" or "bf16"; "auto" is the one that the processor is fast in.

    Raises:
        ValueError: Another precision was asked for.
    """

    def __init__(
        self,
        path: Path,
        outputs: Sequence[str] = OUTPUTS,
        num_threads: int | None = None,
        precision: str = "fp32",
    ) -> None:
        self.dtype = backbone_dtype(precision, "cpu")
        if self.dtype not in _OPENVINO_PRECISIONS:
            raise ValueError(f"precision {precision!r}: OpenVINO computes in fp32 or bf16 on a CPU.")
        openvino = import_extra("openvino", "openvino")
        graph = openvino.Core().read_model(path)
        graph = openvino.Model([graph.output(name) for name in outputs], graph.get_parameters())
        self.frame_shape = tuple(dimension.get_length() for dimension in list(graph.input().partial_shape)[2:])
        settings = {
            "PERFORMANCE_HINT": "LATENCY",
            # It would choose by itself, and not say what.
            "INFERENCE_PRECISION_HINT": _OPENVINO_PRECISIONS[self.dtype],
            "INFERENCE_NUM_THREADS": num_threads or torch.get_num_threads(),
        }
        self._request = openvino.Core().compile_model(graph, "CPU", settings).create_infer_request()
        # One request uses all threads already; a second one would only slow the first, and take as much memory again.
        self._lock = Lock()

    def __call__(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        array = pixel_values.contiguous().numpy()
        with self._lock:
            results = self._request.infer([array], share_inputs=True, share_outputs=True)
            # Copied: the request writes its next results to the same place.
            return tuple(torch.from_numpy(results[index].copy()) for index in range(len(results)))


class OnnxGraph:
    """An exported model run by ONNX Runtime on the CPU, see `ExportedGraph`.

    Args:
        path: The .onnx file.
        outputs: Which of `OUTPUTS` are wanted.
        num_threads: By default as many as PyTorch uses.
        precision: "fp32" or "auto", which is the same here.

    Raises:
        ValueError: Another precision was asked for.
    """

    dtype = torch.float32

    def __init__(
        self,
        path: Path,
        outputs: Sequence[str] = OUTPUTS,
        num_threads: int | None = None,
        precision: str = "fp32",
    ) -> None:
        if precision not in ("auto", "fp32"):
            raise ValueError(f"precision {precision!r}: ONNX Runtime computes in fp32 on a CPU.")
        onnxruntime = import_extra("onnxruntime", "onnx")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = num_threads or torch.get_num_threads()
        self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        self._outputs = list(outputs)
        self.frame_shape = tuple(self._session.get_inputs()[0].shape[2:])

    def __call__(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        results = self._session.run(self._outputs, {"pixel_values": pixel_values.contiguous().numpy()})
        return tuple(torch.from_numpy(result) for result in results)


_GRAPHS: dict[str, type[OnnxGraph] | type[OpenVINOGraph]] = {"onnx": OnnxGraph, "openvino": OpenVINOGraph}


def load_graph(format: str, path: Path, outputs: Sequence[str] = OUTPUTS, precision: str = "fp32") -> ExportedGraph:
    """Read an exported graph.

    Args:
        format: One of `EXPORT_FORMATS`.
        path: The graph.
        outputs: Which of `OUTPUTS` are wanted.
        precision: One of `PRECISIONS`.

    Raises:
        ImportError: Its runtime is not installed.
        ValueError: It does not compute in this precision.
    """
    return _GRAPHS[format](path, outputs, precision=precision)


class GraphBackbone:
    """Computes frame features by an exported graph, for `compile_for_inference`.

    Args:
        graph: Made with the single output `frame_features`.
    """

    def __init__(self, graph: ExportedGraph) -> None:
        self.graph = graph

    def __call__(self, frames: torch.Tensor) -> torch.Tensor:
        """`[N, C, height, width]` -> `[N, D]`.

        Raises:
            ValueError: The frames are not of the size that was exported.
        """
        if tuple(frames.shape[1:]) != self.graph.frame_shape:
            raise ValueError(
                f"frames of shape {list(frames.shape[1:])}: the exported model takes {list(self.graph.frame_shape)}."
            )
        portions = frames.float().split(_FRAMES_AT_A_TIME)
        return torch.cat([self.graph(portion[None])[0][0] for portion in portions])


def import_extra(module: str, extra: str) -> ModuleType:
    """Import a module that an extra of this package installs.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"{module}: cannot be imported ({error}). pip install 'resnet-lstm[{extra}]'") from error
