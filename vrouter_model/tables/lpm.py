"""Longest prefix match over integers, one dictionary per prefix length.

Equivalent to the vRouter's 8-bit-stride tries (reference/vrouter.md 4) except that a deleted route needs no replacement
to be supplied: the covering route is found again by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_CACHE_LIMIT = 65536


class PrefixTable(Generic[T]):
    """Prefixes of one address family (`bits` 32 or 128) in one VRF."""

    __slots__ = ("_by_length", "_cache", "_lengths", "bits")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self._by_length: dict[int, dict[int, T]] = {}
        self._lengths: tuple[tuple[int, dict[int, T]], ...] = ()
        self._cache: dict[int, T | None] = {}

    def set(self, prefix: int, length: int, value: T) -> None:
        """Add or replace a route. Host bits of `prefix` are ignored."""
        shift = self.bits - length
        if length not in self._by_length:
            self._by_length[length] = {}
            self._index_lengths()
        self._by_length[length][prefix >> shift] = value
        self._cache.clear()

    def remove(self, prefix: int, length: int) -> T | None:
        """Take a route out; None when it was not there."""
        routes = self._by_length.get(length)
        if routes is None:
            return None
        value = routes.pop(prefix >> (self.bits - length), None)
        if not routes:
            del self._by_length[length]
            self._index_lengths()
        self._cache.clear()
        return value

    def exact(self, prefix: int, length: int) -> T | None:
        routes = self._by_length.get(length)
        return None if routes is None else routes.get(prefix >> (self.bits - length))

    def lookup(self, address: int) -> T | None:
        """The value of the longest prefix that covers `address`."""
        cache = self._cache
        if address in cache:
            return cache[address]
        found: T | None = None
        for shift, routes in self._lengths:
            found = routes.get(address >> shift)
            if found is not None:
                break
        if len(cache) >= _CACHE_LIMIT:
            cache.clear()
        cache[address] = found
        return found

    def __len__(self) -> int:
        return sum(len(routes) for routes in self._by_length.values())

    def values(self) -> Iterator[T]:
        """Every route, by prefix length and then by prefix."""
        for length in sorted(self._by_length):
            routes = self._by_length[length]
            for prefix in sorted(routes):
                yield routes[prefix]

    def _index_lengths(self) -> None:
        """Longest first, as shifts, so that a lookup is a few dictionary probes."""
        self._lengths = tuple(
            (self.bits - length, self._by_length[length]) for length in sorted(self._by_length, reverse=True)
        )
