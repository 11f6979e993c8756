"""Prefixes as small tuples of integers, and a longest-prefix table over them."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Generic, NamedTuple, TypeVar

V = TypeVar("V")


class Prefix(NamedTuple):
    """`version` 4 or 6, `address` as an integer with host bits zero, `length` in bits."""

    version: int
    address: int
    length: int

    @property
    def text(self) -> str:
        return f"{self.host}/{self.length}"

    @property
    def host(self) -> str:
        return str(IPv4Address(self.address) if self.version == 4 else IPv6Address(self.address))

    @property
    def bits(self) -> int:
        return 32 if self.version == 4 else 128

    @property
    def is_host(self) -> bool:
        return self.length == self.bits

    def covers(self, address: int) -> bool:
        shift = self.bits - self.length
        return address >> shift == self.address >> shift


def prefix(version: int, address: int, length: int) -> Prefix:
    """A prefix with its host bits cleared."""
    shift = (32 if version == 4 else 128) - length
    return Prefix(version, address >> shift << shift, length)


def parse(text: str) -> Prefix:
    """`10.1.0.0/24`, `2001:db8::1` (a host). Raises ValueError."""
    host, slash, length = text.partition("/")
    address = ip_address(host)
    bits = address.max_prefixlen
    size = int(length) if slash else bits
    if not 0 <= size <= bits:
        raise ValueError(f"{text}: prefix length out of range")
    return prefix(address.version, int(address), size)


def host(text: str) -> Prefix:
    """The host prefix of an address. Raises ValueError."""
    address = ip_address(text)
    return Prefix(address.version, int(address), address.max_prefixlen)


class PrefixTable(Generic[V]):
    """Prefix -> value with a longest-match lookup; one IP version a table.

    Lengths in use are few, so they are scanned.
    """

    __slots__ = ("_entries", "_lengths", "_order")

    def __init__(self) -> None:
        self._entries: dict[Prefix, V] = {}
        self._lengths: dict[int, int] = {}
        self._order: tuple[int, ...] = ()

    def get(self, key: Prefix) -> V | None:
        return self._entries.get(key)

    def set(self, key: Prefix, value: V) -> None:
        if key not in self._entries:
            count = self._lengths.get(key.length, 0)
            self._lengths[key.length] = count + 1
            if not count:
                self._order = tuple(sorted(self._lengths, reverse=True))
        self._entries[key] = value

    def pop(self, key: Prefix) -> V | None:
        value = self._entries.pop(key, None)
        if value is not None:
            self._lengths[key.length] -= 1
            if not self._lengths[key.length]:
                del self._lengths[key.length]
                self._order = tuple(sorted(self._lengths, reverse=True))
        return value

    def longest(self, version: int, address: int, below: int = 129) -> V | None:
        """The value of the longest prefix that covers `address` and is shorter than `below` bits."""
        bits = 32 if version == 4 else 128
        entries = self._entries
        for length in self._order:
            if length < below:
                shift = bits - length
                value = entries.get(Prefix(version, address >> shift << shift, length))
                if value is not None:
                    return value
        return None

    def values(self) -> Iterator[V]:
        return iter(list(self._entries.values()))

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: object) -> bool:
        return key in self._entries
