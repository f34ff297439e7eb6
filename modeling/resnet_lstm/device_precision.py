"""Which device computes, and in which precision its backbone: decided here alone.

Only the backbone has a choice. What follows it (statistics, normalisation, LSTM, classifier, known score, the mean of
the logits) is float32 everywhere.
"""

from __future__ import annotations

import platform

import torch

PRECISIONS = ("auto", "fp32", "bf16", "fp16")
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def best_device() -> torch.device:
    """The CUDA GPU if there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def has_fast_bfloat16(device: torch.device | str) -> bool:
    """Whether a device multiplies in bfloat16: AMX or AVX-512 BF16 on a CPU, Ampere or newer among NVIDIA's GPUs."""
    device_type = torch.device(device).type
    if device_type == "cpu":
        # PyTorch also computes bfloat16 where the processor has no instruction for it, slower than float32.
        return torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return device_type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def backbone_dtype(precision: str, device: torch.device | str) -> torch.dtype:
    """What a backbone computes in.

    Args:
        precision: One of `PRECISIONS`. "auto" is bfloat16 where the device multiplies in it and float32 elsewhere; it
            is never float16, whose largest number is 65,504.
        device: Where the backbone is.

    Raises:
        ValueError: There is no such precision.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r}: must be one of {', '.join(PRECISIONS)}.")
    if precision == "auto":
        precision = "bf16" if has_fast_bfloat16(device) else "fp32"
    return _DTYPES[precision]


def precision_name(dtype: torch.dtype) -> str:
    """What `PRECISIONS` calls a dtype."""
    return next((name for name, known in _DTYPES.items() if known == dtype), str(dtype).removeprefix("torch."))


def describe(device: torch.device | str, precision: str) -> str:
    """A device and a precision in words, for people: "cpu (Intel Xeon with AMX, 2 threads), bf16"."""
    device = torch.device(device)
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = f"{processor_name()}, {torch.get_num_threads()} threads"
    return f"{device.type} ({name}), {precision}"


def processor_name() -> str:
    """The CPU's name, and which of the instructions that matter here it has."""
    capabilities = {
        "AMX": torch.cpu._is_amx_tile_supported(),
        "AVX-512 BF16": torch.cpu._is_avx512_bf16_supported(),
        "VNNI": torch.cpu._is_vnni_supported(),
    }
    name = _cpu_model() or platform.machine()
    found = [capability for capability, is_there in capabilities.items() if is_there]
    return f"{name} with {', '.join(found)}" if found else name


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - one line of a file of the kernel
            lines = [line for line in file if line.startswith("model name")]
    except OSError:  # not Linux
        return platform.processor()
    return lines[0].partition(":")[2].strip() if lines else ""


__all__ = [
    "PRECISIONS",
    "backbone_dtype",
    "best_device",
    "describe",
    "has_fast_bfloat16",
    "precision_name",
    "processor_name",
]
