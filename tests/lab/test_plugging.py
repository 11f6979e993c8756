"""Machines come in portions, each of which is waited for while that is of use."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from contrail_emulator.lab.compute import Compute
from contrail_emulator.lab.model import Machine
from contrail_emulator.lab.plugging import CONNECTED_SECONDS, PORTION, plug


class FakeCompute:
    """Machines are active when it `works`."""

    def __init__(self, works: bool) -> None:
        self.works = works
        self.plugged: list[str] = []

    def plug(self, machine: Machine, address: IPv4Address) -> None:
        self.plugged.append(machine.name)

    def active(self, name: str) -> bool:
        return self.works


def start(compute: FakeCompute, count: int) -> tuple[Clock, Deferred[None], list[str]]:
    clock, told = Clock(), cast("list[str]", [])
    machines = [Machine(name=f"m{n}", network="net") for n in range(count)]
    placed = [(cast(Compute, compute), machine) for machine in machines]
    addresses: Any = {machine.name: IPv4Address("10.0.0.1") for machine in machines}
    return clock, Deferred.fromCoroutine(plug(clock, placed, addresses, told.append)), told


def test_a_few_machines_come_at_once() -> None:
    compute = FakeCompute(works=False)
    _, done, _ = start(compute, PORTION)
    assert done.called and len(compute.plugged) == PORTION


def test_many_come_in_portions_each_when_the_one_before_works() -> None:
    compute = FakeCompute(works=False)
    clock, done, told = start(compute, 2 * PORTION + 1)
    clock.pump([0.05] * 3)
    assert len(compute.plugged) == PORTION and not done.called
    compute.works = True
    clock.advance(0.05)
    assert len(compute.plugged) == 2 * PORTION and not done.called
    clock.advance(0.05)
    assert len(compute.plugged) == 2 * PORTION + 1 and done.called
    assert told == [f"machines: {n} of {2 * PORTION + 1}" for n in (PORTION, 2 * PORTION, 2 * PORTION + 1)]


def test_where_nothing_works_the_rest_is_not_held_up() -> None:
    compute = FakeCompute(works=False)
    clock, done, _ = start(compute, 10 * PORTION)
    clock.pump([0.1] * int(CONNECTED_SECONDS * 10 + 2))
    assert done.called and len(compute.plugged) == 10 * PORTION
