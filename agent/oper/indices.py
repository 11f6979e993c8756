"""Small integers for things: interfaces, VRFs, next hops, labels.

The lowest free one is taken, and kept while the thing lives.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from heapq import heappop, heappush
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)


class NoFreeIndex(Exception):
    """Every index up to the limit is taken."""


class Indices(Generic[K]):
    """Indices from `first` up to, but not including, `limit`."""

    __slots__ = ("_by_key", "_free", "_limit", "_next")

    def __init__(self, first: int, limit: int) -> None:
        self._next = first
        self._limit = limit
        self._free: list[int] = []
        self._by_key: dict[K, int] = {}

    def take(self, key: K) -> int:
        """The index of `key`, given one if it has none. Raises NoFreeIndex."""
        index = self._by_key.get(key)
        if index is None:
            if self._free:
                index = heappop(self._free)
            elif self._next < self._limit:
                index = self._next
                self._next += 1
            else:
                raise NoFreeIndex(str(key))
            self._by_key[key] = index
        return index

    def find(self, key: K) -> int | None:
        return self._by_key.get(key)

    def release(self, key: K) -> int | None:
        """Give the index back; None when the key had none."""
        index = self._by_key.pop(key, None)
        if index is not None:
            heappush(self._free, index)
        return index

    def __iter__(self) -> Iterator[K]:
        return iter(self._by_key)

    def __len__(self) -> int:
        return len(self._by_key)
