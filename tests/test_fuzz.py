from __future__ import annotations

import pytest

from fuzz import MEMORY_BYTES, fuzz, seeds

# A few of an hour's; `python tests/fuzz.py` goes on from here.
NUM_CASES = 1000


@pytest.mark.timeout(300)
def test_no_mutated_clip_hangs_kills_or_surprises_the_decoder() -> None:
    findings = fuzz(seeds(), iter(range(NUM_CASES)))
    assert not findings, str(findings)
    assert findings.num_cases == NUM_CASES
    assert min(findings.outcomes["gave frames"], findings.outcomes["gave the error"]) > NUM_CASES / 20
    assert findings.largest_bytes < MEMORY_BYTES
