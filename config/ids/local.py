"""Ids and locks within one process."""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from .tree import NodeExists


class LocalElection:
    """A candidate among those of one process: first come, first in line."""

    def __init__(self, queue: "list[LocalElection]", call_soon: Callable[[Callable[[], None]], Any]) -> None:
        self._queue = queue
        self._call_soon = call_soon
        self.on_elected: Callable[[], None] = lambda: None

    def leave(self) -> None:
        """Step down; the next in line is told."""
        if self not in self._queue:
            return
        was_first = self._queue[0] is self
        self._queue.remove(self)
        if was_first and self._queue:
            self._queue[0].call()

    def call(self) -> None:
        """Tell this candidate, in a later turn of the reactor, if it is still first then."""
        self._call_soon(lambda: self.on_elected() if self._queue and self._queue[0] is self else None)


class LocalIds:
    """The tree as a dictionary. What depends on it is lost with the process, as the memory store is."""

    def __init__(self, reactor: IReactorTime) -> None:
        self._reactor = reactor
        self._nodes: dict[str, str] = {}
        self._born: dict[str, float] = {}
        self._children: dict[str, set[str]] = {}
        self._elections: dict[str, list[LocalElection]] = {}

    async def open(self) -> None:
        """Nothing to do."""

    async def close(self) -> None:
        self._elections.clear()

    async def create(self, path: str, data: str) -> None:
        if path in self._nodes:
            raise NodeExists(path)
        self._nodes[path] = data
        self._born[path] = self._reactor.seconds()
        parent, _, name = path.rpartition("/")
        self._children.setdefault(parent, set()).add(name)

    async def get(self, path: str) -> str | None:
        return self._nodes.get(path)

    async def age(self, path: str) -> float | None:
        born = self._born.get(path)
        return None if born is None else self._reactor.seconds() - born

    async def delete(self, path: str) -> bool:
        if self._nodes.pop(path, None) is None:
            return False
        del self._born[path]
        parent, _, name = path.rpartition("/")
        children = self._children[parent]
        children.discard(name)
        if not children:
            del self._children[parent]
        return True

    async def children(self, path: str) -> list[str]:
        return sorted(self._children.get(path, ()))

    async def elect(
        self, path: str, name: str, on_elected: Callable[[], None], on_lost: Callable[[], None]
    ) -> LocalElection:
        queue = self._elections.setdefault(path, [])
        candidate = LocalElection(queue, lambda call: self._reactor.callLater(0, call))
        candidate.on_elected = on_elected
        queue.append(candidate)
        if queue[0] is candidate:
            candidate.call()
        return candidate
