from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import numbered_frames
from resnet_lstm import ResNetLSTMForVideoClassification, ResNetLSTMVideoProcessor
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.inference import ClipPrediction, FailedClip, find_sources, predict_clips


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    paths = [write_video(tmp_path / f"{n}.mp4", numbered_frames(n)) for n in (3, 9, 12, 20)]
    paths.insert(2, tmp_path / "broken.mp4")
    paths[2].write_bytes(b"no video")
    return paths


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_clips_come_back_in_order_and_a_broken_one_costs_only_itself(
    tiny_model: ResNetLSTMForVideoClassification,
    tiny_processor: ResNetLSTMVideoProcessor,
    clips: list[Path],
    batch_size: int,
) -> None:
    results = list(predict_clips(tiny_model, tiny_processor, clips, batch_size=batch_size))
    assert [result.source for result in results] == clips
    assert [isinstance(result, FailedClip) for result in results] == [False, False, True, False, False]
    for clip, result in zip(clips, results, strict=True):
        if isinstance(result, FailedClip):
            assert "broken.mp4: not readable as a video" in result.error
            continue
        with torch.no_grad():
            expected = tiny_model(tiny_processor(clip, return_tensors="pt")["pixel_values"]).logits[0]
        np.testing.assert_allclose(result.logits, expected, atol=1e-5)
        assert result.frames.shape == (6, 48, 64, 3)
        assert result.scores.sum() == pytest.approx(1)


def test_clips_are_decoded_only_a_few_ahead(
    tiny_model: ResNetLSTMForVideoClassification, tiny_processor: ResNetLSTMVideoProcessor, numbered_clip: Path
) -> None:
    taken = 0

    def endless() -> object:
        nonlocal taken
        while True:
            taken += 1
            yield numbered_clip

    predictions = predict_clips(tiny_model, tiny_processor, endless())  # type: ignore[arg-type]
    for _ in range(5):
        next(predictions)
    assert taken <= 10


def prediction_of(frame_logits: list[list[float]]) -> ClipPrediction:
    logits = np.array(frame_logits, np.float32)
    return ClipPrediction(
        "clip", logits.mean(axis=0), logits, np.zeros((len(logits), 2, 2, 3)), np.arange(len(logits))
    )


def test_shares_sum_to_one_and_do_not_change_when_all_logits_rise() -> None:
    logits = np.array([[2.0, 0.0, 1.0], [0.0, 1.0, 0.0], [3.0, 1.0, 0.0]])
    shares = prediction_of(logits.tolist()).frame_shares()
    assert shares.sum() == pytest.approx(1)
    assert shares[1] < 0 < shares[0] < shares[2]
    raised = prediction_of((logits + np.array([[5.0], [-3.0], [1.0]])).tolist()).frame_shares()
    np.testing.assert_allclose(raised, shares, atol=1e-6)


def test_frames_that_say_nothing_share_equally() -> None:
    np.testing.assert_allclose(prediction_of([[1.0, 1.0]] * 4).frame_shares(), 0.25)


def test_top_k_is_best_first_and_no_more_than_there_are() -> None:
    assert prediction_of([[0.0, 2.0, 1.0]]).top_k(2) == [1, 2]
    assert prediction_of([[0.0, 2.0, 1.0]]).top_k(9) == [1, 2, 0]


def test_folders_stand_for_the_clips_below_them(tmp_path: Path) -> None:
    for name in ("b/two.mp4", "b/one.webm", "b/c/three.AVI", "b/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    folder = tmp_path / "b"
    expected = [str(folder / name) for name in ("c/three.AVI", "one.webm", "two.mp4")]
    assert find_sources([str(folder), "http://host/x.mp4"]) == [*expected, "http://host/x.mp4"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="empty: no clip"):
        find_sources([str(tmp_path / "empty")])
