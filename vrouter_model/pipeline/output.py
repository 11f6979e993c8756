"""A packet has met a next hop: policy first, then what its type does (reference/vrouter.md 7.4, 7.11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import AgentCommand, NhFlag, NhType
from ..packet import ARP, IP, IP6, MAX_HOPS, PBB, Packet
from ..tables.next_hop import NextHopEntry
from . import arp, bridge_input, composite, encap, explain, interface_output, l3_input, neighbour, receive, tunnel
from .flow_lookup import flow_forward
from .trap import trap

if TYPE_CHECKING:
    from ..vrouter import VRouter


def output(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    """Send a packet to a next hop; first look up its flow when the next hop asks for policy and none was made yet."""
    if not packet.ttl:
        trap(vr, packet, packet.dvrf, AgentCommand.ZERO_TTL)
        return
    packet.hops += 1
    if packet.hops > MAX_HOPS:
        vr.drop(packet, Drop.PKT_LOOP)
        return
    packet.next_hop = next_hop
    if not next_hop.valid:
        vr.drop(packet, Drop.INVALID_NH)
        return
    if not packet.flow_set and (next_hop.policy or next_hop.flow_lookup) and packet.type in (IP, IP6):
        packet.flow_get = True
        if not flow_forward(vr, packet):
            return
        chosen = packet.next_hop
        if chosen is not next_hop:
            output(vr, packet, chosen)
            return
    reach(vr, packet, next_hop)


def reach(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    """What the type of the next hop does, without looking at flows again."""
    _REACH[next_hop.type](vr, packet, next_hop)


def _discard(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    vr.vrf_stats[packet.dvrf]["discards"] += 1
    vr.drop(packet, Drop.DISCARD, explain.no_route(packet))


def _resolve(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    """The agent resolves the address; a packet of the host goes out meanwhile with the header the host gave it."""
    vr.vrf_stats[packet.dvrf]["resolves"] += 1
    if packet.vif.xconnect_vifs:
        interface_output.cross_connect(vr, vr.clone(packet))
    trap(vr, packet, packet.dvrf, AgentCommand.RESOLVE)


def _l2_receive(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    """The destination MAC is the vRouter's own: route."""
    vr.vrf_stats[packet.dvrf]["l2_receives"] += 1
    packet.to_me = True
    dmac = packet.data[:6]
    packet.strip_link()
    if packet.type == IP:
        l3_input.l3_input(vr, packet)
    elif packet.type == IP6:
        if not neighbour.neighbour_input(vr, packet, dmac):
            l3_input.l3_input(vr, packet)
    elif packet.type != ARP or not arp.arp_input(vr, packet, dmac):
        vr.drop(packet, Drop.INVALID_PROTOCOL)


def _l3_receive(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    vr.vrf_stats[packet.dvrf]["receives"] += 1
    if packet.type == IP:
        receive.ip_receive(vr, packet)
    elif packet.type == IP6:
        receive.deliver(vr, packet)
    else:
        vr.drop(packet, Drop.INVALID_PROTOCOL)


def _vrf_translate(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    vr.vrf_stats[next_hop.vrf]["vrf_translates"] += 1
    packet.dvrf = next_hop.vrf
    if next_hop.inet:
        l3_input.forward(vr, packet)
        return
    if packet.type == PBB:
        vr.drop(packet, Drop.BMAC_ISID_MISMATCH)
        return
    if not packet.network:
        vr.drop(packet, Drop.INVALID_PACKET)
        return
    bridge_input.bridge_input(vr, packet)


def _composite(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    composite.replicate(vr, packet, next_hop)


def _tunnel(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    if next_hop.has(NhFlag.TUNNEL_PBB) or (next_hop.device is None and not next_hop.has(NhFlag.TUNNEL_UDP)):
        vr.drop(packet, Drop.INVALID_NH)
        return
    tunnel.send(vr, packet, next_hop)


_REACH: dict[NhType, Callable[[VRouter, Packet, NextHopEntry], None]] = {
    NhType.DEAD: _discard,
    NhType.RCV: _l3_receive,
    NhType.ENCAP: encap.send,
    NhType.TUNNEL: _tunnel,
    NhType.RESOLVE: _resolve,
    NhType.DISCARD: _discard,
    NhType.COMPOSITE: _composite,
    NhType.VRF_TRANSLATE: _vrf_translate,
    NhType.L2_RCV: _l2_receive,
}
