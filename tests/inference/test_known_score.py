from __future__ import annotations

import numpy as np
import pytest

from resnet_lstm.inference import known_probability


def test_none_of_the_actions_has_a_logit_of_0() -> None:
    logits = np.array([[0.3, -1.2, 2.0], [-5.0, -6.0, -4.0]])
    with_none = np.exp(np.concatenate([logits, np.zeros((2, 1))], axis=1))
    np.testing.assert_allclose(known_probability(logits), 1 - with_none[:, -1] / with_none.sum(axis=1))


def test_large_logits_do_not_overflow() -> None:
    known = known_probability(np.array([[900.0, 1.0], [-900.0, -901.0]], np.float32))
    assert known.tolist() == pytest.approx([1.0, 0.0])
