"""Helping an agent over a restart: how long its routes stay while it is away (reference/xmpp.md 1.10).

What is done is in `Restartable`; here is when. A second loss goes on with what is left of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartTimes:
    """Seconds: until routes are long-lived stale, how long they stay so, until an agent that is back is complete."""

    restart: float
    long_lived: float
    end_of_rib: float


class Restartable(Protocol):
    """What happens to the agent's routes."""

    def suspend(self) -> None: ...
    def long_lived_stale(self) -> None: ...
    def sweep(self) -> None: ...


class Phase(Enum):
    """Where the helper stands; the first three names are those of a BGP peer's close manager (reference/bgp.md 1.9)."""

    NONE = "NONE"
    GR_TIMER = "GR_TIMER"
    LLGR_TIMER = "LLGR_TIMER"
    BACK = "BACK"
    """The agent is back and has not told everything."""


class Event(Enum):
    """What a helper hears of."""

    LOST = "session lost"
    RETURNED = "session established"
    COMPLETE = "End-of-RIB received"
    EXPIRED = "time over"


class Rule(NamedTuple):
    """One transition and what is done."""

    next: Phase
    action: Callable[[AgentRestart], None]


class AgentRestart:
    """One agent's restart. `gone` is called when the agent did not come back in time: its routes are to be deleted."""

    def __init__(
        self, clock: IReactorTime, times: RestartTimes, agent: Restartable, gone: Callable[[], None]
    ) -> None:
        self.phase = Phase.NONE
        self._clock = clock
        self._times = times
        self._agent = agent
        self._gone = gone
        self._timer: IDelayedCall | None = None
        self._entered = 0.0
        self._spent = {Phase.GR_TIMER: 0.0, Phase.LLGR_TIMER: 0.0}

    def handle(self, event: Event) -> None:
        """Look the event up; one that means nothing now is ignored."""
        rule = RULES.get((self.phase, event))
        if rule is None:
            return
        if self.phase in self._spent:
            self._spent[self.phase] += self._clock.seconds() - self._entered
        self.stop()
        self.phase = rule.next
        self._entered = self._clock.seconds()
        rule.action(self)

    def stop(self) -> None:
        """No timer any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Actions

    def lost(self) -> None:
        self._agent.suspend()
        self._wait(self._times.restart - self._spent[Phase.GR_TIMER])

    def go_long_lived(self) -> None:
        left = self._times.long_lived - self._spent[Phase.LLGR_TIMER]
        if left <= 0:
            self.give_up()
            return
        self._agent.long_lived_stale()
        self._wait(left)

    def await_routes(self) -> None:
        self._wait(self._times.end_of_rib)

    def sweep(self) -> None:
        self._spent = dict.fromkeys(self._spent, 0.0)
        self._agent.sweep()

    def give_up(self) -> None:
        self.phase = Phase.NONE
        self._gone()

    def _wait(self, seconds: float) -> None:
        self._timer = self._clock.callLater(max(0.0, seconds), self._expired)

    def _expired(self) -> None:
        self._timer = None
        self.handle(Event.EXPIRED)


RULES: Mapping[tuple[Phase, Event], Rule] = {
    (Phase.NONE, Event.LOST): Rule(Phase.GR_TIMER, AgentRestart.lost),
    (Phase.GR_TIMER, Event.RETURNED): Rule(Phase.BACK, AgentRestart.await_routes),
    (Phase.GR_TIMER, Event.EXPIRED): Rule(Phase.LLGR_TIMER, AgentRestart.go_long_lived),
    (Phase.LLGR_TIMER, Event.RETURNED): Rule(Phase.BACK, AgentRestart.await_routes),
    (Phase.LLGR_TIMER, Event.EXPIRED): Rule(Phase.NONE, AgentRestart.give_up),
    (Phase.BACK, Event.COMPLETE): Rule(Phase.NONE, AgentRestart.sweep),
    (Phase.BACK, Event.EXPIRED): Rule(Phase.NONE, AgentRestart.sweep),
    (Phase.BACK, Event.LOST): Rule(Phase.GR_TIMER, AgentRestart.lost),
}
