"""Threads of one's own for client libraries that block: the reactor's pool may not be running, or be busy."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool
from twisted.python.threadpool import ThreadPool

P = ParamSpec("P")
T = TypeVar("T")


class Threads:
    """A few threads, started when first used, ended by `stop` or with the reactor."""

    def __init__(self, reactor: Any, name: str, most: int = 2) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, most, name)
        self._trigger: Any = None
        self._running = False

    def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        """`work(...)` in a thread; its result or exception in the reactor."""
        if not self._running:
            self._running = True
            self._pool.start()
            self._trigger = self._reactor.addSystemEventTrigger("during", "shutdown", self._end)
        result: Deferred[T] = deferToThreadPool(self._reactor, self._pool, work, *args, **kwargs)
        return result

    def stop(self) -> None:
        """Wait for what runs, then end the threads. They start again when used again."""
        if self._running:
            self._reactor.removeSystemEventTrigger(self._trigger)
            self._end()

    def _end(self) -> None:
        self._running = False
        self._trigger = None
        self._pool.stop()
        self._pool = ThreadPool(0, self._pool.max, self._pool.name)
