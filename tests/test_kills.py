from __future__ import annotations

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from kills import CommandServer, World, kill_job, running_world

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="forks, and looks into /proc")

# A few of those that `python tests/kills.py` makes.
NUM_KILLS = 2


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[World, CommandServer]]:
    with running_world(tmp_path_factory.mktemp("kills")) as running:
        yield running


@pytest.mark.parametrize("name", ["build", "extract", "train", "export", "publish"])
def test_a_job_that_was_killed_leaves_nothing_half_and_ends_as_if_it_had_not_been(
    world: tuple[World, CommandServer], name: str
) -> None:
    jobs, server = world
    findings = kill_job(server, jobs.jobs[name], NUM_KILLS, np.random.default_rng(0))
    assert not findings, str(findings)
    assert findings.kills.total() == NUM_KILLS
    assert findings.reruns
