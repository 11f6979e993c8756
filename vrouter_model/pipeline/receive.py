"""A packet for this host itself: take tunnels apart, give the rest to the host (reference/vrouter.md 7.4, 7.11)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..encapsulation import GRE_MPLS, MPLS_UDP_PORTS, PROTO_GRE, PROTO_ICMP, PROTO_TCP, PROTO_UDP, VXLAN_PORT
from ..flags import AgentCommand, NhType
from ..packet import IP, Packet
from ..tables.interface import Interface
from . import interface_output, l3_input, tunnel_input
from .flow_lookup import flow_forward
from .trap import trap

if TYPE_CHECKING:
    from ..vrouter import VRouter

_GRE_CHECKSUM, _GRE_KEY = 0x8000, 0x2000
_ICMP_ERRORS = frozenset((3, 11))


def ip_receive(vr: VRouter, packet: Packet) -> None:
    """`packet.data` starts with the IPv4 header of a packet addressed to this host."""
    data = packet.data
    if data[0] & 0xF < 5:
        vr.drop(packet, Drop.INVALID_PROTOCOL)
        return
    if packet.next_hop is not None or _is_mine(vr, packet):
        protocol, at = data[9], (data[0] & 0xF) * 4
        if not (data[6] & 0x1F or data[7]):
            if protocol == PROTO_UDP and _udp_input(vr, packet, at):
                return
            if protocol == PROTO_GRE and _gre_input(vr, packet, at):
                return
            if protocol == PROTO_ICMP and _icmp_input(vr, packet, at):
                return
    deliver(vr, packet)


def _is_mine(vr: VRouter, packet: Packet) -> bool:
    if not packet.vif.fabric:
        return True
    destination = int.from_bytes(packet.data[16:20], "big")
    return vr.store.inet.lookup(packet.vif.vrf, destination).next_hop.type is NhType.RCV


def _udp_input(vr: VRouter, packet: Packet, at: int) -> bool:
    data = packet.data
    if len(data) < at + 8:
        vr.drop(packet, Drop.PULL)
        return True
    port = data[at + 2] << 8 | data[at + 3]
    if port in MPLS_UDP_PORTS:
        tunnel_input.mpls_input(vr, packet, at + 8)
    elif port == VXLAN_PORT:
        tunnel_input.vxlan_input(vr, packet, at + 8)
    else:
        return False
    return True


def _gre_input(vr: VRouter, packet: Packet, at: int) -> bool:
    data = packet.data
    if len(data) < at + 4:
        vr.drop(packet, Drop.PULL)
        return True
    flags = data[at] << 8 | data[at + 1]
    if flags & ~(_GRE_CHECKSUM | _GRE_KEY) or data[at + 2 : at + 4] != GRE_MPLS[2:]:
        return False
    tunnel_input.mpls_input(vr, packet, at + 4 + 4 * bool(flags & _GRE_CHECKSUM) + 4 * bool(flags & _GRE_KEY))
    return True


def _icmp_input(vr: VRouter, packet: Packet, at: int) -> bool:
    """An ICMP error about one of our own tunnels is the agent's."""
    data = packet.data
    inner = at + 8
    if len(data) < inner + 20 or data[at] not in _ICMP_ERRORS:
        return False
    if data[inner + 9] == PROTO_UDP:
        ports = inner + (data[inner] & 0xF) * 4
        if len(data) < ports + 4 or data[ports + 2] << 8 | data[ports + 3] not in MPLS_UDP_PORTS:
            return False
    elif data[inner + 9] != PROTO_GRE:
        return False
    trap(vr, packet, packet.vif.vrf, AgentCommand.ICMP_ERROR)
    return True


def deliver(vr: VRouter, packet: Packet) -> None:
    """To the interface of the RCV next hop, else to the host; a policy there comes first."""
    next_hop = packet.next_hop
    vif: Interface | None = None if next_hop is None else next_hop.device
    if vif is not None and not packet.flow_set and not packet.to_me_interface and not packet.mirrored:
        relaxed = _relaxed_policy_applies(vr, packet)
        if (vif.vhost and vif.policy) or relaxed:
            packet.flow_get = True
            if not flow_forward(vr, packet):
                return
            if packet.to_me or relaxed:
                _route_again(vr, packet)
                return
    if vif is None:
        partners = packet.vif.xconnect_vifs
        vif = partners[0] if partners else vr.store.vhost
    if vif is None:
        vr.drop(packet, Drop.TRAP_NO_IF)
        return
    if packet.mirrored or not packet.link:
        packet.data = vif.mac + vif.mac + (b"\x08\x00" if packet.type == IP else b"\x86\xdd") + packet.data
        packet.network = 14
    else:
        packet.restore_link()
    interface_output.transmit(vr, vif, packet)


def _route_again(vr: VRouter, packet: Packet) -> None:
    packet.local_ttl -= 1
    if packet.local_ttl <= 0:
        vr.drop(packet, Drop.PKT_LOOP)
    else:
        l3_input.l3_input(vr, packet)


def _relaxed_policy_applies(vr: VRouter, packet: Packet) -> bool:
    """Without a policy on the host only answers to ports bound for link-local and BGP services meet the flow table."""
    next_hop = packet.next_hop
    if next_hop is None or not next_hop.relaxed_policy or packet.type != IP:
        return False
    data = packet.data
    protocol, at = data[9], (data[0] & 0xF) * 4
    if protocol not in (PROTO_TCP, PROTO_UDP, PROTO_ICMP) or data[6] & 0x1F or data[7] or len(data) < at + 8:
        return False
    if protocol == PROTO_ICMP:
        if data[at] not in (0, 8):
            return False
        port = data[at + 4] << 8 | data[at + 5]
    else:
        port = data[at + 2] << 8 | data[at + 3]
    return vr.flows.port_is_bound(protocol, port)
