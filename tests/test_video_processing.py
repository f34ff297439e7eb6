from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers.image_utils import PILImageResampling
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


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({"num_frames": 4, "fps": 2}, r"num_frames=4 and fps=2: give one of them"),
        ({"num_frames": 0}, r"num_frames=0: a whole number of at least 1"),
        ({"num_frames": 2.5}, r"num_frames=2\.5: a whole number"),
        ({"fps": 0}, r"fps=0: a number of frames a second above 0"),
        ({"fps": float("nan")}, r"fps=nan"),
        ({"num_frames": 4, "do_sample_frames": False}, r"num_frames=4: with do_sample_frames=False all frames"),
        ({"fps": 4, "do_sample_frames": False}, r"fps=4: with do_sample_frames=False all frames"),
        ({"video_metadata": {"total_num_frames": 20, "fps": 25.0}}, r"video_metadata: a video file tells this itself"),
        ({"do_pad": True}, r"do_pad=True"),
        ({"data_format": "channels_last"}, r"data_format=channels_last"),
        ({"do_center_crop": True}, r"crop_size"),
    ],
)
def test_what_cannot_be_done_with_a_file_is_refused(
    tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path, told: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        tiny_processor(numbered_clip, **told)


@pytest.mark.parametrize(
    ("told", "rule"),
    [
        ({"fps": 5}, r"fps=5: the rate of the frames is not known"),
        ({"fps": 5, "video_metadata": {"total_num_frames": 11}}, r"fps=5: the rate of the frames is not known"),
        ({"video_metadata": {"total_num_frames": 12}}, r"total_num_frames=12: 11 frames were given"),
        ({"video_metadata": [{"total_num_frames": 11}] * 2}, r"1 videos but 2 `video_metadata`"),
    ],
)
def test_metadata_that_does_not_fit_the_frames_is_refused(
    tiny_processor: ResNetLSTMVideoProcessor, told: dict[str, Any], rule: str
) -> None:
    with pytest.raises(ValueError, match=rule):
        tiny_processor(np.stack(numbered_frames(11)), **told)


def test_sampling_with_nothing_to_sample_by_or_from_is_refused(tiny_processor: ResNetLSTMVideoProcessor) -> None:
    frames = np.stack(numbered_frames(11))
    with pytest.raises(ValueError, match="do_sample_frames=True: neither num_frames nor fps"):
        ResNetLSTMVideoProcessor(num_frames=None)(frames)
    with pytest.raises(ValueError, match="there is no frame to sample from"):
        tiny_processor(frames[:0])


def test_a_number_that_the_processor_was_made_not_to_use_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    processor = ResNetLSTMVideoProcessor(do_sample_frames=False)
    assert processor(np.stack(numbered_frames(11)), num_frames=4, return_tensors="pt")["pixel_values"].shape[1] == 11
    assert "num_frames=4 is not used" in caplog.text


def test_a_call_says_more_than_the_processor(tmp_path: Path, numbered_clip: Path) -> None:
    by_rate = ResNetLSTMVideoProcessor(fps=5, size={"height": 32, "width": 32})
    by_rate.save_pretrained(tmp_path)
    for processor in (by_rate, ResNetLSTMVideoProcessor.from_pretrained(tmp_path)):
        assert processor(numbered_clip, return_tensors="pt")["pixel_values"].shape[1] == 4
        assert processor(numbered_clip, num_frames=9, return_tensors="pt")["pixel_values"].shape[1] == 9
        assert processor(numbered_clip, fps=10, return_tensors="pt")["pixel_values"].shape[1] == 8
    with pytest.raises(ValueError, match="num_frames=8 and fps=5"):
        ResNetLSTMVideoProcessor(num_frames=8, fps=5)


@pytest.mark.parametrize(
    ("told", "shape"),
    [
        ({"num_frames": 9}, (1, 9, 3, 32, 32)),
        ({"fps": 5}, (1, 4, 3, 32, 32)),
        ({"size": 24}, (1, 6, 3, 24, 24)),
        ({"size": {"height": 20, "width": 28}}, (1, 6, 3, 20, 28)),
        ({"size": {"shortest_edge": 24}}, (1, 6, 3, 24, 32)),
        ({"do_center_crop": True, "crop_size": 16}, (1, 6, 3, 16, 16)),
        ({"do_sample_frames": False}, (1, 20, 3, 32, 32)),
    ],
)
def test_settings_over_a_saved_processor_hold(
    tiny_processor: ResNetLSTMVideoProcessor,
    tmp_path: Path,
    numbered_clip: Path,
    told: dict[str, Any],
    shape: tuple[int, ...],
) -> None:
    tiny_processor.save_pretrained(tmp_path)
    loaded = ResNetLSTMVideoProcessor.from_pretrained(tmp_path, **told)
    loaded.save_pretrained(tmp_path / "again")
    for processor in (loaded, ResNetLSTMVideoProcessor.from_pretrained(tmp_path / "again")):
        pixel_values = processor(numbered_clip, return_tensors="pt")["pixel_values"]
        assert pixel_values.shape == shape
        called = tiny_processor(numbered_clip, return_tensors="pt", **told)["pixel_values"]
        torch.testing.assert_close(called, pixel_values, rtol=0, atol=0)


@pytest.mark.parametrize(
    "setting",
    [
        {"size": {"shortest_edge": 40}},
        {"size": {"shortest_edge": 40}, "do_center_crop": True, "crop_size": {"height": 36, "width": 44}},
        {"size": {"shortest_edge": 40, "longest_edge": 50}},
        {"do_resize": False, "do_center_crop": True, "crop_size": {"height": 30, "width": 30}},
        {"resample": PILImageResampling.BICUBIC},
    ],
)
def test_pictures_have_their_size_alone_as_in_a_call(setting: dict[str, Any], numbered_clip: Path) -> None:
    processor, frames = ResNetLSTMVideoProcessor(**setting), decode_video(numbered_clip, 16).frames
    expected = processor(frames, return_tensors="pt")["pixel_values"]
    resized = torch.from_numpy(np.stack([processor.resize_picture(frame) for frame in frames]))
    by_call = ResNetLSTMVideoProcessor()(numbered_clip, return_tensors="pt", **setting)["pixel_values"]
    for pixel_values in (
        processor.normalize_pictures(resized)[None],
        processor(numbered_clip, return_tensors="pt")["pixel_values"],
        by_call,
    ):
        torch.testing.assert_close(pixel_values, expected, rtol=0, atol=0)


def test_an_unknown_setting_is_refused(tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path) -> None:
    with pytest.raises(TypeError, match="frames_per_second"):
        tiny_processor(numbered_clip, frames_per_second=2)
