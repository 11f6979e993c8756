"""Control packets inside a flood: ARP, DHCP, IGMP and neighbour discovery (reference/vrouter.md 7.8)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ..flags import NO_VLAN, AgentCommand, BridgeFlag
from ..packet import ARP, IP, IP6, TOR_EVPN_SOURCE, Packet
from . import arp, neighbour
from .trap import trap
from .well_known import Kind, well_known

if TYPE_CHECKING:
    from ..vrouter import VRouter

_FROM_MACHINE, _FROM_TOR, _FROM_INGRESS_REPLICATION = 0, 1, 2
_MACS = 12


class Verdict(Enum):
    """TAKEN: answered or trapped. FLOOD: to everyone. FLOOD_FABRIC_ONLY: machines must not see it."""

    TAKEN = 0
    FLOOD = 1
    FLOOD_FABRIC_ONLY = 2


def handle(vr: VRouter, packet: Packet, source: int) -> Verdict:
    """`packet.data` has its link layer header (and the tree's headers before it); it is left as it was."""
    if packet.vlan != NO_VLAN:
        return Verdict.FLOOD
    if packet.type not in (ARP, IP, IP6):
        return Verdict.FLOOD
    start = 36 if packet.tree_header else 0
    macs = packet.data[start : start + _MACS]
    entry = vr.store.bridge.lookup(packet.dvrf, macs[6:])
    evpn_control = (
        source == _FROM_INGRESS_REPLICATION
        and entry is not None
        and entry.has(BridgeFlag.EVPN_CONTROL_PROCESSING)
    )
    packet.strip_link()
    if packet.type == ARP:
        verdict = _arp(vr, packet, macs[:6], source, evpn_control)
    else:
        dhcp_floods = entry is not None and entry.has(BridgeFlag.FLOOD_DHCP)
        served = evpn_control or source in (_FROM_MACHINE, _FROM_TOR)
        verdict = _ip(vr, packet, macs[:6], source, served, dhcp_floods)
    if verdict is not Verdict.TAKEN:
        packet.restore_link()
    return verdict


def _arp(vr: VRouter, packet: Packet, dmac: bytes, source: int, evpn_control: bool) -> Verdict:
    if evpn_control:
        packet.src = TOR_EVPN_SOURCE
    message = arp.read(packet.data)
    if arp.arp_input(vr, packet, dmac):
        return Verdict.TAKEN
    if source == _FROM_MACHINE or message is None:
        return Verdict.FLOOD
    # To machines the agent is the gateway: they must not learn another MAC for it.
    sender = vr.store.inet.lookup(packet.dvrf, message.spa)
    return Verdict.FLOOD_FABRIC_ONLY if sender.next_hop.is_gateway else Verdict.FLOOD


def _ip(vr: VRouter, packet: Packet, dmac: bytes, source: int, served: bool, dhcp_floods: bool) -> Verdict:
    kind = Kind.UNKNOWN
    if packet.type == IP6 or source in (_FROM_TOR, _FROM_INGRESS_REPLICATION):
        kind = well_known(packet)
    if kind is Kind.UNKNOWN:
        return Verdict.FLOOD
    if served:
        if kind is Kind.NEIGHBOUR_ADVERTISEMENT:
            trap(vr, vr.clone(packet), packet.dvrf, AgentCommand.L3_PROTOCOLS)
            return Verdict.FLOOD
        if kind is not Kind.NEIGHBOUR_SOLICITATION and not (kind is Kind.DHCP_REQUEST and dhcp_floods):
            trap(vr, packet, packet.dvrf, AgentCommand.L3_PROTOCOLS)
            return Verdict.TAKEN
    if kind is Kind.NEIGHBOUR_SOLICITATION:
        sender = int.from_bytes(packet.data[8:24], "big")
        if neighbour.neighbour_input(vr, packet, dmac):
            return Verdict.TAKEN
        if source != _FROM_MACHINE and vr.store.inet6.lookup(packet.dvrf, sender).next_hop.is_gateway:
            return Verdict.FLOOD_FABRIC_ONLY
    return Verdict.FLOOD
