"""Timers of one peer as deadlines, the constants behind them, and the connect back-off (reference/bgp.md 1.1)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from random import Random

from .family import Family


class Timer(Enum):
    """Every timer of a peer. Declaration order decides between two that expire at the same instant."""

    IDLE_HOLD = "idle-hold"
    CONNECT = "connect"
    OPEN_DELAY = "open-delay"
    HOLD = "hold"
    SEND_HOLD = "send-hold"
    KEEPALIVE = "keepalive"
    PREFIX_IDLE = "prefix-limit-idle"
    END_OF_RIB = "end-of-rib"
    RESTART = "restart"


_ORDER = {timer: position for position, timer in enumerate(Timer)}

Key = tuple[Timer, Family | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimerSettings:
    """Durations in seconds; the defaults are those of a control node. Labs and tests shorten them here.

    connect: connect time by number of attempts so far, the last entry for all further ones; also the TCP time-out.
    connect_floor, connect_spread: a connect time is nominal * floor, plus 0 to spread - 1 hundredths of that.
    send_hold: least send hold time (RFC 9687: the greater of 8 minutes and twice the hold time).
    """

    idle_hold: float = 5.0
    connect: tuple[float, ...] = (0.05, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
    connect_floor: float = 0.9
    connect_spread: int = 20
    open_delay: float = 15.0
    open_sent_hold: float = 240.0
    keepalives_per_hold: int = 3
    send_hold: float = 480.0
    route_target_end_of_rib: float = 30.0

    def __post_init__(self) -> None:
        durations = (*self.connect, self.idle_hold, self.open_delay, self.open_sent_hold, self.send_hold)
        if not self.connect or min(durations) < 0:
            raise ValueError("timers need at least one connect time and no negative duration")
        if self.connect_spread < 1 or self.keepalives_per_hold < 1:
            raise ValueError("connect_spread and keepalives_per_hold must be at least 1")

    def connect_time(self, attempts: int, rng: Random) -> float:
        """Seconds until the next connect after `attempts` of them, jitter included."""
        nominal = self.connect[min(attempts, len(self.connect) - 1)]
        floor = nominal * self.connect_floor
        return floor + floor * rng.randrange(self.connect_spread) / 100

    def keepalive_time(self, hold_time: float) -> float:
        """Seconds between KEEPALIVEs at a negotiated hold time; 0 when there is none."""
        return hold_time / self.keepalives_per_hold

    def send_hold_time(self, hold_time: float) -> float:
        """RFC 9687 section 4: at least `send_hold`, at least twice the hold time."""
        return max(self.send_hold, 2 * hold_time)


class Timers:
    """Running timers by name (and family, for End-of-RIB). Nothing fires by itself: the owner asks what is `due`."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        self._deadlines: dict[Key, float] = {}

    def start(self, timer: Timer, deadline: float, family: Family | None = None) -> None:
        """Start or restart a timer that expires at `deadline` (the clock's seconds)."""
        self._deadlines[timer, family] = deadline

    def stop(self, timer: Timer, family: Family | None = None) -> None:
        self._deadlines.pop((timer, family), None)

    def stop_all(self, timers: Iterable[Timer]) -> None:
        """Stop each of these timers, for every family."""
        names = frozenset(timers)
        self._deadlines = {key: deadline for key, deadline in self._deadlines.items() if key[0] not in names}

    def running(self, timer: Timer, family: Family | None = None) -> bool:
        return (timer, family) in self._deadlines

    def remaining(self, timer: Timer, now: float, family: Family | None = None) -> float | None:
        """Seconds left (never negative), or None when it does not run."""
        deadline = self._deadlines.get((timer, family))
        return None if deadline is None else max(0.0, deadline - now)

    def left(self, now: float) -> dict[str, float]:
        """Seconds left of each running timer, by name; End-of-RIB ones with their family."""
        return {
            f"{timer.value} {family.config_name}" if family is not None else timer.value: max(0.0, deadline - now)
            for (timer, family), deadline in sorted(self._deadlines.items(), key=lambda item: item[1])
        }

    @property
    def next_deadline(self) -> float | None:
        return min(self._deadlines.values(), default=None)

    def pop_due(self, now: float) -> Key | None:
        """Remove and return the timer that expired first, or None."""
        due = [
            (deadline, _ORDER[key[0]], key[1] or 0, key) for key, deadline in self._deadlines.items() if deadline <= now
        ]
        if not due:
            return None
        key = min(due)[3]
        del self._deadlines[key]
        return key
