"""inet, inet6 (RFC 4271 4.3, RFC 4760 5) and inet-labeled (RFC 8277) prefixes.

Keys are `length(1) prefix`, as few prefix bytes as the length needs, host bits zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from ..label import WITHDRAWN
from .base import BYTE, HOST_MASK, Route, overrun, skip

_WITHDRAW_LABELS = frozenset((b"\x00\x00\x01", b"\x80\x00\x00", b"\x00\x00\x00"))


def prefix_text(bits: int, prefix: bytes, size: int) -> str:
    """`address/length` of a truncated prefix; `size` is 4 or 16 bytes."""
    full = prefix + bytes(size - len(prefix))
    if size == 4:
        return f"{full[0]}.{full[1]}.{full[2]}.{full[3]}/{bits}"
    return f"{IPv6Address(full)}/{bits}"


def prefix_key(text: str, size: int) -> bytes:
    """`length(1) prefix` of `address/length` (a bare address has all bits). Host bits are cleared. ValueError."""
    network = IPv4Network(text, strict=False) if size == 4 else IPv6Network(text, strict=False)
    bits = network.prefixlen
    return BYTE[bits] + network.network_address.packed[: (bits + 7) >> 3]


def address_text(raw: bytes) -> str:
    """A 4- or 16-byte address in its usual form."""
    return str(IPv4Address(raw)) if len(raw) == 4 else str(IPv6Address(raw))


def masked(prefix: bytes, bits: int) -> bytes:
    """The prefix with its host bits cleared; `bits` is not a multiple of 8."""
    return prefix[:-1] + BYTE[prefix[-1] & HOST_MASK[bits & 7]]


class PrefixCodec:
    """Plain prefixes: inet and inet6."""

    __slots__ = ("name", "size")

    name: Final[str]
    size: Final[int]

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size

    def read(self, data: bytes, withdrawn: bool = False, faults: list[str] | None = None) -> list[Route]:
        routes: list[Route] = []
        limit = self.size << 3
        offset, end = 0, len(data)
        while offset < end:
            bits = data[offset]
            after = offset + 1 + ((bits + 7) >> 3)
            if after > end:
                raise overrun(self.name, offset, data)
            if bits > limit:
                skip(f"{self.name}: prefix length {bits} at byte {offset}", faults)
                offset = after
                continue
            if bits & 7:
                key = data[offset : after - 1] + BYTE[data[after - 1] & HOST_MASK[bits & 7]]
            else:
                key = data[offset:after]
            routes.append((key, b""))
            offset = after
        return routes

    def write(self, key: bytes, payload: bytes) -> bytes:
        return key

    def write_all(self, routes: Iterable[Route]) -> list[bytes]:
        return [key for key, _ in routes]

    def write_withdrawn(self, key: bytes, label: bytes = WITHDRAWN) -> bytes:
        return key

    def text(self, key: bytes) -> str:
        return prefix_text(key[0], key[1:], self.size)

    def key(self, text: str) -> bytes:
        return prefix_key(text, self.size)


class LabeledCodec:
    """inet-labeled: length (24 bits of label counted in), one label, prefix. The payload is the label.

    By RFC 8277 2.4 a withdrawal has three bytes where the label stood, whatever they say. Real control nodes leave them
    out (reference/bgp.md 2.3), and nothing on the wire tells the two forms apart up to a length of 32 bits. `lenient`
    takes such a withdrawal as labelled when it begins with 80 00 00, 00 00 00 or 00 00 01, what routers and control
    nodes write, and as bare otherwise. Wrong in two rare cases: a bare prefix inside 128.0.0.0/24, 0.0.0.0/24 or
    0.0.1.0/24, and a labelled prefix of at most 8 bits whose label bytes are others.
    """

    __slots__ = ("lenient", "name", "size")

    lenient: Final[bool]
    name: Final[str]
    size: Final[int]

    def __init__(self, name: str, size: int, lenient: bool = True) -> None:
        self.name = name
        self.size = size
        self.lenient = lenient

    def read(self, data: bytes, withdrawn: bool = False, faults: list[str] | None = None) -> list[Route]:
        routes: list[Route] = []
        limit = (self.size << 3) + 24
        offset, end = 0, len(data)
        while offset < end:
            bits = data[offset]
            after = offset + 1 + ((bits + 7) >> 3)
            if after > end:
                raise overrun(self.name, offset, data)
            if bits > limit or (bits < 24 and not withdrawn):
                skip(f"{self.name}: prefix length {bits} at byte {offset}", faults)
                offset = after
                continue
            label = data[offset + 1 : offset + 4]
            start = offset + 4
            if bits < 24 or (withdrawn and self.lenient and bits <= self.size << 3 and label not in _WITHDRAW_LABELS):
                start = offset + 1
            else:
                bits -= 24
            prefix = data[start:after]
            if bits & 7:
                prefix = masked(prefix, bits)
            routes.append((BYTE[bits] + prefix, b"" if withdrawn else label))
            offset = after
        return routes

    def write(self, key: bytes, payload: bytes) -> bytes:
        return BYTE[key[0] + 24] + payload + key[1:]

    def write_all(self, routes: Iterable[Route]) -> list[bytes]:
        return [BYTE[key[0] + 24] + payload + key[1:] for key, payload in routes]

    def write_withdrawn(self, key: bytes, label: bytes = WITHDRAWN) -> bytes:
        return BYTE[key[0] + (len(label) << 3)] + label + key[1:]

    def text(self, key: bytes) -> str:
        return prefix_text(key[0], key[1:], self.size)

    def key(self, text: str) -> bytes:
        return prefix_key(text, self.size)
