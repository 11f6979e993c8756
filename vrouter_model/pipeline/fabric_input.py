"""A frame from the physical network or from the host (reference/vrouter.md 7.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..packet import ARP, IP, IP6, Packet
from . import arp, interface_output, l3_input

if TYPE_CHECKING:
    from ..vrouter import VRouter


def fabric_input(vr: VRouter, packet: Packet, vlan: int) -> None:
    """IPv4 and ARP of the underlay are looked at; everything else is the host's."""
    vif = packet.vif
    packet.vlan = vlan
    packet.dvrf = vif.vrf
    if not packet.classify():
        vif.ierrors += 1
        vr.drop(packet, Drop.INTERFACE_DROP)
        return
    if packet.type == IP6 and not vr.ip6_underlay:
        interface_output.cross_connect(vr, packet)
        return
    if packet.multicast and packet.type != ARP:
        interface_output.cross_connect(vr, packet)
        return
    dmac = packet.data[:6]
    packet.strip_link()
    if packet.type == ARP:
        handled = arp.arp_input(vr, packet, dmac)
    elif packet.type in (IP, IP6):
        l3_input.l3_input(vr, packet)
        handled = True
    else:
        handled = False
    if not handled:
        interface_output.cross_connect(vr, packet)
