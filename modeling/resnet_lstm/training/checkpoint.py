"""The state of a training run in one safetensors file: what is trained, the optimizer, and where the run stands.

Weights that are not trained are left out: a frozen ResNet-50 would make each checkpoint twenty times larger.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import nn

from ..whole_file import written_whole

# Raise it when a checkpoint's state means something else than before.
FORMAT = 1


class CheckpointError(ValueError):
    """A checkpoint is damaged, or was written by another version."""


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], state: dict[str, Any]) -> None:
    """Write tensors and a JSON-able state as one file that appears whole or not at all."""
    on_cpu = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    with written_whole(path) as temporary:
        # Not by `save_file`, which writes another temporary file, of which nobody knows after a kill.
        temporary.write_bytes(save(on_cpu, metadata={"format": str(FORMAT), "state": json.dumps(state)}))


def load_tensors(path: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """What `save_tensors` wrote.

    Raises:
        CheckpointError: It is damaged, or was written by another version of this program.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dictionary
    except SafetensorError as error:
        raise CheckpointError(f"{path}: damaged ({error}). Start anew with --overwrite.") from error
    found = metadata.get("format", "none")
    if found != str(FORMAT):
        raise CheckpointError(
            f"{path}: written by another version of resnet-lstm (format {found}, this one reads {FORMAT}). End the "
            "run with that version, or start anew with --overwrite."
        )
    return tensors, json.loads(metadata["state"])


def trained_weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """The weights that training changes: parameters with a gradient, and the statistics of BatchNorm that moves."""
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    for prefix, module in model.named_modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and (
            module.weight is None or module.weight.requires_grad
        ):
            names.update(f"{prefix}.{name}" for name, _ in module.named_buffers())
    state_dict = model.state_dict()
    return {name: state_dict[name] for name in sorted(names)}


def load_trained_weights(model: nn.Module, weights: dict[str, torch.Tensor]) -> None:
    """Put `trained_weights` back; the others stay as they are."""
    unexpected = model.load_state_dict(weights, strict=False).unexpected_keys
    if unexpected:
        raise ValueError(f"weights {unexpected}: the model has none of these names. Was it built the same way?")


def optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """The optimizer's state of each parameter, flat: `0.exp_avg`, `0.step`, ..."""
    return {
        f"{index}.{name}": tensor
        for index, tensors in optimizer.state_dict()["state"].items()
        for name, tensor in tensors.items()
    }


def load_optimizer_tensors(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    """Put `optimizer_tensors` back; learning rates stay as they are."""
    state_dict = optimizer.state_dict()
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = tensor
    optimizer.load_state_dict({**state_dict, "state": state})
