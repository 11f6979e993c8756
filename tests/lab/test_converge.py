"""Waiting for a lab: looking at a large one takes long, and must not keep it from its work."""

from __future__ import annotations

import itertools

import pytest
from lab.conftest import demo_with
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from contrail_emulator.lab.lab import Lab
from contrail_emulator.lab.status import Goal, LabStatus


@pytest.mark.parametrize(("cost", "pause"), [(0.0, 0.05), (0.01, 0.05), (2.0, 8.0)])
def test_a_lab_is_left_alone_for_longer_than_it_took_to_look_at_it(cost: float, pause: float) -> None:
    clock = Clock()
    lab = Lab(clock, demo_with())
    looked: list[float] = []

    def status() -> LabStatus:
        clock.rightNow += cost
        looked.append(clock.seconds())
        return LabStatus(clock.seconds(), (), (Goal("routes", len(looked), 3),))

    lab.status = status  # type: ignore[method-assign]
    done = Deferred.fromCoroutine(lab.converge(60))
    while not done.called:
        clock.advance(clock.getDelayedCalls()[0].getTime() - clock.seconds())
    pauses = [after - before - cost for before, after in itertools.pairwise(looked)]
    assert pauses == [pytest.approx(pause)] * 2
