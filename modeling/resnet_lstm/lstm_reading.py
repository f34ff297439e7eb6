"""The LSTM's way through a sequence of frames, and through a single one as fast as its weights can be read."""

from __future__ import annotations

import torch
from torch import nn


def read_in_order(
    lstm: nn.LSTM, lstm_input: torch.Tensor, hidden: torch.Tensor, cell: torch.Tensor
) -> tuple[torch.Tensor, tuple[torch.Tensor, torch.Tensor]]:
    """The LSTM's output for `[B, T, lstm_input_size]`, and its state after it."""
    if lstm_input.device.type == "cuda":
        _gather_weights(lstm)
    if lstm_input.shape[1] > 1 or torch.is_grad_enabled() or not _is_plain_lstm(lstm, lstm_input):
        output, state = lstm(lstm_input, (hidden, cell))
        return output, state
    # A frame of a camera. On a CPU the LSTM's weights would be brought into another order first, which takes
    # longer than to read one frame with them as they are.
    output, states = lstm_input[:, 0], []
    for layer, weights in enumerate(lstm.all_weights):
        states.append(torch.lstm_cell(output, (hidden[layer], cell[layer]), *weights))
        output = states[-1][0]
    hidden, cell = (torch.stack(parts) for parts in zip(*states, strict=True))
    return output[:, None], (hidden, cell)


def is_eager(tensor: torch.Tensor) -> bool:
    """Whether what is called computes at once, and is not being traced, compiled, transformed or counted."""
    return (
        type(tensor) is torch.Tensor
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch._C._len_torch_dispatch_stack()
        and not torch._C._are_functorch_transforms_active()
    )


def _is_plain_lstm(lstm: nn.Module, lstm_input: torch.Tensor) -> bool:
    """Whether an LSTM's weights may be read past its `forward`: on a CPU, neither hooked, offloaded nor quantised."""
    return (
        type(lstm) is nn.LSTM
        and lstm_input.device.type == "cpu"
        and not (lstm._forward_hooks or lstm._forward_pre_hooks or "forward" in vars(lstm))
        and all(type(weight) is nn.Parameter and not weight.is_meta for weight in lstm.parameters())
        and is_eager(lstm_input)
    )


def _gather_weights(lstm: nn.Module) -> None:
    """Put an LSTM's weights side by side, where loading or copying has scattered them: cuDNN warns at each call."""
    if type(lstm) is nn.LSTM and not torch.compiler.is_compiling():
        memory = {weight.untyped_storage().data_ptr() for weight in lstm.parameters()}
        if len(memory) > 1:
            lstm.flatten_parameters()


__all__ = ["is_eager", "read_in_order"]
