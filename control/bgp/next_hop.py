"""The next-hop field of MP_REACH_NLRI: lengths per family, both ways (reference/bgp.md 2.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contrail_emulator.base.behaviour import Behaviour

from .family import Family

_MAPPED: Final = bytes(10) + b"\xff\xff"
"""What an IPv4 address is prefixed with in an IPv6 next hop."""
_ZERO_RD: Final = bytes(8)

STRICT_LENGTHS: Mapping[Family, frozenset[int]] = {
    Family.INET: frozenset((4,)),
    Family.INET_LABELED: frozenset((4,)),
    Family.ROUTE_TARGET: frozenset((4,)),
    Family.ERM_VPN: frozenset((4,)),
    Family.INET_MVPN: frozenset((4,)),
    Family.E_VPN: frozenset((4,)),
    Family.INET_VPN: frozenset((12,)),
    Family.INET6: frozenset((16, 32)),
    Family.INET6_VPN: frozenset((24,)),
}
"""What a control node takes; anything else resets the session."""

RFC_LENGTHS: Mapping[Family, frozenset[int]] = {
    **STRICT_LENGTHS,
    Family.ROUTE_TARGET: frozenset((4, 16)),
    Family.INET_MVPN: frozenset((4, 16)),
    Family.E_VPN: frozenset((4, 16)),
    Family.INET6_VPN: frozenset((24, 48)),
}
"""RFC 4684, RFC 6515, RFC 7432 and RFC 4659 allow more. IPv6 next hops of IPv4 families need RFC 8950."""


def allowed_lengths(behaviour: Behaviour) -> Mapping[Family, frozenset[int]]:
    return STRICT_LENGTHS if behaviour.strict_next_hop_length else RFC_LENGTHS


def _unmapped(address: bytes) -> bytes:
    """The IPv4 address inside a mapped one, else the address itself."""
    return address[12:] if address[:12] == _MAPPED else address


def _is_link_local(address: bytes) -> bool:
    return address[0] == 0xFE and address[1] & 0xC0 == 0x80


def read_next_hop(family: Family, raw: bytes, behaviour: Behaviour) -> bytes:
    """4 or 16 bytes, or none where the family has no use for it; `raw` has an allowed length."""
    if family is Family.ERM_VPN:
        return b""
    if family is Family.INET_VPN:
        return raw[8:]
    if family is Family.INET6_VPN:
        address = _unmapped(raw[8:24])
        return b"" if len(address) == 16 and behaviour.ignore_unmapped_vpn6_next_hop else address
    if len(raw) == 32:
        usable = (_unmapped(half) for half in (raw[:16], raw[16:]))
        return next((address for address in usable if len(address) == 4 or not _is_link_local(address)), raw[:16])
    return _unmapped(raw) if len(raw) == 16 else raw


def write_next_hop(family: Family, next_hop: bytes) -> bytes:
    """The field for a 4- or 16-byte next hop. ValueError when the family cannot carry it."""
    size = len(next_hop)
    if family is Family.INET6 or family is Family.INET6_VPN:
        if size == 4:
            next_hop = _MAPPED + next_hop
        elif size != 16:
            raise ValueError(f"{family.config_name}: a next hop of {size} bytes")
        return next_hop if family is Family.INET6 else _ZERO_RD + next_hop
    if size != 4 and not (size == 16 and 16 in RFC_LENGTHS[family]):
        raise ValueError(f"{family.config_name}: a next hop of {size} bytes")
    return _ZERO_RD + next_hop if family is Family.INET_VPN else next_hop
