"""Routing: IPv4 and IPv6 input and the longest prefix match (reference/vrouter.md 7.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import checksum
from ..drops import Drop
from ..encapsulation import PROTO_ICMP6, PROTO_UDP
from ..flags import AgentCommand, NhType
from ..packet import IP, IP6, MAX_HOPS, Packet
from . import output, receive
from .flow_lookup import flow_forward
from .trap import trap
from .well_known import DHCP6_CLIENT_PORT, DHCP6_SERVER_PORT, ICMP6_ROUTER_SOLICITATION

if TYPE_CHECKING:
    from ..vrouter import VRouter

_DHCP6_PORTS = DHCP6_CLIENT_PORT.to_bytes(2, "big") + DHCP6_SERVER_PORT.to_bytes(2, "big")


def l3_input(vr: VRouter, packet: Packet) -> None:
    """`packet.data` starts with an IPv4 or IPv6 header, by `packet.type`."""
    if packet.type == IP:
        _ip_input(vr, packet)
    else:
        _ip6_input(vr, packet)


def _ip_input(vr: VRouter, packet: Packet) -> None:
    head = packet.data[0]
    if head >> 4 == 4 and head & 0xF < 5:
        vr.drop(packet, Drop.INVALID_PROTOCOL)
        return
    if packet.to_me_interface:
        receive.ip_receive(vr, packet)
    elif flow_forward(vr, packet):
        forward(vr, packet)


def _ip6_input(vr: VRouter, packet: Packet) -> None:
    data = packet.data
    following = data[6]
    solicits_router = following == PROTO_ICMP6 and len(data) > 40 and data[40] == ICMP6_ROUTER_SOLICITATION
    asks_dhcp = following == PROTO_UDP and packet.vif.virtual and data[40:44] == _DHCP6_PORTS
    if solicits_router or asks_dhcp:
        trap(vr, packet, packet.dvrf, AgentCommand.L3_PROTOCOLS)
    else:
        forward(vr, packet)


def forward(vr: VRouter, packet: Packet) -> None:
    """Route the packet in `packet.dvrf`. IPv4 loses one from its TTL; IPv6 keeps its hop limit, as the vRouter does."""
    packet.hops += 1
    if packet.hops > MAX_HOPS:
        vr.drop(packet, Drop.PKT_LOOP)
        return
    data = packet.data
    version = data[0] >> 4 if len(data) >= 20 else 0
    if version == 4:
        if not data[8]:
            vr.drop(packet, Drop.TTL_EXCEEDED)
            return
        packet.type = IP
        packet.ttl = data[8]
        route = vr.store.inet.lookup(packet.dvrf, int.from_bytes(data[16:20], "big"))
    elif version == 6 and len(data) >= 40:
        packet.type = IP6
        packet.ttl = data[7]
        route = vr.store.inet6.lookup(packet.dvrf, int.from_bytes(data[24:40], "big"))
    else:
        vr.drop(packet, Drop.INVALID_PROTOCOL)
        return
    next_hop = route.next_hop
    if route.label >= 0:
        packet.label = route.label
    translates = next_hop.type is NhType.VRF_TRANSLATE and next_hop.inet
    if version == 4 and not translates and not next_hop.is_gateway:
        packet.ttl -= 1
        packet.data = decrement_ttl(data)
    output.output(vr, packet, next_hop)


def decrement_ttl(data: bytes) -> bytes:
    """The IPv4 packet with one less TTL and its header checksum brought up to date."""
    old = data[8:10]
    new = bytes((data[8] - 1, data[9]))
    value = checksum.update(data[10] << 8 | data[11], old, new)
    return data[:8] + new + value.to_bytes(2, "big") + data[12:]
