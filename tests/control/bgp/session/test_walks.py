"""Random walks through whole sessions (walks.py): a few hundred steps of each kind in every run, many more by hand."""

from __future__ import annotations

from collections import Counter

import pytest
from control.bgp.session.walks import walk
from control.bgp.wire import fuzzing

WALKS = 40
"""Of these seeds; every kind of end that a session has is among them."""


@pytest.fixture(scope="module")
def seeds() -> list[bytes]:
    return fuzzing.corpus()


def test_sessions_survive_whatever_a_peer_does(seeds: list[bytes]) -> None:
    seen: Counter[str] = Counter()
    for seed in range(WALKS):
        seen += walk(seed, seeds)
    assert seen["established"] > 2 * WALKS, "walks that come nowhere show nothing"
    rare = {"closed gracefully", "swept while up", "swept", "long-lived stale", "unblocked", "reach"}
    assert not [what for what in rare if not seen[what]]
