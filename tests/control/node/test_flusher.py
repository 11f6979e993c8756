"""The flusher: one slice a turn, reading stopped while too much waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.task import Clock

from contrail_emulator.control.flusher import HIGH_WATER, LOW_WATER, SLICE_ROUTES, SLICE_SECONDS, Flusher


class Work:
    """`size` routes wait; each takes `cost` seconds of the clock."""

    def __init__(self, clock: Clock, size: int, cost: float = 0.0) -> None:
        self.now = -1.0
        self.dirty = range(size)
        self.slices: list[int] = []
        self._clock = clock
        self._cost = cost

    def flush(self, max_items: int, deadline: Callable[[], bool]) -> bool:
        done = 0
        while self.dirty and done < max_items and not deadline():
            self.dirty = self.dirty[1:]
            self._clock.rightNow += self._cost
            done += 1
        self.slices.append(done)
        return bool(self.dirty)


def turn(clock: Clock) -> None:
    """One turn of the reactor: a Clock would run what a call schedules at once as well."""
    call: Any
    (call,) = clock.getDelayedCalls()
    clock.calls.remove(call)
    call.called = 1
    call.func(*call.args)


def driven(size: int, cost: float = 0.0) -> tuple[Clock, Work, Flusher, list[str]]:
    clock, log = Clock(), list[str]()
    flusher = Flusher(clock, lambda: log.append("pause"), lambda: log.append("resume"))
    work = Work(clock, size, cost)
    flusher.drive(work)
    return clock, work, flusher, log


def test_nothing_happens_until_woken() -> None:
    clock, work, flusher, _ = driven(5)
    clock.advance(1)
    assert work.slices == [] and flusher.idle
    flusher.wake()
    flusher.wake()
    assert not flusher.idle
    turn(clock)
    assert work.slices == [5] and work.now == 1 and flusher.idle and flusher.slices == 1


def test_a_slice_is_bounded_by_count_when_time_stands_still() -> None:
    clock, work, flusher, _ = driven(2 * SLICE_ROUTES + 1)
    flusher.wake()
    for _ in range(3):
        turn(clock)
    assert work.slices == [SLICE_ROUTES, SLICE_ROUTES, 1] and flusher.idle


def test_a_slice_is_bounded_by_time() -> None:
    clock, work, flusher, _ = driven(20, cost=SLICE_SECONDS / 4)
    flusher.wake()
    turn(clock)
    assert work.slices == [4]
    while not flusher.idle:
        turn(clock)
    assert sum(work.slices) == 20 and max(work.slices) <= 5


def test_reading_stops_at_high_water_and_goes_on_at_low_water() -> None:
    clock, work, flusher, log = driven(HIGH_WATER + SLICE_ROUTES + 1)
    flusher.wake()
    turn(clock)
    assert log == ["pause"]
    while len(work.dirty) >= LOW_WATER:
        assert log == ["pause"]
        turn(clock)
    assert log == ["pause", "resume"]
    while not flusher.idle:
        turn(clock)
    assert log == ["pause", "resume"]


def test_between_the_marks_nothing_is_paused() -> None:
    clock, _, flusher, log = driven(HIGH_WATER)
    flusher.wake()
    turn(clock)
    assert log == []


def test_stop_ends_the_turns_and_lets_sources_be_read_again() -> None:
    clock, work, flusher, log = driven(HIGH_WATER + SLICE_ROUTES + 1)
    flusher.wake()
    turn(clock)
    flusher.stop()
    flusher.wake()
    assert flusher.idle and len(work.slices) == 1 and clock.getDelayedCalls() == [] and log == ["pause", "resume"]
