"""A frame from a machine (reference/vrouter.md 7.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import NO_VLAN, AgentCommand
from ..packet import ARP, IP6, Packet
from . import arp, bridge_input, neighbour
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
    """Whether the sender of an ARP or neighbour message is unknown.

    With routing by its host route and the MAC stitched to it, on a bridge-only interface (ARP) by its MAC alone.
    """
    source = packet.data[6:12]
    if not packet.vif.l3_enabled:
        return packet.type == ARP and vr.store.bridge.lookup(packet.dvrf, source) is None
    if packet.type == ARP:
        sender = arp.read(packet.data[packet.network :])
        if sender is None:
            return False
        route, length = vr.store.inet.lookup(packet.dvrf, sender.spa), 32
    elif packet.type == IP6 and neighbour.is_discovery(packet):
        address = packet.data[packet.network + 8 : packet.network + 24]
        if not any(address):
            return False
        route, length = vr.store.inet6.lookup(packet.dvrf, int.from_bytes(address, "big")), 128
    else:
        return False
    if route.next_hop.id == 0 or route.prefix_len != length:
        return True
    known = route.mac if any(route.mac) else route.next_hop.encap[:6]
    return known != source
