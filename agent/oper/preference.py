"""Path preference: a machine that spoke last owns its address (reference/agent.md 5, oper/path_preference.cc).

A table: (state, event) -> next state. WAIT exports 100 with the sequence it has; SEEN exports 200 with a sequence one
above every other; ACTIVE_ACTIVE is 200 for good; STATIC is what configuration says.
"""

from __future__ import annotations

from enum import Enum

from .path import PREFERENCE_HIGH, PREFERENCE_LOW

FLAP_MINIMUM = 4.0
FLAP_MAXIMUM = 32.0
FLAP_LIMIT = 5


class State(Enum):
    WAIT = "wait-for-traffic"
    SEEN = "traffic-seen"
    ACTIVE_ACTIVE = "active-active"
    STATIC = "static"


class Event(Enum):
    TRAFFIC = "traffic seen"
    BETTER = "better sequence elsewhere"
    RETRY = "retry timer"


TRANSITIONS: dict[tuple[State, Event], State] = {
    (State.WAIT, Event.TRAFFIC): State.SEEN,
    (State.WAIT, Event.RETRY): State.SEEN,
    (State.SEEN, Event.BETTER): State.WAIT,
}


class Preference:
    """The machine of one exported address. `preference` and `sequence` are what is published.

    After FLAP_LIMIT moves, each within FLAP_MINIMUM seconds of the last, nothing is believed before `hold_until`, when
    the caller is to `retry` for traffic that came in between (`held`). Each further move doubles the hold, up to
    FLAP_MAXIMUM.
    """

    __slots__ = ("_flaps", "_hold", "_last", "_static", "held", "highest", "hold_until", "sequence", "state")

    def __init__(self, static: int = 0, active_active: bool = False) -> None:
        self._static = static
        self.state = State.STATIC if static else State.ACTIVE_ACTIVE if active_active else State.WAIT
        self.sequence = 0
        self.highest = 0
        self.held = False
        self._flaps = 0
        self._hold = FLAP_MINIMUM
        self._last = float("-inf")
        self.hold_until = float("-inf")

    @property
    def preference(self) -> int:
        if self.state is State.STATIC:
            return self._static
        return PREFERENCE_LOW if self.state is State.WAIT else PREFERENCE_HIGH

    @property
    def waits(self) -> bool:
        """Whether traffic is still to be waited for (the data plane traps ARP then)."""
        return self.state is State.WAIT

    def configured_as(self, static: int, active_active: bool) -> bool:
        """Whether configuration still says what it said when this machine was made."""
        return self._static == static and (bool(static) or (self.state is State.ACTIVE_ACTIVE) == active_active)

    def traffic_seen(self, now: float) -> bool:
        """The machine sent something; True when what is published changes."""
        if now < self.hold_until:
            self.held = self.state is State.WAIT
            return False
        return self._own(Event.TRAFFIC, now)

    def retry(self, now: float) -> bool:
        """The hold is over: traffic that came during it counts now."""
        held, self.held = self.held, False
        return held and self._own(Event.RETRY, now)

    def _own(self, event: Event, now: float) -> bool:
        after = TRANSITIONS.get((self.state, event))
        if after is None:
            return False
        self._damp(now)
        self.state = after
        self.sequence = max(self.sequence, self.highest) + 1
        return True

    def heard(self, sequence: int) -> bool:
        """A control node has this address from someone else with `sequence`; True when what is published changes."""
        self.highest = max(self.highest, sequence)
        if sequence <= self.sequence or (self.state, Event.BETTER) not in TRANSITIONS:
            return False
        self.state = TRANSITIONS[self.state, Event.BETTER]
        return True

    def _damp(self, now: float) -> None:
        if min(now - self._last, abs(now - self.hold_until)) < FLAP_MINIMUM:
            self._flaps += 1
            if self._flaps >= FLAP_LIMIT:
                self.hold_until = now + self._hold
                self._hold = min(self._hold * 2, FLAP_MAXIMUM)
        else:
            self._flaps = 0
            self._hold = FLAP_MINIMUM
        self._last = now
