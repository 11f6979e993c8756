"""inet-mvpn: RFC 6514 route types 1 to 7, IPv4 only (reference/bgp.md 2.3). Keys are the NLRI itself."""

from __future__ import annotations

from collections.abc import Iterable

from .. import rd
from ..label import WITHDRAWN
from .base import Route, overrun
from .prefix import address_text

INTRA_AS_AD, INTER_AS_AD, SPMSI_AD, LEAF_AD, SOURCE_ACTIVE, SHARED_JOIN, SOURCE_JOIN = range(1, 8)

_BODY = {INTRA_AS_AD: 12, INTER_AS_AD: 12, SPMSI_AD: 22, SOURCE_ACTIVE: 18, SHARED_JOIN: 22, SOURCE_JOIN: 22}


def _asn(raw: bytes) -> str:
    return str(int.from_bytes(raw, "big"))


def _asn_bytes(text: str) -> bytes:
    if not text.isdecimal() or not text.isascii() or int(text) > 0xFFFFFFFF:
        raise ValueError(f"not an AS number: {text!r}")
    return int(text).to_bytes(4, "big")


def _source_group(source: str, group: str) -> bytes:
    return b"\x20" + rd.ipv4_bytes(source) + b"\x20" + rd.ipv4_bytes(group)


def is_sound(key: bytes) -> bool:
    """Whether a type-length-body triple has the layout of its type."""
    kind, body = key[0], key[2:]
    if kind == LEAF_AD:
        inner = body[:-4]
        if len(inner) < 2 or inner[0] not in (INTER_AS_AD, SPMSI_AD):
            return False
        return inner[1] == len(inner) - 2 and is_sound(inner)
    if _BODY.get(kind) != len(body):
        return False
    if kind in (SPMSI_AD, SOURCE_ACTIVE):
        return body[8] == body[13] == 32
    if kind in (SHARED_JOIN, SOURCE_JOIN):
        return body[12] == body[17] == 32
    return True


class MvpnCodec:
    """Routes of another type, or with another layout (IPv6), are named in `faults` and left out."""

    __slots__ = ()

    def read(self, data: bytes, withdrawn: bool = False, faults: list[str] | None = None) -> list[Route]:
        routes: list[Route] = []
        offset, end = 0, len(data)
        while offset < end:
            after = offset + 2 + data[offset + 1] if offset + 1 < end else end + 1
            if after > end:
                raise overrun("inet-mvpn", offset, data)
            key = data[offset:after]
            if is_sound(key):
                routes.append((key, b""))
            elif faults is not None:
                faults.append(f"inet-mvpn: route {key.hex()} ignored")
            offset = after
        return routes

    def write(self, key: bytes, payload: bytes) -> bytes:
        return key

    def write_all(self, routes: Iterable[Route]) -> list[bytes]:
        return [key for key, _ in routes]

    def write_withdrawn(self, key: bytes, label: bytes = WITHDRAWN) -> bytes:
        return key

    def text(self, key: bytes) -> str:
        kind, body = key[0], key[2:]
        if kind == LEAF_AD:
            return f"4-{self.text(body[:-4])},{address_text(body[-4:])}"
        head = f"{kind}-{rd.text(body[:8])}"
        if kind == INTRA_AS_AD:
            return f"{head},{address_text(body[8:12])}"
        if kind == INTER_AS_AD:
            return f"{head},{_asn(body[8:12])}"
        if kind == SPMSI_AD:
            return f"{head},{address_text(body[9:13])},{address_text(body[14:18])},{address_text(body[18:22])}"
        if kind == SOURCE_ACTIVE:
            return f"{head},{address_text(body[9:13])},{address_text(body[14:18])}"
        return f"{head},{_asn(body[8:12])},{address_text(body[13:17])},{address_text(body[18:22])}"

    def key(self, text: str) -> bytes:
        kind_text, dash, rest = text.partition("-")
        if not dash or kind_text not in ("1", "2", "3", "4", "5", "6", "7"):
            raise ValueError(f"not an inet-mvpn route: {text!r}")
        kind = int(kind_text)
        if kind == LEAF_AD:
            inner, _, originator = rest.rpartition(",")
            body = self.key(inner) + rd.ipv4_bytes(originator)
        else:
            body = self._body(kind, rest, text)
        key = bytes((kind, len(body))) + body
        if not is_sound(key):
            raise ValueError(f"not an inet-mvpn route: {text!r}")
        return key

    @staticmethod
    def _body(kind: int, rest: str, text: str) -> bytes:
        distinguisher, *fields = rest.split(",")
        raw = rd.parse(distinguisher)
        match kind, fields:
            case 1, [originator]:
                return raw + rd.ipv4_bytes(originator)
            case 2, [asn]:
                return raw + _asn_bytes(asn)
            case 3, [source, group, originator]:
                return raw + _source_group(source, group) + rd.ipv4_bytes(originator)
            case 5, [source, group]:
                return raw + _source_group(source, group)
            case 6 | 7, [asn, source, group]:
                return raw + _asn_bytes(asn) + _source_group(source, group)
        raise ValueError(f"not an inet-mvpn route: {text!r}")
