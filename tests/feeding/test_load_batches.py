from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from conftest import numbered_frames
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor, VideoDecodingError
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.feeding import (
    ClipPictures,
    LoadingError,
    PictureRequest,
    UnreadableClip,
    default_num_workers,
    load_batches,
    load_pictures,
)
from resnet_lstm.inference import FailedClip, predict_clips


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Seven clips, the third of which is missing."""
    paths = [write_video(tmp_path / f"{n}.mp4", numbered_frames(n)) for n in (3, 9, 12, 16, 20, 30)]
    paths.insert(2, tmp_path / "missing.mp4")
    return paths


class Killed:
    """A source whose reader dies."""

    def __fspath__(self) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("batch_size", [1, 3])
def test_clips_come_in_their_order_and_one_that_is_missing_costs_only_itself(
    tiny_processor: ResNetLSTMVideoProcessor, clips: list[Path], num_workers: int, batch_size: int
) -> None:
    requests = map(PictureRequest, clips)
    sizes, index = [], 0
    for batch in load_batches(tiny_processor, requests, batch_size=batch_size, num_workers=num_workers):
        sizes.append(len(batch))
        for loaded in batch:
            if index == 2:
                assert isinstance(loaded, UnreadableClip)
                assert "missing.mp4" in loaded.error
            else:
                assert isinstance(loaded, ClipPictures)
                # They are lent until the next batch.
                assert torch.equal(loaded.pictures, load_pictures(clips[index], tiny_processor).pictures)
            index += 1
    assert sizes == ([1] * 7 if batch_size == 1 else [3, 3, 1])


def test_slots_are_used_again(tiny_processor: ResNetLSTMVideoProcessor, clips: list[Path]) -> None:
    several = [clips[number % 2] for number in range(40)]
    expected = [load_pictures(clip, tiny_processor).pictures for clip in clips[:2]]
    places = set()
    batches = load_batches(tiny_processor, map(PictureRequest, several), batch_size=2, num_workers=2)
    for number, batch in enumerate(batches):
        for offset, loaded in enumerate(batch):
            assert isinstance(loaded, ClipPictures)
            assert torch.equal(loaded.pictures, expected[(2 * number + offset) % 2])
            assert loaded.pictures.is_shared()
            places.add(loaded.pictures.data_ptr())
    assert len(places) <= 8


def test_pictures_of_any_size_pass(clips: list[Path]) -> None:
    processor = ResNetLSTMVideoProcessor(num_frames=6, size={"shortest_edge": 24})
    (batch,) = load_batches(processor, [PictureRequest(clips[0])], batch_size=4, num_workers=1)
    assert isinstance(batch[0], ClipPictures)
    assert torch.equal(batch[0].pictures, load_pictures(clips[0], processor).pictures)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_no_more_are_taken_than_are_needed_soon(
    tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path, num_workers: int
) -> None:
    taken = 0

    def endless() -> Iterator[PictureRequest]:
        nonlocal taken
        while True:
            taken += 1
            yield PictureRequest(numbered_clip)

    batches = load_batches(tiny_processor, endless(), batch_size=2, num_workers=num_workers)
    for _ in range(5):
        next(batches)
    assert taken <= 10 + num_workers + 2 * 2 + torch.get_num_threads()


def test_a_process_that_dies_is_told_and_nothing_hangs(tiny_processor: ResNetLSTMVideoProcessor) -> None:
    with pytest.raises(LoadingError, match="one of 2 processes that decode has died"):
        list(load_batches(tiny_processor, [PictureRequest(Killed())], batch_size=2, num_workers=2))


def test_nothing_is_left_behind_by_who_stops_early(
    tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path
) -> None:
    before = threading.active_count()
    requests = (PictureRequest(numbered_clip) for _ in range(1000))
    batches = load_batches(tiny_processor, requests, batch_size=2, num_workers=2)
    next(batches)
    batches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_cpu_decodes_and_computes_in_turns() -> None:
    assert default_num_workers("cpu") == 0
    assert default_num_workers("cuda") == len(os.sched_getaffinity(0))


def test_pictures_are_those_of_the_processor(tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path) -> None:
    clip = load_pictures(numbered_clip, tiny_processor, to_show=True)
    assert clip.pictures.shape == (6, 32, 32, 3)
    assert clip.pictures.dtype == torch.uint8
    expected = tiny_processor(numbered_clip, return_tensors="pt")["pixel_values"][0]
    torch.testing.assert_close(tiny_processor.normalize_pictures(clip.pictures), expected, rtol=0, atol=0)
    assert clip.shown is not None
    assert clip.shown.shape == (6, 48, 64, 3)
    assert clip.seconds.shape == (6,)
    assert load_pictures(numbered_clip, tiny_processor).shown is None
    with pytest.raises(VideoDecodingError):
        load_pictures(numbered_clip.with_name("missing.mp4"), tiny_processor)


@pytest.mark.parametrize("num_workers", [0, 2])
def test_answers_do_not_depend_on_who_decodes(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    clips: list[Path],
    num_workers: int,
) -> None:
    answers = list(predict_clips(tiny_model, tiny_processor, clips, batch_size=2, num_workers=num_workers))
    assert [answer.source for answer in answers] == clips
    assert isinstance(answers[2], FailedClip)
    for clip, answer in zip(clips, answers, strict=True):
        if not isinstance(answer, FailedClip):
            with torch.no_grad():
                expected = tiny_model(**tiny_processor(clip, return_tensors="pt")).logits[0]
            torch.testing.assert_close(torch.from_numpy(answer.logits), expected, rtol=1e-4, atol=1e-4)
