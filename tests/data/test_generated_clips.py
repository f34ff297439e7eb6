from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from clip_trees import file_bytes
from resnet_lstm.data.generated_clips import (
    _DIRECTION_BLIND,
    CLASSES,
    PAIRS,
    generate_frames,
    write_generated_clips,
)
from resnet_lstm.data.video_encoding import write_video
from resnet_lstm.data.video_folder import DatasetError


def decode(path: Path) -> np.ndarray:
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def order_blind_features(label: str) -> np.ndarray:
    """What can be told of each of 500 clips without the order of its frames: `[500, 4]`."""
    clips = [generate_frames(label, i, 0, size=(24, 24), num_frames=8).astype(float) for i in range(500)]
    return np.array([[c[..., 0].mean(), c[..., 1].mean(), c.std(), c.mean((1, 2, 3)).std()] for c in clips])


def test_clips_are_written_by_class(tmp_path: Path) -> None:
    target = write_generated_clips(tmp_path / "clips", 2, size=(48, 64), num_frames=20)
    assert sorted(path.name for path in target.iterdir()) == sorted(CLASSES)
    assert sorted(path.name for path in (target / "grow").iterdir()) == ["grow_000.mp4", "grow_001.mp4"]
    assert decode(target / "grow" / "grow_000.mp4").shape == (20, 48, 64, 3)


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not(tmp_path: Path) -> None:
    first, second, other = (
        file_bytes(write_generated_clips(tmp_path / name, 2, seed, classes=["grow", "move_left"]))
        for name, seed in (("1", 7), ("2", 7), ("3", 8))
    )
    assert first == second
    assert all(first[name] != other[name] for name in first)


def test_every_clip_has_a_scene_of_its_own() -> None:
    clips = [np.sort(generate_frames(label, index, 0), axis=0) for label in CLASSES for index in range(3)]
    assert len({clip.tobytes() for clip in clips}) == len(clips)


@pytest.mark.parametrize(
    ("label", "measure"),
    [
        ("brighten", lambda frame: frame.mean()),
        ("green_to_red", lambda frame: float(frame[..., 0].mean()) - float(frame[..., 1].mean())),
    ],
)
def test_first_class_of_a_pair_goes_up_and_the_second_down(label: str, measure: object) -> None:
    assert callable(measure)
    backward = dict(PAIRS)[label]
    for index in range(5):
        up, down = generate_frames(label, index, 0), generate_frames(backward, index, 0)
        assert measure(up[-1]) > measure(up[0]) + 1
        assert measure(down[-1]) < measure(down[0]) - 1


@pytest.mark.parametrize("pair", PAIRS)
def test_order_blind_features_of_a_pair_agree(pair: tuple[str, str]) -> None:
    forward, backward = (order_blind_features(label) for label in pair)
    standard_error = np.sqrt((forward.var(0) + backward.var(0)) / len(forward))
    assert np.all(np.abs(forward.mean(0) - backward.mean(0)) < 4 * standard_error)


def test_compression_does_not_tell_the_direction(tmp_path: Path) -> None:
    frames = generate_frames("move_right", 0, 0)
    forward = decode(write_video(tmp_path / "forward.mp4", frames, codec_options=_DIRECTION_BLIND))
    backward = decode(write_video(tmp_path / "backward.mp4", frames[::-1], codec_options=_DIRECTION_BLIND))
    np.testing.assert_array_equal(forward, backward[::-1])


def test_unknown_class_and_occupied_target_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="class 'jump': must be one of grow"):
        write_generated_clips(tmp_path / "clips", 1, classes=["jump"])
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").touch()
    with pytest.raises(DatasetError, match="was not made by this program"):
        write_generated_clips(tmp_path / "mine", 1)
