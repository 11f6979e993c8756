"""Running the reactor for one command: until its work is done, or until somebody asks it to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine, Iterable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from contrail_emulator.base.clock import keep_steady
from contrail_emulator.base.garbage import tune

STOP = (signal.SIGINT, signal.SIGTERM)


def on_interrupt(reactor: Any, signals: Iterable[signal.Signals] = (*STOP, signal.SIGHUP)) -> Deferred[int]:
    """Fires with the exit status when the user, or the system, asks us to stop: 0 for Ctrl-C and SIGTERM."""
    interrupted: Deferred[int] = Deferred()

    def stop(number: int, frame: object) -> None:
        reactor.callFromThread(_fire, interrupted)

    for number in signals:
        signal.signal(number, stop)
    return interrupted


def on_hangup(reactor: Any, reload: Callable[[], None]) -> None:
    """Calls `reload` in the reactor at each SIGHUP."""
    signal.signal(signal.SIGHUP, lambda number, frame: reactor.callFromThread(reload))


def _fire(interrupted: Deferred[int]) -> None:
    if not interrupted.called:
        interrupted.callback(0)


async def first(work: Coroutine[Any, Any, int], interrupted: Deferred[int]) -> int:
    """The result of `work`, or 0 as soon as we are interrupted; `work` is cancelled then."""
    doing = Deferred.fromCoroutine(work)
    outcome: Deferred[int] = Deferred()

    def done(result: int | Failure) -> None:
        if not outcome.called:
            outcome.callback(result)

    doing.addBoth(done)
    interrupted.addCallback(done)
    result = await outcome
    doing.cancel()
    return result


def run(start: Callable[[Any], Coroutine[Any, Any, int]]) -> int:
    """Runs the reactor until `start` is done; its exception is raised here."""
    from twisted.internet import reactor  # only here: a command is the one who may choose it

    keep_steady(reactor)
    outcome: list[int | Failure] = []

    def ended(result: int | Failure) -> None:
        outcome.append(result)
        reactor.stop()

    def begin() -> None:
        Deferred.fromCoroutine(start(reactor)).addBoth(ended)

    reactor.callWhenRunning(begin)
    tune()
    reactor.run()
    result = outcome[0]
    if isinstance(result, Failure):
        result.raiseException()
    return result
