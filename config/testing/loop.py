"""A reactor of one's own for tests against real servers: it runs only inside `run`."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from twisted.internet.asyncioreactor import AsyncioSelectorReactor
from twisted.internet.defer import Deferred

T = TypeVar("T")
PATIENCE = 120.0
"""Seconds; real servers on a busy machine take their time."""


class Loop:
    """`reactor` never runs by itself; `run` drives it until a coroutine ends, `wait` until something is true."""

    def __init__(self) -> None:
        self._loop = asyncio.SelectorEventLoop()
        self.reactor = AsyncioSelectorReactor(self._loop)

    def run(self, work: Coroutine[Deferred[Any], Any, T], timeout: float = PATIENCE) -> T:
        """The coroutine's result; TimeoutError when it takes too long."""
        future = Deferred.fromCoroutine(work).asFuture(self._loop)
        result: T = self._loop.run_until_complete(asyncio.wait_for(future, timeout))
        return result

    def wait(self, condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
        """Run until `condition()`; TimeoutError when it stays false."""

        async def poll() -> None:
            while not condition():
                await asyncio.sleep(0.005)

        self._loop.run_until_complete(asyncio.wait_for(poll(), timeout))

    def close(self) -> None:
        """End; what still waits is cancelled."""
        for call in self.reactor.getDelayedCalls():
            call.cancel()
        self.reactor.fireSystemEvent("shutdown")  # also has the loop stop: once round, and that is it
        self._loop.run_forever()
        self._loop.close()
