from __future__ import annotations

import pytest

from resnet_lstm.features import UNIFORM, View, training_views


def test_the_first_view_is_the_one_that_evaluation_sees() -> None:
    assert training_views(1) == [UNIFORM]
    assert [view.name for view in training_views(4)] == ["uniform", "random-1-flip", "random-2", "random-3-flip"]
    assert not any(view.flip for view in training_views(4, flip=False))


def test_a_random_view_draws_the_same_frames_of_a_clip_each_time_and_others_of_another() -> None:
    def draw(name: str, clip: str) -> float:
        generator = View(name).generator(clip)
        assert generator is not None
        return generator.random()

    assert draw("random-1", "a") == draw("random-1", "a") == draw("random-1-flip", "a")
    assert len({draw("random-1", "a"), draw("random-2", "a"), draw("random-1", "b")}) == 3
    assert UNIFORM.generator("a") is None


@pytest.mark.parametrize("name", ["", "random", "random-x", "flip", "uniform-flop", "../uniform"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="must be uniform or random-1"):
        View(name)
    with pytest.raises(ValueError, match="num_views=0"):
        training_views(0)
