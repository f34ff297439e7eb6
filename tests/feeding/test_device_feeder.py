from __future__ import annotations

import pytest
import torch

from resnet_lstm import ResNetLSTMVideoProcessor
from resnet_lstm.feeding import DeviceFeeder, HalvingBatches


@pytest.fixture
def clips() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(256, (6, 32, 32, 3), generator=generator, dtype=torch.uint8) for _ in range(3)]


def test_pictures_become_what_the_processor_makes_of_them(
    tiny_processor: ResNetLSTMVideoProcessor, clips: list[torch.Tensor]
) -> None:
    feeder = DeviceFeeder(tiny_processor, torch.device("cpu"))
    expected = tiny_processor([clip.numpy() for clip in clips], do_sample_frames=False, return_tensors="pt")
    pixel_values = feeder.pixel_values(clips)
    torch.testing.assert_close(pixel_values, expected["pixel_values"], rtol=0, atol=0)
    mirrored = feeder.pixel_values(clips, mirrored=[False, True, False])
    torch.testing.assert_close(mirrored[[0, 2]], pixel_values[[0, 2]], rtol=0, atol=0)
    torch.testing.assert_close(mirrored[1], pixel_values[1].flip(-1), rtol=0, atol=0)


class SmallDevice:
    """Has memory for so many at a time."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.sizes: list[int] = []

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self.sizes.append(len(batch))
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return 2 * batch


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_so_are_those_after_it() -> None:
    device = SmallDevice(3)
    compute = HalvingBatches(device)
    batch = torch.arange(16.0)
    torch.testing.assert_close(compute(batch), 2 * batch)
    assert compute.size == 2
    assert device.sizes[:3] == [16, 8, 4]
    device.sizes.clear()
    torch.testing.assert_close(compute(batch[:5]), 2 * batch[:5])
    assert device.sizes == [2, 2, 1]


def test_where_not_even_one_fits_the_error_is_the_devices() -> None:
    with pytest.raises(torch.OutOfMemoryError, match="CUDA out of memory"):
        HalvingBatches(SmallDevice(0))(torch.arange(4.0))
