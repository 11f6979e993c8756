"""Recognising the protocols an agent serves: DHCP, IGMP, neighbour discovery (reference/vrouter.md 7.2, 7.8)."""

from __future__ import annotations

from enum import Enum

from ..encapsulation import PROTO_ICMP6, PROTO_IGMP, PROTO_UDP
from ..packet import IP, IP6, Packet

DHCP_CLIENT_PORT = 68
DHCP6_CLIENT_PORT = 546
DHCP6_SERVER_PORT = 547
ICMP6_ROUTER_SOLICITATION = 133
ICMP6_NEIGHBOUR_SOLICITATION = 135
ICMP6_NEIGHBOUR_ADVERTISEMENT = 136


class Kind(Enum):
    """What a multicast packet turned out to be."""

    UNKNOWN = 0
    DHCP_REQUEST = 1
    IGMP = 2
    ROUTER_SOLICITATION = 3
    NEIGHBOUR_SOLICITATION = 4
    NEIGHBOUR_ADVERTISEMENT = 5


_ICMP6_KINDS = {
    ICMP6_ROUTER_SOLICITATION: Kind.ROUTER_SOLICITATION,
    ICMP6_NEIGHBOUR_SOLICITATION: Kind.NEIGHBOUR_SOLICITATION,
    ICMP6_NEIGHBOUR_ADVERTISEMENT: Kind.NEIGHBOUR_ADVERTISEMENT,
}


def well_known(packet: Packet) -> Kind:
    """Only multicast frames are looked at; a unicast one goes by the tables."""
    if not packet.multicast:
        return Kind.UNKNOWN
    if packet.type == IP:
        return _inet(packet.data, packet.network)
    if packet.type == IP6:
        return _inet6(packet.data, packet.network)
    return Kind.UNKNOWN


def _inet(data: bytes, start: int) -> Kind:
    protocol = data[start + 9]
    if protocol == PROTO_UDP and not (data[start + 6] & 0x1F or data[start + 7]):
        transport = start + (data[start] & 0xF) * 4
        if int.from_bytes(data[transport : transport + 2], "big") == DHCP_CLIENT_PORT:
            return Kind.DHCP_REQUEST
    return Kind.IGMP if protocol == PROTO_IGMP else Kind.UNKNOWN


def _inet6(data: bytes, start: int) -> Kind:
    if data[start + 24 : start + 26] != b"\xff\x02":
        return Kind.UNKNOWN
    following = data[start + 6]
    if following == PROTO_ICMP6 and len(data) > start + 40:
        return _ICMP6_KINDS.get(data[start + 40], Kind.UNKNOWN)
    if following == PROTO_UDP and int.from_bytes(data[start + 40 : start + 42], "big") == DHCP6_CLIENT_PORT:
        return Kind.DHCP_REQUEST
    return Kind.UNKNOWN
