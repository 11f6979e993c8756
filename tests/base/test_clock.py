"""The system's clock is set while timers run."""

from __future__ import annotations

import time
from typing import Any

import pytest
from twisted.internet.base import ReactorBase

from contrail_emulator.base.clock import keep_steady

PATIENCE = 60.0


@pytest.mark.parametrize("jump", [-3600.0, 3600.0])
def test_timers_keep_their_time_when_the_clock_is_set(
    reactor: Any, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    wall = [time.time()]
    monkeypatch.setattr(ReactorBase, "seconds", lambda self: wall[0])
    keep_steady(reactor)
    fired: list[str] = []
    reactor.callLater(0.01, fired.append, "soon")
    reactor.callLater(1800.0, fired.append, "late")
    wall[0] += jump
    deadline = time.monotonic() + PATIENCE
    while not fired and time.monotonic() < deadline:
        reactor.iterate(0.01)
    assert fired == ["soon"]


def test_the_clock_goes_on_from_the_time_of_day(reactor: Any) -> None:
    keep_steady(reactor)
    before = reactor.seconds()
    assert abs(before - time.time()) < 60.0
    assert before <= reactor.seconds() < before + 60.0
