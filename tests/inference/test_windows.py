from __future__ import annotations

import pytest
import torch

from resnet_lstm.inference.windows import SlidingWindows


def windows_of(num_seen: int, portion: int = 3, **settings: int) -> list[list[int]]:
    """The frames of each window over `num_seen` frames that come in portions; their features tell their number."""
    windows = SlidingWindows(**settings)
    numbered = torch.arange(num_seen, dtype=torch.float32)[:, None]
    found = [window for part in numbered.split(portion) for window in windows.add(part)] + list(windows.finish())
    for window in found:
        assert window.frame_features[:, 0].tolist() == list(window.frames)
    return [list(window.frames) for window in found]


def test_windows_slide_by_their_hop() -> None:
    assert windows_of(8, num_frames=4, hop=2) == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7]]


def test_the_last_window_ends_with_the_last_frame() -> None:
    assert windows_of(7, num_frames=4, hop=2) == [[0, 1, 2, 3], [2, 3, 4, 5], [3, 4, 5, 6]]


def test_windows_of_a_stride_interleave() -> None:
    assert windows_of(7, num_frames=3, stride=2, hop=1) == [[0, 2, 4], [1, 3, 5], [2, 4, 6]]


def test_a_video_too_short_for_a_window_is_one() -> None:
    assert windows_of(3, num_frames=4) == [[0, 1, 2]]
    assert windows_of(5, num_frames=4, stride=2) == [[1, 3], [0, 2, 4]]
    assert windows_of(1, num_frames=4, stride=3) == [[0]]
    assert windows_of(0, num_frames=4) == []


@pytest.mark.parametrize("num_seen", range(1, 40))
@pytest.mark.parametrize("settings", [{"stride": 1, "hop": 3}, {"stride": 3, "hop": 2}, {"stride": 2, "hop": 4}])
def test_every_frame_is_in_a_window_and_no_window_comes_twice(num_seen: int, settings: dict[str, int]) -> None:
    found = windows_of(num_seen, num_frames=4, **settings)
    assert {frame for window in found for frame in window} == set(range(num_seen))
    assert len({tuple(window) for window in found}) == len(found)


def test_no_more_than_a_windows_frames_are_kept() -> None:
    windows = SlidingWindows(4, stride=2, hop=1)
    for _ in range(50):
        list(windows.add(torch.zeros(5, 1)))
        assert len(windows._kept) <= 7


def test_a_hop_beyond_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="hop=5"):
        SlidingWindows(4, hop=5)
    with pytest.raises(ValueError, match="stride=0"):
        SlidingWindows(4, stride=0)
