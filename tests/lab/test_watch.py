"""A lab that goes on after it has converged: what is told, and when a router returns."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.status import LabStatus, SessionStatus
from contrail_emulator.lab.watch import RETURN_SECONDS, Watch


class Stub:
    """A router, and the lab around it."""

    name = "gateway"

    def __init__(self) -> None:
        self.running, self.failed = True, None
        self.starts = 0
        self.refusal: LabError | None = None
        self.state, self.error = "Established", ""
        self.clock = Clock()
        self.told: list[str] = []
        lab: Any = SimpleNamespace(
            reactor=self.clock,
            started=0.0,
            routers={self.name: self},
            sessions=lambda: (self._session(),),
        )
        self.watch = Watch(lab, self.told.append)

    def _session(self) -> SessionStatus:
        return SessionStatus("BGP", "control-1", self.name, self.state, up=True, error=self.error)

    async def start(self) -> None:
        self.starts += 1
        if self.refusal is not None:
            raise self.refusal
        self.running, self.failed = True, None

    def end(self) -> None:
        self.running, self.failed = False, "router gateway ended"  # type: ignore[assignment]

    def look(self, after: float = 0.0) -> list[str]:
        self.clock.advance(after)
        looked = Deferred.fromCoroutine(self.watch.look())
        assert looked.called
        told, self.told[:] = list(self.told), []
        return [line.split(" s  ", 1)[1] for line in told]


def test_while_nothing_changes_nothing_is_told() -> None:
    stub = Stub()
    assert stub.look() == [] and stub.look(100) == [] and stub.starts == 0


def test_a_session_is_told_when_it_goes_and_when_it_returns_only() -> None:
    """Also one with a router that somebody else runs, which a lab does not wait for."""
    stub = Stub()
    told = []
    for stub.state in ("Idle", "Active", "OpenSent", "Established"):
        told += stub.look(1)
    assert told == ["BGP control-1 - gateway: Idle", "BGP control-1 - gateway: Established"]


def test_why_a_session_failed_is_told_once() -> None:
    """Also when it was not up: a router that cannot agree, or something else that talks to the BGP port."""
    stub = Stub()
    synchronisation = "1/1 connection not synchronized"
    stub.state, stub.error = "Idle", synchronisation
    assert stub.look() == [f"BGP control-1 - gateway: Idle ({synchronisation})"]
    assert stub.look(1) == []
    stub.error = "2/2 bad peer AS"
    assert stub.look(1) == ["BGP control-1 - gateway: Idle (2/2 bad peer AS)"]
    stub.state = "Established"
    assert stub.look(1) == ["BGP control-1 - gateway: Established"]


def test_a_router_that_ended_returns() -> None:
    stub = Stub()
    stub.end()
    assert stub.look() == [f"router gateway ended; it is started again in {RETURN_SECONDS:g} s"]
    assert stub.look(RETURN_SECONDS / 2) == [] and stub.starts == 0
    assert stub.look(RETURN_SECONDS) == [] and stub.starts == 1
    assert stub.look(RETURN_SECONDS) == [] and stub.starts == 1


def test_a_router_that_cannot_be_started_is_tried_again() -> None:
    stub = Stub()
    stub.end()
    stub.refusal = LabError("gone from the disk")
    stub.look()
    assert stub.look(RETURN_SECONDS) == [f"gone from the disk; tried again in {RETURN_SECONDS:g} s"]
    stub.refusal = None
    assert stub.look(RETURN_SECONDS) == [] and stub.starts == 2 and stub.running


def test_what_is_awaited_says_why_it_last_failed() -> None:
    session = SessionStatus("BGP", "control-1", "gateway", "Idle", up=False, error="2/2 bad peer AS")
    assert LabStatus(1.0, (session,)).awaited == "BGP control-1 - gateway: Idle (last error: 2/2 bad peer AS)"
    assert LabStatus(1.0, (replace(session, error=""),)).awaited == "BGP control-1 - gateway: Idle"
