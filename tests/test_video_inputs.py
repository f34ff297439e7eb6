"""Every form in which users hold a video gives the same pixel values."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset, Video
from PIL import Image
from transformers.video_utils import VideoMetadata

from conftest import numbered_frames
from resnet_lstm import ResNetLSTMVideoProcessor, decode_video, probe_video
from resnet_lstm.data.video_encoding import write_video


class Pipe(io.RawIOBase):
    """A file that can be read but once, from its start to its end."""

    def __init__(self, content: bytes) -> None:
        self.content = io.BytesIO(content)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def readinto(self, buffer: Any) -> int:
        return self.content.readinto(buffer)


@dataclass
class VideoDecoder:
    """The part of torchcodec's `VideoDecoder` that holds what it promises of a video at a constant rate."""

    frames: np.ndarray
    fps: float
    channels_first: bool = True

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, key: slice) -> torch.Tensor:
        frames = torch.from_numpy(self.frames[key])
        return frames.permute(0, 3, 1, 2) if self.channels_first else frames

    @property
    def metadata(self) -> SimpleNamespace:
        seconds = len(self.frames) / self.fps
        return SimpleNamespace(
            average_fps=self.fps,
            width=self.frames.shape[2],
            height=self.frames.shape[1],
            duration_seconds=seconds,
            begin_stream_seconds=0.0,
            end_stream_seconds=seconds,
        )

    def get_frames_played_at(self, seconds: list[float]) -> SimpleNamespace:
        return SimpleNamespace(data=self[:][[int(moment * self.fps) for moment in seconds]])


@pytest.fixture
def expected(tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path) -> torch.Tensor:
    return tiny_processor(numbered_clip, return_tensors="pt")["pixel_values"]


def assert_gives(processor: ResNetLSTMVideoProcessor, videos: Any, expected: torch.Tensor) -> None:
    torch.testing.assert_close(processor(videos, return_tensors="pt")["pixel_values"], expected, rtol=0, atol=0)


@pytest.mark.parametrize(
    "form",
    [
        lambda path: {"path": str(path), "bytes": path.read_bytes()},
        lambda path: {"path": str(path), "bytes": None},
        lambda path: {"path": None, "bytes": path.read_bytes()},
        lambda path: {"bytes": path.read_bytes()},
        lambda path: Pipe(path.read_bytes()),
        lambda path: io.BytesIO(path.read_bytes()),
        lambda path: [[str(path)]],
        lambda path: (path,),
        lambda path: VideoDecoder(decode_video(path, 20).frames, 25),
        lambda path: VideoDecoder(decode_video(path, 20).frames, 25, channels_first=False),
        lambda path: list(decode_video(path, 6).frames),
        lambda path: [Image.fromarray(frame) for frame in decode_video(path, 6).frames],
        lambda path: list(torch.from_numpy(decode_video(path, 6).frames).permute(0, 3, 1, 2)),
        lambda path: decode_video(path, 6).frames.transpose(0, 3, 1, 2),
        lambda path: decode_video(path, 6).frames[None],
    ],
)
def test_a_video_in_any_form_gives_the_same(
    tiny_processor: ResNetLSTMVideoProcessor,
    numbered_clip: Path,
    expected: torch.Tensor,
    form: Callable[[Path], Any],
) -> None:
    assert_gives(tiny_processor, form(numbered_clip), expected)


def test_forms_may_be_mixed(
    tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path, expected: torch.Tensor
) -> None:
    frames = decode_video(numbered_clip, 6).frames
    decoder = VideoDecoder(decode_video(numbered_clip, 20).frames, 25)
    videos = [decoder, str(numbered_clip), {"path": str(numbered_clip)}, frames, frames.transpose(0, 3, 1, 2)]
    assert_gives(tiny_processor, videos, expected.repeat(5, 1, 1, 1, 1))


def test_a_dataset_is_read_by_the_row_the_batch_and_the_column(
    tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path, expected: torch.Tensor
) -> None:
    dataset = Dataset.from_dict({"video": [str(numbered_clip)] * 3}).cast_column("video", Video(decode=False))
    assert_gives(tiny_processor, dataset[0]["video"], expected)
    assert_gives(tiny_processor, dataset[:2]["video"], expected.repeat(2, 1, 1, 1, 1))
    assert_gives(tiny_processor, dataset["video"], expected.repeat(3, 1, 1, 1, 1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA"])
def test_pictures_of_any_mode_are_read_in_colour(tiny_processor: ResNetLSTMVideoProcessor, mode: str) -> None:
    pictures = [Image.fromarray(frame) for frame in numbered_frames(6)]
    expected = tiny_processor(pictures, return_tensors="pt")["pixel_values"]
    converted = tiny_processor([picture.convert(mode) for picture in pictures], return_tensors="pt")["pixel_values"]
    torch.testing.assert_close(converted, expected, rtol=0, atol=0.3)  # a palette has few greys


@pytest.mark.parametrize("videos", [[], {"path": None, "bytes": None}, None, 7])
def test_what_is_no_video_is_refused(tiny_processor: ResNetLSTMVideoProcessor, videos: Any) -> None:
    with pytest.raises(ValueError, match="video"):
        tiny_processor(videos)


@pytest.mark.parametrize("suffix", ["mp4", "webm", "avi"])
def test_all_frames_of_a_file_are_read_where_none_are_sampled(
    tiny_processor: ResNetLSTMVideoProcessor, tmp_path: Path, suffix: str
) -> None:
    path = write_video(tmp_path / f"clip.{suffix}", numbered_frames(13))
    pixel_values = tiny_processor(path, do_sample_frames=False, return_tensors="pt")["pixel_values"]
    assert_gives(tiny_processor, decode_video(path, 13).frames[:6], pixel_values[:, :6])
    assert pixel_values.shape == (1, 13, 3, 32, 32)


@pytest.mark.parametrize("form", ["path", "pipe", "decoder", "frames"])
def test_a_rate_is_sampled_at(tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path, form: str) -> None:
    expected = tiny_processor(numbered_clip, num_frames=4, return_tensors="pt")[
        "pixel_values"
    ]  # 20 frames at 25 a second
    frames = decode_video(numbered_clip, 20).frames
    videos: dict[str, Any] = {
        "path": numbered_clip,
        "pipe": Pipe(numbered_clip.read_bytes()),
        "decoder": VideoDecoder(frames, 25),
        "frames": frames,
    }
    told = {"video_metadata": [{"total_num_frames": 20, "fps": 25.0}]} if form == "frames" else {}
    pixel_values = tiny_processor(videos[form], fps=5, return_tensors="pt", **told)["pixel_values"]
    torch.testing.assert_close(pixel_values, expected, rtol=0, atol=0)


def test_a_low_rate_gives_one_frame(tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path) -> None:
    assert tiny_processor(numbered_clip, fps=0.1, return_tensors="pt")["pixel_values"].shape[1] == 1


def test_metadata_tells_which_frames_were_taken(tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path) -> None:
    frames = decode_video(numbered_clip, 20).frames
    videos = [numbered_clip, VideoDecoder(frames, 25), frames]
    batch = tiny_processor(videos, num_frames=4, return_metadata=True, return_tensors="pt")
    of_file, of_decoder, of_frames = batch["video_metadata"]
    for metadata in (of_file, of_decoder, of_frames):
        assert metadata.total_num_frames == 20
        assert metadata.frames_indices == [2, 7, 12, 17]
    assert of_file.fps == of_decoder.fps == probe_video(numbered_clip).fps == 25
    assert of_file.timestamps == of_decoder.timestamps
    assert (of_file.height, of_file.width, of_file.duration) == (48, 64, 0.8)
    assert "video_metadata" not in tiny_processor(videos)


def test_a_rate_counts_whole_frames(tiny_processor: ResNetLSTMVideoProcessor) -> None:
    # As floats, 205 / 25 * 15 is 122.99999999999999.
    assert len(tiny_processor.sample_frames(VideoMetadata(total_num_frames=205, fps=25), fps=15)) == 123
