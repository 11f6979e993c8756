"""Whether a packet came from where a next hop says its source is (reference/vrouter.md 7.5, 7.8)."""

from __future__ import annotations

from enum import Enum

from ..flags import NhFlag, NhType
from ..packet import Packet
from ..tables.next_hop import NextHopEntry


class Source(Enum):
    """VALID also for next hops that have no check; MISMATCH: another member of an ECMP group matches."""

    VALID = 0
    INVALID = 1
    MISMATCH = 2


_CHECKED_TUNNELS = int(NhFlag.TUNNEL_GRE | NhFlag.TUNNEL_UDP_MPLS | NhFlag.TUNNEL_VXLAN)
_MAX_NESTING = 4


def check_source(next_hop: NextHopEntry, packet: Packet) -> tuple[Source, int]:
    """(verdict, index of the ECMP member that matches when the verdict is MISMATCH, else -1)."""
    return _check(next_hop, packet, _MAX_NESTING)


def has_check(next_hop: NextHopEntry) -> bool:
    if next_hop.type is NhType.ENCAP:
        return True
    if next_hop.type is NhType.TUNNEL:
        return bool(next_hop.flags & _CHECKED_TUNNELS) and not next_hop.has(NhFlag.TUNNEL_UDP)
    return next_hop.type is NhType.COMPOSITE and next_hop.has(NhFlag.COMPOSITE_ECMP)


def _check(next_hop: NextHopEntry, packet: Packet, nesting: int) -> tuple[Source, int]:
    if not has_check(next_hop):
        return Source.VALID, -1
    if next_hop.type is NhType.ENCAP:
        packet.etree_root = next_hop.has(NhFlag.ETREE_ROOT)
        return (Source.VALID if next_hop.device is packet.vif else Source.INVALID), -1
    if next_hop.type is NhType.TUNNEL:
        return (Source.VALID if next_hop.tunnel_destination == packet.outer_source else Source.INVALID), -1
    return _check_ecmp(next_hop, packet, nesting) if nesting else (Source.INVALID, -1)


def _check_ecmp(next_hop: NextHopEntry, packet: Packet, nesting: int) -> tuple[Source, int]:
    """The recorded member must match; if it is gone or does not, another one may."""
    recorded = packet.ecmp_src_nh_index
    if 0 <= recorded < len(next_hop.components):
        member = next_hop.components[recorded].next_hop
        if member is not None and has_check(member):
            verdict, _ = _check(member, packet, nesting - 1)
            if verdict is not Source.INVALID:
                return Source.VALID, -1
    for component in next_hop.active:
        member = component.next_hop
        if component.index == recorded or member is None or not member.valid or not has_check(member):
            continue
        verdict, inner = _check(member, packet, nesting - 1)
        if verdict is Source.VALID:
            return Source.MISMATCH, component.index
        if verdict is Source.MISMATCH:
            return Source.MISMATCH, inner
    return Source.INVALID, -1
