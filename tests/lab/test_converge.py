"""Waiting for a lab: looking at a large one takes long, and must not keep it from its work."""

from __future__ import annotations

import itertools

import pytest
from lab.conftest import demo_with
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from contrail_emulator.lab.lab import Lab
from contrail_emulator.lab.model import Agent, Machine
from contrail_emulator.lab.patience import converge_seconds, start_seconds
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


@pytest.mark.parametrize(("machines", "starts", "converges"), [(0, 30, 30), (999, 30, 30), (10_000, 430, 230)])
def test_a_larger_lab_may_take_longer(machines: int, starts: float, converges: float) -> None:
    placed = tuple(Machine(name=f"m{n}", network="net") for n in range(machines))
    agents = (Agent(name="a", machines=placed[::2]), Agent(name="b", machines=placed[1::2]))
    file = demo_with().model_copy(update={"agents": agents})
    assert (start_seconds(file), converge_seconds(file)) == (starts, converges)
