"""A frame from a machine (reference/vrouter.md 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import NO_VLAN, AgentCommand
from ..packet import ARP, Packet
from . import arp, bridge_input
from .flow_lookup import flow_forward
from .trap import trap

if TYPE_CHECKING:
    from ..vrouter import VRouter


def virtual_input(vr: VRouter, packet: Packet, vrf: int, vlan: int = NO_VLAN) -> None:
    """Classify, learn, look up the flow, then bridge or route."""
    vif = packet.vif
    packet.vlan = vlan
    packet.dvrf = vrf
    if not packet.classify():
        vif.ierrors += 1
        vr.drop(packet, Drop.INTERFACE_DROP)
        return
    if packet.multicast and vif.service and packet.type != ARP:
        vif.ierrors += 1
        vr.drop(packet, Drop.INTERFACE_DROP)
        return
    if vif.mac_ip_learning and vif.l2_enabled and _address_is_new(vr, packet):
        trap(vr, packet, packet.dvrf, AgentCommand.MAC_IP_LEARNING)
        return
    if flow_forward(vr, packet):
        bridge_input.bridge_input(vr, packet)


def _address_is_new(vr: VRouter, packet: Packet) -> bool:
    """Whether an ARP sender is unknown: with routing by its address and stitched MAC, else by its MAC alone."""
    if packet.type != ARP:
        return False
    source = packet.data[6:12]
    if not packet.vif.l3_enabled:
        return vr.store.bridge.lookup(packet.dvrf, source) is None
    sender = arp.read(packet.data[packet.network :])
    if sender is None:
        return False
    route = vr.store.inet.lookup(packet.dvrf, sender.spa)
    if route.next_hop.id == 0 or route.prefix_len != 32:
        return True
    known = route.mac if any(route.mac) else route.next_hop.encap[:6]
    return known != source
