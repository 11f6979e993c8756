"""The bytes of the reflection benchmark: UPDATEs written and read by code of its own, not by what it measures."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

AS = 64512
MARKER = b"\xff" * 16
KEEPALIVE = MARKER + b"\x00\x13\x04"
END_OF_RIB = 30
"""Bytes of the longest one."""
UPDATE = 2
WIRE = {"inet": b"\x00\x01\x01", "inet-vpn": b"\x00\x01\x80"}
NEXT_HOP = bytes((10, 255, 9, 1))

Table = dict[bytes, bytes]
"""From NLRI without label to label and path attributes, in the form of `Reader`."""


def message(kind: int, body: bytes) -> bytes:
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


def open_message(family: str, router_id: bytes, hold_time: int = 600) -> bytes:
    """One family and four-octet AS numbers (RFC 5492, 4760, 6793)."""
    multiprotocol = b"\x01\x04" + WIRE[family][:2] + b"\x00" + WIRE[family][2:]
    capabilities = multiprotocol + b"\x41\x04" + struct.pack("!I", AS)
    parameters = bytes((2, len(capabilities))) + capabilities
    fixed = struct.pack("!BHH", 4, AS, hold_time) + router_id
    return message(1, fixed + bytes((len(parameters),)) + parameters)


def attribute(flags: int, kind: int, value: bytes) -> bytes:
    if len(value) > 255:
        return struct.pack("!BBH", flags | 0x10, kind, len(value)) + value
    return bytes((flags, kind, len(value))) + value


@dataclass(frozen=True, slots=True)
class Workload:
    """`prefixes` routes of one family, `packed` to an UPDATE; the routes of one UPDATE share an attribute set of their
    own, as routes of one origin do. /24 from 16.0.0.0 on, in inet-vpn 1000 to a route distinguisher, one of `targets`
    route targets for each UPDATE in turn."""

    family: str
    prefixes: int
    packed: int
    targets: int = 100

    def nlri(self, number: int, label: bytes = b"") -> bytes:
        prefix = (0x100000 + number).to_bytes(3, "big")
        if self.family == "inet":
            return b"\x18" + prefix
        distinguisher = struct.pack("!HHI", 0, AS, number // 1000 + 1)
        return bytes((24 + 64 + 8 * len(label),)) + label + distinguisher + prefix

    def label(self, number: int) -> bytes:
        return ((1000 + number % 1000000) << 4 | 1).to_bytes(3, "big") if self.family == "inet-vpn" else b""

    def attributes(self, batch: int, version: int) -> tuple[bytes, bytes, bytes]:
        """What stands before NEXT_HOP, between it and MP_REACH_NLRI, and what a receiver must find."""
        path = b"\x02\x02" + struct.pack("!II", 65001, 100000 + batch % 50000)
        first = attribute(0x40, 1, b"\x00") + attribute(0x40, 2, path)
        med, preference = struct.pack("!I", batch * 2 + 1 + version), struct.pack("!I", 100)
        second = attribute(0x80, 4, med) + attribute(0x40, 5, preference)
        target = b"" if self.family == "inet" else struct.pack("!HHI", 2, AS, batch % self.targets + 1)
        if target:
            second += attribute(0xC0, 16, target)
        return first, second, b"|".join((NEXT_HOP, path, med, preference, target))

    def announce(self, version: int = 0, every: int = 1) -> tuple[bytes, Table]:
        """The bytes, and what they say. With `every` 2, of every second UPDATE only."""
        out: list[bytes] = []
        table: Table = {}
        for batch, start in enumerate(range(0, self.prefixes, self.packed)):
            if batch % every:
                continue
            numbers = range(start, min(start + self.packed, self.prefixes))
            first, second, essence = self.attributes(batch, version)
            routes = b"".join(self.nlri(number, self.label(number)) for number in numbers)
            if self.family == "inet":
                attributes = first + attribute(0x40, 3, NEXT_HOP) + second
            else:
                next_hop = b"\x0c" + bytes(8) + NEXT_HOP + b"\x00"
                attributes = attribute(0x80, 14, WIRE[self.family] + next_hop + routes) + first + second
                routes = b""
            out.append(message(UPDATE, b"\x00\x00" + struct.pack("!H", len(attributes)) + attributes + routes))
            for number in numbers:
                table[self.nlri(number)] = self.label(number) + essence
        return b"".join(out), table

    def withdraw(self) -> bytes:
        out = []
        for start in range(0, self.prefixes, self.packed):
            numbers = range(start, min(start + self.packed, self.prefixes))
            if self.family == "inet":
                routes = b"".join(self.nlri(number) for number in numbers)
                body = struct.pack("!H", len(routes)) + routes + b"\x00\x00"
            else:
                routes = b"".join(self.nlri(number, b"\x80\x00\x00") for number in numbers)
                attributes = attribute(0x80, 15, WIRE[self.family] + routes)
                body = b"\x00\x00" + struct.pack("!H", len(attributes)) + attributes
            out.append(message(UPDATE, body))
        return b"".join(out)


class Reader:
    """A sink's table, from the bytes that reached it. `update` takes any part of the stream."""

    __slots__ = ("__weakref__", "_essences", "_rest", "_vpn", "table", "updates")

    def __init__(self, family: str) -> None:
        self.table: Table = {}
        self.updates = 0
        self._vpn = family == "inet-vpn"
        self._rest = b""
        self._essences: dict[bytes, bytes] = {}

    def copy(self) -> Reader:
        """One that reads on from here by itself."""
        other = Reader("inet-vpn" if self._vpn else "inet")
        other.table, other.updates, other._rest = dict(self.table), self.updates, self._rest
        other._essences = self._essences
        return other

    def update(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        while at + 19 <= len(data):
            size = data[at + 16] << 8 | data[at + 17]
            if at + size > len(data):
                break
            if data[at + 18] == UPDATE:
                self._message(data[at + 19 : at + size])
            elif data[at + 18] == 3:
                raise RuntimeError(f"NOTIFICATION {data[at + 19 : at + size].hex()}")
            at += size
        self._rest = data[at:]

    def _message(self, body: bytes) -> None:
        self.updates += 1
        withdrawn = body[0] << 8 | body[1]
        at = 2 + withdrawn
        end = at + 2 + (body[at] << 8 | body[at + 1])
        for key, _ in self._routes(body[2 : 2 + withdrawn], False):
            self.table.pop(key, None)
        plain, reach = [], b""
        at += 2
        while at < end:
            flags, kind = body[at], body[at + 1]
            long = flags >> 4 & 1
            size = body[at + 2] << 8 | body[at + 3] if long else body[at + 2]
            value = body[at + 3 + long : at + 3 + long + size]
            if kind == 14:
                reach = value
                plain.append(value[: 4 + value[3]])
            elif kind == 15:
                for key, _ in self._routes(value[3:], self._vpn):
                    self.table.pop(key, None)
            else:
                plain.append(body[at : at + 3 + long + size])
            at += 3 + long + size
        routes = reach[5 + reach[3] :] if reach else b""
        if routes or end < len(body):
            essence = self._essence(tuple(plain))
            for key, label in (*self._routes(routes, self._vpn), *self._routes(body[end:], False)):
                self.table[key] = label + essence

    @staticmethod
    def _routes(data: bytes, labelled: bool) -> Iterator[tuple[bytes, bytes]]:
        """(NLRI without label, label); FRR's labels come with traffic class bits, which say nothing here."""
        at = 0
        while at < len(data):
            bits = data[at]
            end = at + 1 + (bits + 7 >> 3)
            if labelled:
                yield bytes((bits - 24,)) + data[at + 4 : end], data[at + 1 : at + 3] + bytes((data[at + 3] & 0xF1,))
            else:
                yield data[at:end], b""
            at = end

    def _essence(self, plain: tuple[bytes, ...]) -> bytes:
        """Next hop, AS path, MED, LOCAL_PREF and extended communities; the rest is a reflector's own business."""
        key = b"".join(plain)
        found = self._essences.get(key)
        if found is None:
            values = {3: b"", 2: b"", 4: b"", 5: b"", 16: b""}
            for raw in plain:
                if raw[:2] == b"\x00\x01":  # the head of MP_REACH_NLRI: AFI, SAFI, length, next hop
                    values[3] = raw[-4:]
                else:
                    values[raw[1]] = raw[3 + (raw[0] >> 4 & 1) :]
            found = self._essences[key] = b"|".join(values[kind] for kind in (3, 2, 4, 5, 16))
        return found
