from __future__ import annotations

from pathlib import Path

import pytest
import torch

from resnet_lstm.device_precision import (
    PRECISIONS,
    backbone_dtype,
    best_device,
    describe,
    has_fast_bfloat16,
    precision_name,
)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="only Linux tells so what a processor can do")
def test_auto_is_bfloat16_where_the_processor_multiplies_in_it() -> None:
    flags = set(Path("/proc/cpuinfo").read_text().split())
    fast = bool(flags & {"amx_bf16", "avx512_bf16"})
    assert has_fast_bfloat16("cpu") == fast
    assert backbone_dtype("auto", "cpu") == (torch.bfloat16 if fast else torch.float32)


def test_what_is_asked_for_is_done() -> None:
    dtypes = {name: backbone_dtype(name, "cpu") for name in PRECISIONS if name != "auto"}
    assert dtypes == {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
    assert all(precision_name(dtype) == name for name, dtype in dtypes.items())
    with pytest.raises(ValueError, match="precision 'int8': must be one of auto, fp32, bf16, fp16"):
        backbone_dtype("int8", "cpu")


def test_devices_without_a_known_fast_bfloat16_compute_in_float32() -> None:
    assert backbone_dtype("auto", "mps") == torch.float32


def test_people_are_told_device_threads_and_precision() -> None:
    words = describe("cpu", "bf16")
    assert words.startswith("cpu (")
    assert words.endswith(f"{torch.get_num_threads()} threads), bf16")
    assert best_device().type in ("cpu", "cuda")
