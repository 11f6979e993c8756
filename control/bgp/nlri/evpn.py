"""e-vpn routes of types 1 to 6: RFC 7432, RFC 9136 (type 5), RFC 9251 (type 6); reference/bgp.md 2.3.

On the wire a route is type, length, body. What tells two routes apart goes into the key, the rest into the payload:

| type | body on the wire | key | payload |
|---|---|---|---|
| 1 | RD ESI tag label | 1 RD ESI tag | label |
| 2 | RD ESI tag 48 MAC iplen IP label [l3 label] | 2 RD tag MAC iplen IP | ESI label [l3 label] |
| 3 | RD tag iplen IP | 3 RD tag iplen IP | |
| 4 | RD ESI iplen IP | 4 RD ESI iplen IP | |
| 5 | RD ESI tag length IP gateway label | 5 RD tag length IP | ESI gateway label |
| 6 | RD tag srclen [source] grplen group origlen originator flags | 6 RD … originator | flags |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from .. import esi
from ..label import WITHDRAWN
from .base import BYTE, HOST_MASK, Route, overrun
from .evpn_text import evpn_key, evpn_text

AUTO_DISCOVERY, MAC_IP, INCLUSIVE_MULTICAST, ETHERNET_SEGMENT, IP_PREFIX, SELECTIVE_MULTICAST = range(1, 7)

MAX_TAG: Final = b"\xff\xff\xff\xff"
"""Ethernet tag of a per-segment auto-discovery route."""

SELECTIVE_MULTICAST_FLAGS = b"\x02"
"""IGMPv2: what a control node writes (reference/bgp.md 2.3)."""


_MAC_BITS = b"\x30"
"""The length of a MAC address in bits, which only the wire carries."""


class _Bad(ValueError):
    """A body that does not have the layout of its type."""


def _need(condition: bool, what: str) -> None:
    if not condition:
        raise _Bad(what)


def _read_auto_discovery(body: bytes) -> Route:
    _need(len(body) == 25, "length")
    return b"\x01" + body[:22], body[22:]


def _read_mac_ip(body: bytes) -> Route:
    size = len(body)
    _need(size >= 33 and body[22] == 48, "MAC length")
    bits = body[29]
    after = 30 + (bits >> 3)
    _need(bits in (0, 32, 128) and size - after in (3, 6), "IP length")
    return b"\x02" + body[:8] + body[18:22] + body[23:after], body[8:18] + body[after:]


def _read_inclusive_multicast(body: bytes) -> Route:
    _need(len(body) in (17, 29) and body[12] >> 3 == len(body) - 13 and body[12] & 7 == 0, "IP length")
    return b"\x03" + body, b""


def _read_ethernet_segment(body: bytes) -> Route:
    _need(len(body) in (23, 35) and body[18] >> 3 == len(body) - 19 and body[18] & 7 == 0, "IP length")
    return b"\x04" + body, b""


def _read_ip_prefix(body: bytes) -> Route:
    _need(len(body) in (34, 58), "length")
    size = 4 if len(body) == 34 else 16
    bits = body[22]
    _need(bits <= size << 3, "prefix length")
    whole = bits >> 3
    prefix = body[23 : 23 + whole]
    if bits & 7:
        prefix += BYTE[body[23 + whole] & HOST_MASK[bits & 7]]
    key = b"\x05" + body[:8] + body[18:23] + prefix + bytes(size - len(prefix))
    return key, body[8:18] + body[23 + size :]


def _read_selective_multicast(body: bytes) -> Route:
    offset, size = 12, len(body)
    for field, allowed in (("source", (0, 32, 128)), ("group", (0, 32, 128)), ("originator", (32, 128))):
        _need(offset < size and body[offset] in allowed, f"{field} length")
        offset += 1 + (body[offset] >> 3)
    _need(offset == size - 1, "length")
    return b"\x06" + body[:offset], body[offset:]


_READERS: Mapping[int, Callable[[bytes], Route]] = {
    AUTO_DISCOVERY: _read_auto_discovery,
    MAC_IP: _read_mac_ip,
    INCLUSIVE_MULTICAST: _read_inclusive_multicast,
    ETHERNET_SEGMENT: _read_ethernet_segment,
    IP_PREFIX: _read_ip_prefix,
    SELECTIVE_MULTICAST: _read_selective_multicast,
}


class EvpnCodec:
    """Types above 6 and bodies with another layout are named in `faults` and left out."""

    __slots__ = ()

    def read(self, data: bytes, withdrawn: bool = False, faults: list[str] | None = None) -> list[Route]:
        routes: list[Route] = []
        offset, end = 0, len(data)
        while offset < end:
            after = offset + 2 + data[offset + 1] if offset + 1 < end else end + 1
            if after > end:
                raise overrun("e-vpn", offset, data)
            reader = _READERS.get(data[offset])
            if reader is None:
                if faults is not None:
                    faults.append(f"e-vpn: route type {data[offset]} ignored")
            else:
                try:
                    route = reader(data[offset + 2 : after])
                except _Bad as fault:
                    if faults is not None:
                        faults.append(f"e-vpn: route {data[offset:after].hex()} ignored: {fault}")
                else:
                    routes.append((route[0], b"") if withdrawn else route)
            offset = after
        return routes

    def write(self, key: bytes, payload: bytes) -> bytes:
        if key[0] == MAC_IP:
            size = BYTE[len(key) + len(payload)]
            return b"".join(
                (b"\x02", size, key[1:9], payload[:10], key[9:13], _MAC_BITS, key[13:], payload[10:])
            )
        body = key[1:9] + payload[:10] + key[9:] + payload[10:] if key[0] == IP_PREFIX else key[1:] + payload
        return key[:1] + BYTE[len(body)] + body

    def write_all(self, routes: Iterable[Route]) -> list[bytes]:
        write = self.write
        return [write(key, payload) for key, payload in routes]

    def write_withdrawn(self, key: bytes, label: bytes = WITHDRAWN) -> bytes:
        """The ESI and the gateway, which the key does not know, go out as zero."""
        return self.write(key, withdrawn_payload(key, label))

    def text(self, key: bytes) -> str:
        return evpn_text(key)

    def key(self, text: str) -> bytes:
        return evpn_key(text)


def withdrawn_payload(key: bytes, label: bytes) -> bytes:
    """What stands in the payload's place when the route of this key is withdrawn."""
    kind = key[0]
    if kind == AUTO_DISCOVERY:
        return label
    if kind == MAC_IP:
        return esi.ZERO + label
    if kind == IP_PREFIX:
        return esi.ZERO + bytes(len(key) - 14) + label
    if kind == SELECTIVE_MULTICAST:
        return SELECTIVE_MULTICAST_FLAGS
    return b""


def vni(key: bytes, label: int, tag_as_vni: bool) -> int:
    """The VNI or label that counts for a route read with VXLAN encapsulation (reference/bgp.md 2.3).

    `tag_as_vni`: a non-zero Ethernet tag of at most 24 bits replaces the label in types 1 to 3 (old Junos). A
    per-segment auto-discovery route has label 0.
    """
    kind = key[0]
    if kind == AUTO_DISCOVERY:
        if key[19:23] == MAX_TAG:
            return 0
        tag = int.from_bytes(key[19:23], "big")
    elif kind in (MAC_IP, INCLUSIVE_MULTICAST):
        tag = int.from_bytes(key[9:13], "big")
    else:
        return label
    return tag if tag_as_vni and 0 < tag <= 0xFFFFFF else label


def contrail_view(routes: list[Route], faults: list[str]) -> list[Route]:
    """What a control node makes of prefix routes: Ethernet tag read as 0, ESI and gateway must be zero."""
    if not any(key[0] == IP_PREFIX for key, _ in routes):
        return routes
    kept: list[Route] = []
    for key, payload in routes:
        if key[0] == IP_PREFIX:
            if any(payload[:-3]):
                faults.append(f"e-vpn: {evpn_text(key)} ignored: ESI or gateway is not zero")
                continue
            key = key[:9] + bytes(4) + key[13:]
        kept.append((key, payload))
    return kept
