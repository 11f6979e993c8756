"""Route-target membership: RFC 4684. Length 0 (the default) or 96 bits: origin AS (4) and route target (8)."""

from __future__ import annotations

from collections.abc import Iterable

from .. import ext_community
from ..label import WITHDRAWN
from .base import Route, overrun

DEFAULT = b"\x00"
"""The key that asks for every route."""

_FULL_BITS = 96


def make_key(asn: int, route_target: bytes) -> bytes:
    """The key of one origin AS and one 8-byte route target."""
    return bytes((_FULL_BITS,)) + asn.to_bytes(4, "big") + route_target


class RouteTargetCodec:
    """Keys are the NLRI itself. Partial prefixes are named in `faults` and left out (reference/bgp.md 2.3)."""

    __slots__ = ()

    def read(self, data: bytes, withdrawn: bool = False, faults: list[str] | None = None) -> list[Route]:
        routes: list[Route] = []
        offset, end = 0, len(data)
        while offset < end:
            bits = data[offset]
            after = offset + 1 + ((bits + 7) >> 3)
            if after > end:
                raise overrun("route-target", offset, data)
            if bits in (0, _FULL_BITS):
                routes.append((data[offset:after], b""))
            elif faults is not None:
                faults.append(f"route-target: prefix of {bits} bits ignored, only 0 and 96 are understood")
            offset = after
        return routes

    def write(self, key: bytes, payload: bytes) -> bytes:
        return key

    def write_all(self, routes: Iterable[Route]) -> list[bytes]:
        return [key for key, _ in routes]

    def write_withdrawn(self, key: bytes, label: bytes = WITHDRAWN) -> bytes:
        return key

    def text(self, key: bytes) -> str:
        """`AS:target:x:y`, and `0:target:0:0` for the default."""
        if key == DEFAULT:
            return "0:target:0:0"
        return f"{int.from_bytes(key[1:5], 'big')}:{ext_community.text(key[5:13])}"

    def key(self, text: str) -> bytes:
        if text == "0:target:0:0":
            return DEFAULT
        asn, colon, target = text.partition(":")
        if not colon or not asn.isdecimal() or not asn.isascii() or int(asn) > 0xFFFFFFFF:
            raise ValueError(f"not a route-target prefix: {text!r}")
        return make_key(int(asn), ext_community.parse(target))
