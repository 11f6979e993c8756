"""Bridging: trap what the agent serves, answer unicast ARP, look up the destination MAC (reference/vrouter.md 7.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import BROADCAST_MAC, AgentCommand, BridgeFlag, NhFlag, NhType
from ..packet import ARP, IP, IP6, Packet
from ..tables.next_hop import NextHopEntry
from . import arp, explain, l3_input, mac_learning, mss, neighbour, output
from .trap import trap
from .well_known import Kind, well_known

if TYPE_CHECKING:
    from ..vrouter import VRouter

OVERLAY = 40
L2_OVERLAY = 62
PBB_OVERLAY = 14 + 4 + 5
_CONTROL_DATA = int(BridgeFlag.L2_CONTROL_DATA)


def bridge_input(vr: VRouter, packet: Packet) -> None:
    """`packet.data` starts with the inner Ethernet header; `packet.dvrf` is the VRF to bridge in."""
    vif = packet.vif
    if not packet.to_me and (vif.mac_learn or (packet.next_hop is not None and packet.next_hop.mac_learn)):
        mac_learning.learn(vr, packet, packet.data[:12])
    if packet.to_me:
        _route(vr, packet)
        return
    if vif.virtual and (packet.multicast or packet.type in (ARP, IP6)) and _intercept(vr, packet):
        return
    next_hop = _look_up(vr, packet)
    if next_hop is None:
        vr.drop(packet, Drop.L2_NO_ROUTE, explain.no_mac(packet))
        return
    if packet.type in (IP, IP6):
        if vif.virtual:
            overlay = OVERLAY if next_hop.type is NhType.L2_RCV else L2_OVERLAY
            mss.clamp(vr, packet, overlay + (PBB_OVERLAY if next_hop.has(NhFlag.TUNNEL_PBB) else 0))
        unicast = not packet.data[0] & 1
        if vif.fabric and unicast and next_hop.type is NhType.TUNNEL and not vif.fabric_gateway:
            vr.drop(packet, Drop.INVALID_SOURCE)
            return
    output.output(vr, packet, next_hop)


def _route(vr: VRouter, packet: Packet) -> None:
    """A flow translated the VRF: the packet is routed, whatever its destination MAC."""
    if packet.type not in (IP, IP6):
        vr.drop(packet, Drop.NOWHERE_TO_GO)
        return
    if packet.vif.virtual:
        mss.clamp(vr, packet, OVERLAY)
    packet.strip_link()
    l3_input.l3_input(vr, packet)


def _intercept(vr: VRouter, packet: Packet) -> bool:
    """What a machine sent and the agent or the proxy answers. True when the packet was taken."""
    vif = packet.vif
    kind = well_known(packet)
    if (kind is Kind.DHCP_REQUEST and vif.dhcp_enabled) or (kind is Kind.IGMP and vif.igmp_enabled):
        trap(vr, packet, packet.dvrf, AgentCommand.L3_PROTOCOLS)
        return True
    if packet.multicast and not vif.mac_proxy:
        return False
    if packet.type == ARP:
        answer = arp.arp_input
    elif kind is Kind.NEIGHBOUR_SOLICITATION or (packet.type == IP6 and not packet.multicast):
        answer = neighbour.neighbour_input
    else:
        return False
    dmac = packet.data[:6]
    packet.strip_link()
    if answer(vr, packet, dmac):
        return True
    packet.restore_link()
    return False


def _look_up(vr: VRouter, packet: Packet) -> NextHopEntry | None:
    """The next hop of the destination MAC; for an unknown unicast MAC the broadcast next hop where flooding is on."""
    vif = packet.vif
    dmac = packet.data[:6]
    table = vr.store.bridge
    if not dmac[0] & 1:
        entry = table.lookup(packet.dvrf, dmac)
    else:
        if vif.mcast_vrf != 65535:
            packet.dvrf = vif.mcast_vrf
        from_tap = (vif.virtual or vif.agent) and not vif.igmp_enabled
        if packet.type != IP or from_tap:
            dmac = BROADCAST_MAC
        entry = table.lookup(packet.dvrf, dmac) or table.lookup(packet.dvrf, BROADCAST_MAC)
    if entry is None or entry.next_hop.type is NhType.DISCARD:
        if packet.data[0] & 1 or not _flood_unknown_unicast(packet):
            return None
        entry = table.lookup(packet.dvrf, BROADCAST_MAC)
        if entry is None:
            return None
        vr.vrf_stats[packet.dvrf]["uuc_floods"] += 1
        packet.multicast = True
    entry.packets += 1
    if entry.label >= 0:
        packet.label = entry.label
        packet.label_is_vni = False
    if entry.flags & _CONTROL_DATA:
        packet.l2_control_data = True
    return entry.next_hop


def _flood_unknown_unicast(packet: Packet) -> bool:
    if packet.vif.virtual:
        return packet.vif.unknown_unicast_flood
    if packet.vif.fabric:
        return packet.next_hop is not None and packet.next_hop.unknown_unicast_flood
    return False
