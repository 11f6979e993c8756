"""inet-vpn and inet6-vpn: RFC 4364, RFC 4659. Length, one label, route distinguisher, prefix.

Keys are `RD(8) length(1) prefix`, the payload is the label's three bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from .. import rd
from ..label import WITHDRAWN
from .base import BYTE, HOST_MASK, Route, overrun, skip
from .prefix import prefix_key, prefix_text

_OVERHEAD_BITS: Final = 88
"""24 bits of label and 64 of route distinguisher, counted in the NLRI's length."""


class VpnCodec:
    """Labelled VPN prefixes of 4 or 16 bytes. Only one label is supported, as in a control node."""

    __slots__ = ("name", "size")

    name: Final[str]
    size: Final[int]

    def __init__(self, name: str, size: int) -> None:
        self.name = name
        self.size = size

    def read(self, data: bytes, withdrawn: bool = False, faults: list[str] | None = None) -> list[Route]:
        routes: list[Route] = []
        limit = (self.size << 3) + _OVERHEAD_BITS
        byte = BYTE
        offset, end = 0, len(data)
        while offset < end:
            bits = data[offset]
            after = offset + 1 + ((bits + 7) >> 3)
            if after > end:
                raise overrun(self.name, offset, data)
            if not _OVERHEAD_BITS <= bits <= limit:
                skip(f"{self.name}: prefix length {bits} at byte {offset}", faults)
                offset = after
                continue
            bits -= _OVERHEAD_BITS
            if bits & 7:
                last = byte[data[after - 1] & HOST_MASK[bits & 7]]
                key = data[offset + 4 : offset + 12] + byte[bits] + data[offset + 12 : after - 1] + last
            else:
                key = data[offset + 4 : offset + 12] + byte[bits] + data[offset + 12 : after]
            routes.append((key, b"" if withdrawn else data[offset + 1 : offset + 4]))
            offset = after
        return routes

    def write(self, key: bytes, payload: bytes) -> bytes:
        return BYTE[key[8] + _OVERHEAD_BITS] + payload + key[:8] + key[9:]

    def write_all(self, routes: Iterable[Route]) -> list[bytes]:
        byte = BYTE
        return [byte[key[8] + _OVERHEAD_BITS] + payload + key[:8] + key[9:] for key, payload in routes]

    def write_withdrawn(self, key: bytes, label: bytes = WITHDRAWN) -> bytes:
        return BYTE[key[8] + _OVERHEAD_BITS] + label + key[:8] + key[9:]

    def text(self, key: bytes) -> str:
        """`RD:prefix/length`."""
        return f"{rd.text(key[:8])}:{prefix_text(key[8], key[9:], self.size)}"

    def key(self, text: str) -> bytes:
        distinguisher, prefix = rd.split(text)
        return distinguisher + prefix_key(prefix, self.size)
