from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from clip_trees import file_bytes, make_clip
from resnet_lstm.data.build import build_from_folders

NUM_KILLS = 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_build_that_was_killed_at_any_moment_ends_in_the_same_bytes(tmp_path: Path) -> None:
    """Killed, told to end, interrupted, fifty times over one another, the dataset that was there replaced."""
    clips = tmp_path / "clips"
    for number in range(12):
        make_clip(clips / ("cook", "wash up")[number % 2] / f"{number}.mp4")
    started = time.monotonic()
    expected = file_bytes(build_from_folders(clips, tmp_path / "whole", num_workers=1).root)
    seconds = time.monotonic() - started
    generator = np.random.default_rng(0)
    target = tmp_path / "out"
    ended = 0
    for number in range(NUM_KILLS):
        process = os.fork()
        if process == 0:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            with contextlib.suppress(BaseException):
                build_from_folders(clips, target, num_workers=1, overwrite=True)
                os._exit(0)
            os._exit(1)
        time.sleep(float(generator.uniform(0, 1.2 * seconds)))
        os.kill(process, (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3])
        _, status = os.waitpid(process, 0)
        ended += status == 0
        # What is there is whole, or is not there.
        assert not target.exists() or file_bytes(target) == expected
    assert 0 < ended < NUM_KILLS
    assert file_bytes(build_from_folders(clips, target, num_workers=1, overwrite=True).root) == expected
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clips", "out", "whole"]
