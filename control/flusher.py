"""Drives the routing core in slices, so that no burst of routes keeps the reactor from its timers and sockets."""

from __future__ import annotations

from collections.abc import Callable, Sized
from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime

SLICE_SECONDS = 0.005
SLICE_ROUTES = 1024
HIGH_WATER = 50_000
LOW_WATER = 10_000


class Work(Protocol):
    """What a flusher needs of the routing core."""

    now: float

    @property
    def dirty(self) -> Sized: ...
    def flush(self, max_items: int, deadline: Callable[[], bool]) -> bool: ...


class Flusher:
    """Calls `flush` once per reactor turn while there is work.

    `pause` and `resume` stop and start reading from sources while more than HIGH_WATER routes wait. `clock` may be a
    `task.Clock`: its time stands still inside a call, so a slice is bounded by its count as well.
    """

    def __init__(self, clock: IReactorTime, pause: Callable[[], None], resume: Callable[[], None]) -> None:
        self.slices = 0
        self._clock = clock
        self._pause = pause
        self._resume = resume
        self._work: Work | None = None
        self._call: IDelayedCall | None = None
        self._paused = False
        self._stopped = False

    @property
    def idle(self) -> bool:
        """Nothing waits to be flushed."""
        return self._call is None

    @property
    def paused(self) -> bool:
        """Too much waits: sources are not read."""
        return self._paused

    def drive(self, work: Work) -> None:
        """From now on for this core."""
        self._work = work

    def wake(self) -> None:
        """There is work: begin in the next turn of the reactor."""
        if self._call is None and not self._stopped:
            self._call = self._clock.callLater(0, self._turn)

    def stop(self) -> None:
        """No more turns; whoever was paused is read again."""
        self._work = None
        self._stopped = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        if self._paused:
            self._paused = False
            self._resume()

    def _turn(self) -> None:
        self._call = None
        work = self._work
        if work is None:
            return
        self.slices += 1
        work.now = self._clock.seconds()
        until = work.now + SLICE_SECONDS
        more = work.flush(SLICE_ROUTES, lambda: self._clock.seconds() >= until)
        self._regulate(len(work.dirty))
        if more and self._call is None:
            self._call = self._clock.callLater(0, self._turn)

    def _regulate(self, backlog: int) -> None:
        if not self._paused and backlog > HIGH_WATER:
            self._paused = True
            self._pause()
        elif self._paused and backlog < LOW_WATER:
            self._paused = False
            self._resume()
