"""Video processor of ResNet-LSTM: a video, in whatever form, -> pixel values."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from transformers import BatchFeature
from transformers.image_processing_utils import get_size_dict
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    ChannelDimension,
    PILImageResampling,
    SizeDict,
    infer_channel_dimension_format,
    validate_preprocess_arguments,
)
from transformers.processing_utils import Unpack, VideosKwargs
from transformers.video_processing_utils import BaseVideoProcessor
from transformers.video_utils import VideoMetadata

from .video_damage import Damage
from .video_decoding import sample_frame_indices, sample_video
from .video_inputs import (
    all_pictures,
    as_list,
    decoder_frames,
    decoder_metadata,
    file_metadata,
    is_decoder,
    is_file,
    metadata_of,
    readable_twice,
    source_of,
)
from .video_sources import VideoSource, source_name

logger = logging.getLogger(__name__)

# What decides the size of the pictures, in the constructor and in a call.
_SIZING = ("do_resize", "size", "default_to_square", "resample", "do_center_crop", "crop_size")


class ResNetLSTMVideoProcessor(BaseVideoProcessor):
    r"""
    Decodes, samples, resizes and normalises videos: the one path of training, evaluation, `pipeline()` and the Space.

    The whole frame is squashed to a square, so that nothing at its edges is lost.

    Calling it gives `pixel_values` `[B, T, 3, 224, 224]` (float32, RGB, ImageNet mean and standard deviation) from one
    video or a sequence of them, which may be of different forms:

    - a file: a path, an http(s) URL, its bytes, a binary file object, or what `datasets` gives for
      `Video(decode=False)`, `{"path": ..., "bytes": ...}`; `video_decoding` reads it;
    - a `torchcodec` `VideoDecoder`, which `datasets` gives for `Video()`;
    - frames: an array or tensor `[T, H, W, 3]` or `[T, 3, H, W]` (uint8, RGB), or a list of pictures (PIL, arrays).

    `num_frames` frames are sampled evenly over the whole video, a short one repeating its own. Or `fps` frames a
    second are: the rate of frames is then read from their `video_metadata`. With `do_sample_frames=False` all frames
    are taken as they are.

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

    def __init__(self, **kwargs: Unpack[VideosKwargs]) -> None:
        if kwargs.get("fps") is not None:
            _refuse_both(kwargs.get("num_frames"), kwargs["fps"])
            # The number of the class would come back beside it.
            kwargs["num_frames"] = None
        super().__init__(**kwargs)

    @classmethod
    def from_dict(cls, video_processor_dict: dict[str, Any], **kwargs: Any) -> Any:
        """As in transformers; `fps` takes the place of a `num_frames` that was saved, and the other way round."""
        for name, other in (("fps", "num_frames"), ("num_frames", "fps")):
            if kwargs.get(name) is not None:
                kwargs.setdefault(other, None)
        return super().from_dict(video_processor_dict, **kwargs)

    def preprocess(self, videos: Any, **kwargs: Unpack[VideosKwargs]) -> BatchFeature:
        """See the class.

        Raises:
            VideoDecodingError: A video is missing, is none, or cannot be decoded.
            ValueError: What is asked for contradicts itself or cannot be done.
        """
        settings: dict[str, Any] = dict(kwargs)
        self._refuse_what_is_not_done(settings)
        videos = as_list(videos)
        all_metadata = metadata_of(videos, settings.pop("video_metadata", None))
        num_frames, fps = self._wanted_frames(settings)
        return_metadata = settings.pop("return_metadata", self.return_metadata)
        return_tensors = settings.pop("return_tensors", None)

        clips = []
        for index, video in enumerate(videos):
            frames: torch.Tensor
            metadata: VideoMetadata | None
            sizing: dict[str, Any] = {}
            if is_file(video):
                frames, metadata = self._read_file(video, num_frames, fps, settings, return_metadata)
                # They have their size.
                sizing = {"do_resize": False, "do_center_crop": False}
            elif is_decoder(video):
                frames, metadata = self._read_decoder(video, num_frames, fps)
            else:
                sampled, metadata = self._sample(video, all_metadata[index], num_frames, fps)
                frames = _channels_first(sampled, settings.get("input_data_format"))
            all_metadata[index] = metadata
            told = settings | sizing | {"input_data_format": ChannelDimension.FIRST}
            clip = super().preprocess([frames], do_sample_frames=False, return_metadata=False, **told)
            clips.extend(clip["pixel_values_videos"])

        batch = BatchFeature({"pixel_values": _stacked(clips) if return_tensors else clips}, return_tensors)
        if return_metadata:
            batch["video_metadata"] = all_metadata
        return batch

    def sample_frames(
        self, metadata: VideoMetadata, num_frames: int | None = None, fps: float | None = None, **kwargs: Any
    ) -> np.ndarray:
        """The frames that are sampled of a video at a constant rate.

        Args:
            metadata: How many frames it has, and for `fps` their rate.
            num_frames: T, how many are wanted; of the processor if both this and `fps` are left out.
            fps: How many are wanted a second instead.
            **kwargs: Other settings of a call, which do not matter here.

        Returns:
            `[T]` indices in ascending order.

        Raises:
            ValueError: Both numbers are given or none is known, one is not positive, or the video's rate is not known.
        """
        num_frames, fps = self._wanted_frames({"num_frames": num_frames, "fps": fps, "do_sample_frames": True})
        if fps is not None:
            num_frames = _num_frames_at(fps, metadata)
        assert num_frames is not None  # noqa: S101 - one of both is
        return sample_frame_indices(metadata.total_num_frames, num_frames)

    def resize_picture(self, picture: np.ndarray) -> np.ndarray:
        """A picture in the size that the model reads, which `normalize_pictures` takes.

        Args:
            picture: `[H, W, 3]` uint8.

        Returns:
            `[height, width, 3]` uint8.
        """
        return self._resized(picture, **self._sizing({}))

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

    def _refuse_what_is_not_done(self, settings: dict[str, Any]) -> None:
        """What transformers takes and passes by."""
        if settings.pop("do_pad", self.do_pad):
            raise ValueError("do_pad=True: videos are resized, never padded.")
        data_format = settings.pop("data_format", self.data_format)
        if data_format not in (None, ChannelDimension.FIRST):
            raise ValueError(f"data_format={data_format}: the model reads pixel values with the channels first.")

    def _wanted_frames(self, settings: dict[str, Any]) -> tuple[int | None, float | None]:
        """How many frames of each video, or how many a second; neither for all. Takes them out of `settings`."""
        num_frames: Any = settings.pop("num_frames", None)
        fps: Any = settings.pop("fps", None)
        _refuse_both(num_frames, fps)
        do_sample_frames = settings.pop("do_sample_frames", None)
        given = {"num_frames": num_frames, "fps": fps}
        told = ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)
        if do_sample_frames is False and told:
            raise ValueError(f"{told}: with do_sample_frames=False all frames are taken as they are.")
        if not (self.do_sample_frames if do_sample_frames is None else do_sample_frames):
            if told:
                # As in transformers, where the processor's own setting holds.
                logger.warning("%s is not used: the processor was made with do_sample_frames=False.", told)
            return None, None
        if not told:
            num_frames, fps = self.num_frames, self.fps
            _refuse_both(num_frames, fps)
            if num_frames is None and fps is None:
                raise ValueError("do_sample_frames=True: neither num_frames nor fps says how many frames to sample.")
        if num_frames is not None and not (isinstance(num_frames, int) and num_frames >= 1):
            raise ValueError(f"num_frames={num_frames!r}: a whole number of at least 1 was expected.")
        if fps is not None and not (isinstance(fps, int | float) and fps > 0 and math.isfinite(fps)):
            raise ValueError(f"fps={fps!r}: a number of frames a second above 0 was expected.")
        return num_frames, fps

    def _read_file(
        self,
        video: VideoSource | Mapping[str, Any],
        num_frames: int | None,
        fps: float | None,
        settings: dict[str, Any],
        with_metadata: bool,
    ) -> tuple[torch.Tensor, VideoMetadata | None]:
        """Frames of a file `[T, 3, height, width]` in their final size, each resized before the next is decoded."""
        source = source_of(video)
        metadata = None
        if fps is not None or with_metadata:
            source = readable_twice(source)
            metadata = file_metadata(source)
        if fps is not None:
            assert metadata is not None  # noqa: S101 - see above
            num_frames = _num_frames_at(fps, metadata)
        sizing = self._sizing(settings)
        damage = Damage()
        if num_frames is None:
            pictures = all_pictures(source, damage)
        else:
            pictures = (picture for _, picture in sample_video(source, num_frames, damage=damage))
        frames = [self._resized(picture, **sizing) for picture in pictures]
        if damage:
            logger.warning("%s: %s.", source_name(source), damage)
        if metadata is not None:
            total = len(frames) if num_frames is None else metadata.total_num_frames
            metadata.frames_indices = sample_frame_indices(total, len(frames)).tolist()
        return torch.from_numpy(np.stack(frames)).movedim(-1, -3), metadata

    def _read_decoder(
        self, decoder: Any, num_frames: int | None, fps: float | None
    ) -> tuple[torch.Tensor, VideoMetadata]:
        """Frames of a `VideoDecoder`, `[T, 3, H, W]`."""
        metadata = decoder_metadata(decoder)
        if fps is not None:
            num_frames = _num_frames_at(fps, metadata)
        frames = _channels_first(decoder_frames(decoder, num_frames))
        metadata.frames_indices = sample_frame_indices(metadata.total_num_frames, len(frames)).tolist()
        return frames, metadata

    def _sample(
        self,
        frames: np.ndarray | torch.Tensor,
        metadata: VideoMetadata | None,
        num_frames: int | None,
        fps: float | None,
    ) -> tuple[np.ndarray | torch.Tensor, VideoMetadata]:
        """The frames that are wanted of `[T, ...]`."""
        metadata = metadata or VideoMetadata(total_num_frames=len(frames))
        if metadata.total_num_frames != len(frames):
            raise ValueError(
                f"video_metadata with total_num_frames={metadata.total_num_frames}: {len(frames)} frames were given."
            )
        if num_frames is None and fps is None:
            indices = np.arange(len(frames))
        else:
            indices = self.sample_frames(metadata, num_frames, fps)
            frames = frames[indices]
        metadata.frames_indices = indices.tolist()
        return frames, metadata

    def _sizing(self, settings: dict[str, Any]) -> dict[str, Any]:
        """What `_resized` is told, by `settings` and where they say nothing by the processor's own."""
        sizing = {name: settings.get(name, getattr(self, name)) for name in _SIZING}
        default_to_square = sizing.pop("default_to_square")
        for name, square in (("size", default_to_square), ("crop_size", True)):
            if sizing[name] is not None and not isinstance(sizing[name], SizeDict):
                sizing[name] = SizeDict(**get_size_dict(sizing[name], default_to_square=square, param_name=name))
        validate_preprocess_arguments(**sizing)
        return sizing

    def _resized(
        self,
        picture: np.ndarray,
        do_resize: bool | None,
        size: SizeDict,
        resample: PILImageResampling | int | None,
        do_center_crop: bool | None,
        crop_size: SizeDict,
    ) -> np.ndarray:
        """`[H, W, 3]` -> `[height, width, 3]`."""
        if not (do_resize or do_center_crop):
            return picture
        image = torch.from_numpy(np.ascontiguousarray(picture)).permute(2, 0, 1)
        if do_resize:
            image = self.resize(image, size, resample=resample)
        if do_center_crop:
            image = self.center_crop(image, crop_size)
        resized: np.ndarray = image.permute(1, 2, 0).numpy()
        return resized


def _channels_first(
    frames: np.ndarray | torch.Tensor, data_format: ChannelDimension | str | None = None
) -> torch.Tensor:
    """`[T, H, W, C]`, or `[T, C, H, W]` already, -> `[T, C, H, W]`; a view, so that no frame is copied."""
    if isinstance(frames, np.ndarray):
        frames = torch.from_numpy(np.ascontiguousarray(frames))
    num_channels = (1, 3) if {frames.shape[1], frames.shape[3]} & {1, 3} else 4  # the fourth is their opacity
    if (data_format or infer_channel_dimension_format(frames, num_channels)) == ChannelDimension.LAST:
        frames = frames.movedim(-1, -3)
    return frames


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


def _refuse_both(num_frames: int | None, fps: float | None) -> None:
    if num_frames is not None and fps is not None:
        raise ValueError(f"num_frames={num_frames} and fps={fps}: give one of them, either says how many frames.")


def _num_frames_at(fps: float, metadata: VideoMetadata) -> int:
    """How many frames of a video `fps` frames a second are; at least one."""
    if not metadata.fps:
        raise ValueError(f"fps={fps}: the rate of the frames is not known, give it in video_metadata.")
    # Rounded first: 205 frames at 25 a second, 15 of them a second, are 122.99999999999999.
    return max(1, int(round(metadata.total_num_frames / metadata.fps * fps, 6)))


__all__ = ["ResNetLSTMVideoProcessor"]
