"""Ports for fragments that do not carry them (reference/vrouter.md 7.12).

The first fragment of a datagram registers its ports; later ones find them. One that comes before the first waits, at
most two seconds. Nothing is reassembled.
"""

from __future__ import annotations

from collections.abc import Callable

from .packet import IP, Packet

TIMEOUT = 2.0
MAX_QUEUED = 256
MAX_ENTRIES = 8192 + 1024

Key = tuple[bytes, bytes, bytes, int]
"""(source, destination, identification, VRF)."""


class _Entry:
    __slots__ = ("expected", "expires", "ports", "received")

    def __init__(self, ports: tuple[int, int], received: int, expires: float) -> None:
        self.ports = ports
        self.received = received
        self.expected = -1
        self.expires = expires


class Fragments:
    """Known datagrams and waiting fragments.

    `waiting` is told when a fragment starts to wait, `release` sends one on, `expire` gets those that waited too long.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        waiting: Callable[[Packet], None],
        release: Callable[[Packet], None],
        expire: Callable[[Packet], None],
    ) -> None:
        self._clock = clock
        self._waiting = waiting
        self._release = release
        self._expire = expire
        self._known: dict[Key, _Entry] = {}
        self._queues: dict[Key, tuple[float, list[Packet]]] = {}

    def head_inet(self, packet: Packet, sport: int, dport: int) -> None:
        data, start = packet.data, packet.network
        if (data[start + 6] & 0x1F) or data[start + 7]:
            return
        length = int.from_bytes(data[start + 2 : start + 4], "big") - (data[start] & 0xF) * 4
        self._register(_key(packet), (sport, dport), length)

    def head_inet6(self, packet: Packet, sport: int, dport: int) -> None:
        data, start = packet.data, packet.network
        if int.from_bytes(data[start + 42 : start + 44], "big") & 0xFFF8:
            return
        self._register(_key(packet), (sport, dport), int.from_bytes(data[start + 4 : start + 6], "big") - 8)

    def find_inet(self, packet: Packet) -> tuple[int, int] | None:
        data, start = packet.data, packet.network
        length = int.from_bytes(data[start + 2 : start + 4], "big") - (data[start] & 0xF) * 4
        offset = ((data[start + 6] & 0x1F) << 8 | data[start + 7]) * 8
        return self._find(_key(packet), offset, length, more=bool(data[start + 6] & 0x20))

    def find_inet6(self, packet: Packet) -> tuple[int, int] | None:
        data, start = packet.data, packet.network
        word = int.from_bytes(data[start + 42 : start + 44], "big")
        length = int.from_bytes(data[start + 4 : start + 6], "big") - 8
        return self._find(_key(packet), word & 0xFFF8, length, more=bool(word & 1))

    def hold(self, packet: Packet) -> None:
        """Keep a fragment until its datagram's first part has come."""
        self._waiting(packet)
        key = _key(packet)
        _, queue = self._queues.setdefault(key, (self._clock() + TIMEOUT, []))
        if len(queue) >= MAX_QUEUED or len(self._queues) > MAX_ENTRIES:
            self._expire(packet)
            return
        queue.append(packet)

    def sweep(self) -> None:
        """Forget what has timed out."""
        now = self._clock()
        for key in [key for key, entry in self._known.items() if entry.expires <= now]:
            del self._known[key]
        for key in [key for key, (expires, _) in self._queues.items() if expires <= now]:
            for packet in self._queues.pop(key)[1]:
                self._expire(packet)

    def clear(self) -> None:
        self._known.clear()
        queues, self._queues = self._queues, {}
        for _, queue in queues.values():
            for packet in queue:
                self._expire(packet)

    def release_ready(self) -> None:
        """Send on the fragments whose first part is known by now."""
        for key in [key for key in self._queues if key in self._known]:
            for packet in self._queues.pop(key)[1]:
                self._release(packet)

    @property
    def pending(self) -> bool:
        return bool(self._queues)

    def _register(self, key: Key, ports: tuple[int, int], length: int) -> None:
        if len(self._known) >= MAX_ENTRIES:
            self.sweep()
            if len(self._known) >= MAX_ENTRIES:
                return
        self._known[key] = _Entry(ports, length, self._clock() + TIMEOUT)

    def _find(self, key: Key, offset: int, length: int, more: bool) -> tuple[int, int] | None:
        entry = self._known.get(key)
        if entry is None or entry.expires <= self._clock():
            return None
        entry.received += length
        if not more:
            entry.expected = offset + length
        if entry.received == entry.expected:
            del self._known[key]
        return entry.ports


def _key(packet: Packet) -> Key:
    data, start = packet.data, packet.network
    if packet.type == IP:
        return data[start + 12 : start + 16], data[start + 16 : start + 20], data[start + 4 : start + 6], packet.dvrf
    return data[start + 8 : start + 24], data[start + 24 : start + 40], data[start + 44 : start + 48], packet.dvrf
