from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers.video_processing_utils import BaseVideoProcessor

from conftest import numbered_frames
from resnet_lstm import ResNetLSTMVideoProcessor, VideoDecodingError, decode_video
from resnet_lstm.data.video_encoding import write_video


def test_pixel_values_are_resized_and_normalised_frames(numbered_clip: Path) -> None:
    pixel_values = ResNetLSTMVideoProcessor()(numbered_clip, return_tensors="pt")["pixel_values"]
    assert pixel_values.shape == (1, 16, 3, 224, 224)
    assert pixel_values.dtype == torch.float32
    grey = decode_video(numbered_clip, 16).frames.mean(axis=(1, 2, 3)) / 255
    expected = (grey[:, None] - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225])
    np.testing.assert_allclose(pixel_values[0].mean(dim=(-1, -2)), expected, atol=0.02)


def test_the_whole_frame_is_kept(tiny_processor: ResNetLSTMVideoProcessor) -> None:
    frames = np.zeros((6, 48, 96, 3), np.uint8)
    frames[:, :, :6] = frames[:, :, -6:] = 255
    pixel_values = tiny_processor(frames, return_tensors="pt")["pixel_values"][0]  # [T, C, H, W]
    assert (pixel_values[..., 0] > 1).all()
    assert (pixel_values[..., -1] > 1).all()


def test_every_form_of_a_video_gives_the_same(tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path) -> None:
    expected = tiny_processor(str(numbered_clip), return_tensors="pt")["pixel_values"]
    content = numbered_clip.read_bytes()
    frames = decode_video(numbered_clip, 6).frames
    for video in (numbered_clip, content, io.BytesIO(content), frames, torch.from_numpy(frames), [frames]):
        torch.testing.assert_close(tiny_processor(video, return_tensors="pt")["pixel_values"], expected)


def test_a_list_may_mix_files_and_frames_of_different_sizes(
    tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path, numbered_clip: Path
) -> None:
    wide = write_video(tmp_path / "wide.webm", numbered_frames(9, height=32, width=80))
    videos = [numbered_clip, decode_video(wide, 6).frames, wide.read_bytes()]
    batch = tiny_processor(videos, return_tensors="pt")["pixel_values"]
    assert batch.shape == (3, 6, 3, 32, 32)
    for index, video in enumerate(videos):
        alone = tiny_processor(video, return_tensors="pt")["pixel_values"][0]
        torch.testing.assert_close(batch[index], alone)


def test_resizing_picture_by_picture_changes_nothing(numbered_clip: Path) -> None:
    processor = ResNetLSTMVideoProcessor()
    noise = np.random.default_rng(0).integers(0, 256, (5, 91, 333, 3), dtype=np.uint8)
    expected = processor(noise, do_sample_frames=False, return_tensors="pt")["pixel_values"]
    resized = np.stack([processor.resize_picture(picture) for picture in noise])
    assert resized.shape == (5, 224, 224, 3)
    given = processor(resized, do_sample_frames=False, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(given, expected, rtol=0, atol=0)

    unresized = ResNetLSTMVideoProcessor(do_resize=False)
    assert unresized(numbered_clip, return_tensors="pt")["pixel_values"].shape == (1, 16, 3, 48, 64)
    smaller = processor(numbered_clip, size={"height": 40, "width": 30}, return_tensors="pt")["pixel_values"]
    frames = decode_video(numbered_clip, 16).frames
    of_frames = processor(frames, size={"height": 40, "width": 30}, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(smaller, of_frames, rtol=0, atol=0)


def test_num_frames_is_an_argument_too(tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path) -> None:
    for video in (numbered_clip, decode_video(numbered_clip, 20).frames):
        pixel_values = tiny_processor(video, num_frames=9, return_tensors="pt")["pixel_values"]
        assert pixel_values.shape[1] == 9


def test_frames_are_left_as_they_are_on_request(tiny_processor: ResNetLSTMVideoProcessor) -> None:
    frames = np.stack(numbered_frames(11))
    assert tiny_processor(frames, return_tensors="pt")["pixel_values"].shape[1] == 6
    kept = tiny_processor(frames, do_sample_frames=False, return_tensors="pt")["pixel_values"]
    assert kept.shape[1] == 11


def test_settings_survive_saving(
    tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path, numbered_clip: Path
) -> None:
    tiny_processor.save_pretrained(tmp_path)
    loaded = ResNetLSTMVideoProcessor.from_pretrained(tmp_path)
    assert loaded.to_dict() == tiny_processor.to_dict()
    for processor in (tiny_processor, loaded):
        assert processor(numbered_clip, return_tensors="pt")["pixel_values"].shape == (1, 6, 3, 32, 32)


def test_a_bad_file_is_named(tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path) -> None:
    with pytest.raises(VideoDecodingError, match=r"nowhere\.mp4"):
        tiny_processor(tmp_path / "nowhere.mp4")


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"do_rescale": False},
        {"do_normalize": False},
        {"do_rescale": False, "do_normalize": False},
        {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.6, 0.7], "rescale_factor": 1 / 127},
    ],
)
def test_pictures_are_normalised_alone_as_in_a_call_and_as_transformers_does(setting: dict[str, object]) -> None:
    processor = ResNetLSTMVideoProcessor(**setting)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 3, 224, 224, 3), dtype=np.uint8)
    pixel_values = processor.normalize_pictures(torch.from_numpy(pictures))
    called = processor(list(pictures), do_sample_frames=False, return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(called, pixel_values, rtol=0, atol=0)

    channels_first = torch.from_numpy(pictures).movedim(-1, -3)
    names = ("do_rescale", "rescale_factor", "do_normalize", "image_mean", "image_std")
    of_transformers = BaseVideoProcessor.rescale_and_normalize(
        processor, channels_first, **{name: getattr(processor, name) for name in names}
    )
    torch.testing.assert_close(pixel_values, of_transformers.float(), rtol=0, atol=0)


def test_normalised_pictures_are_in_the_memory_format_of_the_backbone() -> None:
    processor = ResNetLSTMVideoProcessor()
    pictures = torch.zeros(2, 3, 16, 8, 3, dtype=torch.uint8)
    for pixel_values in (
        processor.normalize_pictures(pictures),
        processor(pictures.numpy(), do_sample_frames=False, do_resize=False, return_tensors="pt")["pixel_values"],
    ):
        assert pixel_values.shape == (2, 3, 3, 16, 8)
        frames = pixel_values.view(6, 3, 16, 8)
        assert frames.is_contiguous(memory_format=torch.channels_last)


def test_normalising_leaves_the_pictures_as_they_are() -> None:
    pictures = torch.full((1, 2, 4, 4, 3), 7.0)
    ResNetLSTMVideoProcessor().normalize_pictures(pictures)
    ResNetLSTMVideoProcessor(do_normalize=False).normalize_pictures(pictures)
    assert (pictures == 7).all()
