"""Other pictures of the same action, to tune a whole backbone on: another framing, another light."""

from __future__ import annotations

import torch
from torchvision.transforms import v2


class ClipAugmentation:
    """Crops a clip at random and changes its colours, all of its frames alike: else they would seem to move.

    Args:
        scale: Least and greatest part of the picture that a crop takes up.
        colour: How much brightness, contrast and saturation may change, as a part of what they are.
    """

    def __init__(self, scale: tuple[float, float] = (0.5, 1.0), colour: float = 0.3) -> None:
        self._scale = scale
        self._change_colours = v2.ColorJitter(brightness=colour, contrast=colour, saturation=colour)

    def __call__(self, pictures: torch.Tensor, seed: int) -> torch.Tensor:
        """A clip `[T, height, width, 3]` uint8 -> the same shape, on its device.

        Args:
            pictures: The clip.
            seed: What is done follows from it alone.
        """
        frames = pictures.permute(0, 3, 1, 2)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            crop = v2.RandomResizedCrop(tuple(frames.shape[-2:]), scale=self._scale, antialias=True)
            frames = self._change_colours(crop(frames))
        return frames.permute(0, 2, 3, 1)
