"""Timers without polling: one delayed call each, moved lazily."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class Timer:
    """A single delay that can be set again and cancelled."""

    __slots__ = ("_call", "_clock", "_done")

    def __init__(self, clock: Any, done: Callable[[], None]) -> None:
        self._clock = clock
        self._done = done
        self._call: Any = None

    def set(self, delay: float) -> None:
        self.cancel()
        self._call = self._clock.callLater(delay, self._fire)

    def cancel(self) -> None:
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()

    @property
    def running(self) -> bool:
        return self._call is not None

    def _fire(self) -> None:
        self._call = None
        self._done()


class QuietTimer:
    """Fires after `inactivity` seconds without a `touch`, at the latest `limit` seconds after `start`.

    With `wait_for_first` silence counts only after a first touch. What the real agent finds out by polling every 5 s
    is known here to the moment, and a touch costs an assignment.
    """

    __slots__ = ("_clock", "_done", "_inactivity", "_last", "_limit", "_started", "_timer", "_wait_for_first")

    def __init__(self, clock: Any, done: Callable[[], None], wait_for_first: bool = False) -> None:
        self._clock = clock
        self._done = done
        self._timer = Timer(clock, self._look)
        self._wait_for_first = wait_for_first
        self._inactivity = self._limit = self._started = 0.0
        self._last: float | None = None

    def start(self, inactivity: float, limit: float) -> None:
        self._inactivity, self._limit = inactivity, limit
        self._started = self._clock.seconds()
        self._last = None if self._wait_for_first else self._started
        self._timer.set(self._left())

    def touch(self) -> None:
        """Something happened."""
        if self._timer.running:
            first = self._last is None
            self._last = self._clock.seconds()
            if first:
                self._timer.set(self._left())

    def cancel(self) -> None:
        self._timer.cancel()

    @property
    def running(self) -> bool:
        return self._timer.running

    def _left(self) -> float:
        ends = self._started + self._limit
        if self._last is not None:
            quiet = self._last + self._inactivity
            ends = quiet if self._wait_for_first else min(ends, quiet)
        left: float = ends - self._clock.seconds()
        return max(left, 0.0)

    def _look(self) -> None:
        left = self._left()
        if left > 1e-6:
            self._timer.set(left)
        else:
            self._done()
