"""Video processor of ResNet-LSTM: a video, in whatever form, -> pixel values."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD, PILImageResampling, SizeDict
from transformers.processing_utils import Unpack, VideosKwargs
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.video_utils import make_batched_videos

from .video_decoding import sample_frame_indices, sample_video


class ResNetLSTMVideoProcessor(BaseVideoProcessor):
    r"""
    Decodes, samples, resizes and normalises videos: the one path of training, evaluation, `pipeline()` and the Space.

    The whole frame is squashed to a square, so that nothing at its edges is lost.

    Calling it gives `pixel_values` `[B, T, 3, 224, 224]` (float32, RGB, ImageNet mean and standard deviation) from one
    video or a list of them. A video is a path, an http(s) URL, the bytes of a file or a binary file object, which
    `video_decoding` reads; or frames `[T, H, W, 3]` (uint8, RGB). With `do_sample_frames=False` frames are taken as
    they are instead of being sampled down (or up) to `num_frames`.

    Example:

    ```python
    >>> from resnet_lstm import ResNetLSTMVideoProcessor

    >>> processor = ResNetLSTMVideoProcessor()
    >>> inputs = processor("clip.mp4", return_tensors="pt")
    ```
    """

    resample = PILImageResampling.BILINEAR
    image_mean = IMAGENET_DEFAULT_MEAN
    image_std = IMAGENET_DEFAULT_STD
    size = {"height": 224, "width": 224}  # noqa: RUF012 - class constants, as in transformers
    do_resize = True
    do_rescale = True
    rescale_factor = 1 / 255
    do_normalize = True
    do_convert_rgb = True
    do_sample_frames = True
    num_frames = 16
    model_input_names = ["pixel_values"]  # noqa: RUF012

    def preprocess(self, videos: Any, **kwargs: Unpack[VideosKwargs]) -> BatchFeature:
        """See the class.

        Raises:
            VideoDecodingError: A video is missing, is none, or cannot be decoded.
        """
        num_frames = kwargs.pop("num_frames", None) or self.num_frames
        do_sample_frames = kwargs.pop("do_sample_frames", None)
        if do_sample_frames is None:
            do_sample_frames = self.do_sample_frames
        resized_otherwise = kwargs.keys() & {"do_resize", "resample", "size"}

        clips = []
        for video in _as_list(videos):
            if _is_encoded(video):
                pictures = (picture for _, picture in sample_video(video, num_frames))
                frames = np.stack(list(pictures if resized_otherwise else map(self.resize_picture, pictures)))
            else:
                frames = video
                if do_sample_frames:
                    frames = frames[sample_frame_indices(len(frames), num_frames)]
            clips.append(frames)

        return_tensors = kwargs.pop("return_tensors", None)
        batch = super().preprocess(clips, do_sample_frames=False, **kwargs)
        batch["pixel_values"] = batch.pop("pixel_values_videos")
        if return_tensors is None:
            return batch
        return BatchFeature({**batch, "pixel_values": _stacked(batch["pixel_values"])}, tensor_type=return_tensors)

    def resize_picture(self, picture: np.ndarray) -> np.ndarray:
        """A picture in the size that the model reads; a call of the processor leaves one of this size as it is.

        Args:
            picture: `[H, W, 3]` uint8.

        Returns:
            `[height, width, 3]` uint8.
        """
        if not self.do_resize:
            return picture
        channels_first = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
        resized = self.resize(channels_first, SizeDict(**dict(self.size)), resample=self.resample)
        return resized.permute(1, 2, 0).numpy()

    def normalize_pictures(self, pictures: torch.Tensor) -> torch.Tensor:
        """What a call of the processor makes of pictures that have their size, on whatever device they are.

        Args:
            pictures: `[..., T, height, width, 3]` uint8, RGB.

        Returns:
            `pixel_values` `[..., T, 3, height, width]` float32 on the same device. In memory the colours of a pixel
            stay side by side, in the "channels last" format that convolutions are fastest in.
        """
        return _normalized(
            pictures, self.do_rescale, self.rescale_factor, self.do_normalize, self.image_mean, self.image_std
        )

    def rescale_and_normalize(
        self,
        images: torch.Tensor,
        do_rescale: bool | None,
        rescale_factor: float,
        do_normalize: bool | None,
        image_mean: float | Sequence[float],
        image_std: float | Sequence[float],
    ) -> torch.Tensor:
        """As in transformers, to the bit, with the result in the memory format of `normalize_pictures`."""
        pictures = images.movedim(-3, -1)
        return _normalized(pictures, do_rescale, rescale_factor, do_normalize, image_mean, image_std)


def _normalized(
    pictures: torch.Tensor,
    do_rescale: bool | None,
    rescale_factor: float,
    do_normalize: bool | None,
    image_mean: float | Sequence[float],
    image_std: float | Sequence[float],
) -> torch.Tensor:
    """`[..., height, width, C]` -> `[..., C, height, width]` float32."""
    width, num_channels = pictures.shape[-2:]
    rows = pictures.flatten(-2).to(torch.float32)  # [..., height, width * C], a copy of what is not float32 yet
    if do_normalize:
        scale = 1 / rescale_factor if do_rescale else 1.0
        # Of a whole row of pixels at a time: over three numbers at a time a vector unit has nothing to do.
        mean, std = (
            (torch.as_tensor(statistic, dtype=torch.float32, device=rows.device) * scale)
            .expand(num_channels)
            .repeat(width)
            for statistic in (image_mean, image_std)
        )
        rows = (rows - mean if rows.dtype == pictures.dtype else rows.sub_(mean)).div_(std)
    elif do_rescale:
        rows = rows * rescale_factor
    return rows.unflatten(-1, (width, num_channels)).movedim(-1, -3)


def _stacked(clips: list[torch.Tensor]) -> torch.Tensor | list[torch.Tensor]:
    """`[T, C, height, width]` each -> `[B, T, C, height, width]` in one memory format; as they are if sizes differ."""
    if len({clip.shape for clip in clips}) > 1:
        return clips
    if len(clips) == 1:
        return clips[0][None]
    return torch.stack([clip.movedim(-3, -1) for clip in clips]).movedim(-1, -3)


def _as_list(videos: Any) -> list[Any]:
    if _is_encoded(videos):
        return [videos]
    if isinstance(videos, list | tuple) and any(_is_encoded(video) for video in videos):
        return list(videos)
    return make_batched_videos(videos)


def _is_encoded(video: Any) -> bool:
    """Whether it is a video file, rather than frames."""
    return isinstance(video, str | os.PathLike | bytes) or (
        hasattr(video, "read") and not isinstance(video, np.ndarray | torch.Tensor)
    )


__all__ = ["ResNetLSTMVideoProcessor"]
