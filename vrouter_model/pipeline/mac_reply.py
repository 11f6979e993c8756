"""Sending an answer the proxy made: an ARP reply or a neighbour advertisement (reference/vrouter.md 7.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import NO_LABEL, NO_VLAN
from ..packet import Packet
from . import interface_output, output

if TYPE_CHECKING:
    from ..vrouter import VRouter


def send(vr: VRouter, packet: Packet, frame: bytes) -> None:
    """`frame` answers `packet`: out of the ingress interface, or through the bridge table when it came by a tunnel."""
    vif = packet.vif
    packet.data = frame
    packet.label = NO_LABEL
    packet.label_is_vni = False
    packet.vlan = NO_VLAN
    packet.outer_source = 0
    packet.tree_header = False
    packet.classify()
    packet.flow_set = True
    if vif.vhost or (vif.fabric and not packet.dvrf) or vif.no_arp_proxy or vif.mac_proxy:
        interface_output.transmit(vr, vif, packet)
        return
    entry = vr.store.bridge.lookup(packet.dvrf, frame[:6])
    if entry is None and vif.virtual:  # a network that only routes has no bridge entries for its machines
        interface_output.transmit(vr, vif, packet)
        return
    if entry is None or not entry.next_hop.valid:
        vr.drop(packet, Drop.INVALID_NH)
        return
    packet.label = entry.label
    if vif.virtual and entry.next_hop.device is not vif:
        interface_output.transmit(vr, vif, packet)
    else:
        output.output(vr, packet, entry.next_hop)
