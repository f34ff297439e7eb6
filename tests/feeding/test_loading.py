from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from conftest import numbered_frames
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor, VideoDecodingError
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.feeding import LoadingError, default_num_workers, load_ahead, load_pictures
from resnet_lstm.inference import FailedClip, predict_clips


def process_of(item: int, num_threads: int) -> tuple[int, int, int]:
    time.sleep(0.01 * (3 - item % 3))  # the later ones are ready first
    return item, os.getpid(), torch.get_num_threads()


def shared_tensor(item: int, num_threads: int) -> torch.Tensor:
    return torch.full((1000, 1000), item)


def killed(item: int, num_threads: int) -> int:
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return item


@pytest.mark.parametrize("num_workers", [0, 2])
def test_items_come_in_their_order(num_workers: int) -> None:
    loaded = list(load_ahead(process_of, range(20), num_workers, ahead=4))
    assert [item for item, *_ in loaded] == list(range(20))
    processes = {process for _, process, _ in loaded}
    assert len(processes) <= max(1, num_workers)
    assert (os.getpid() in processes) == (num_workers == 0)


def test_a_process_that_decodes_has_one_thread() -> None:
    assert {threads for *_, threads in load_ahead(process_of, range(4), 2, ahead=1)} == {1}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_no_more_are_taken_than_are_needed_soon(num_workers: int) -> None:
    taken: list[int] = []

    def endless() -> object:
        while True:
            taken.append(len(taken))
            yield taken[-1]

    loaded = load_ahead(process_of, endless(), num_workers, ahead=3)  # type: ignore[arg-type]
    for _ in range(10):
        next(loaded)
    assert len(taken) <= 10 + max(num_workers + 3, torch.get_num_threads())
    loaded.close()  # type: ignore[attr-defined]


def test_tensors_pass_by_shared_memory() -> None:
    for item, tensor in enumerate(load_ahead(shared_tensor, range(5), 2, ahead=2)):
        assert tensor.is_shared()
        assert (tensor == item).all()


def test_a_process_that_dies_is_told_and_nothing_hangs() -> None:
    with pytest.raises(LoadingError, match="one of 2 processes that decode has died"):
        list(load_ahead(killed, range(10), 2, ahead=2))


def test_nothing_is_left_behind_by_who_stops_early() -> None:
    before = threading.active_count()
    loaded = load_ahead(process_of, range(1000), 2, ahead=2)
    process = next(loaded)[1]
    loaded.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)


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
    tmp_path: Path,
    num_workers: int,
) -> None:
    clips = [write_video(tmp_path / f"{n}.mp4", numbered_frames(n)) for n in (3, 9, 12, 20, 30)]
    clips.insert(2, tmp_path / "missing.mp4")
    answers = list(predict_clips(tiny_model, tiny_processor, clips, batch_size=2, num_workers=num_workers))
    assert [answer.source for answer in answers] == clips
    assert isinstance(answers[2], FailedClip)
    for clip, answer in zip(clips, answers, strict=True):
        if not isinstance(answer, FailedClip):
            with torch.no_grad():
                expected = tiny_model(**tiny_processor(clip, return_tensors="pt")).logits[0]
            torch.testing.assert_close(torch.from_numpy(answer.logits), expected, rtol=1e-4, atol=1e-4)
