"""Sending a frame out of an interface (reference/vrouter.md 2, transmit paths)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import NO_VLAN, AgentCommand, VifType
from ..packet import ARP, ETHERTYPE_VLAN, IP6, Packet
from ..tables.interface import Interface
from . import arp, mirror, neighbour
from .trap import send_to_agent

if TYPE_CHECKING:
    from ..vrouter import VRouter


def transmit(vr: VRouter, vif: Interface, packet: Packet) -> None:
    """Send `packet.data`, link layer header first. The packet ends here."""
    if not vif.alive:
        vr.drop(packet, Drop.INTERFACE_TX_DISCARD)
    elif vif.virtual:
        _transmit_virtual(vr, vif, packet)
    elif vif.agent:
        send_to_agent(vr, packet, AgentCommand.NEXTHOP, b"")
    else:
        if vif.mirror_tx:
            mirror.mirror_interface(vr, vif, packet, received=False)
        if vif.vhost:
            packet.data = _for_host(vif, packet)
        elif packet.mirror_vlan != NO_VLAN:
            packet.data = _tagged(packet.data, packet.mirror_vlan)
        _hand_over(vr, vif, packet)


def cross_connect(vr: VRouter, packet: Packet) -> None:
    """Pass the frame as it came between a physical interface and the host."""
    partners = packet.vif.xconnect_vifs
    if not partners:
        packet.vif.ierrors += 1
        vr.drop(packet, Drop.INTERFACE_DROP)
        return
    packet.data = packet.frame
    packet.link = b""
    transmit(vr, partners[0], packet)


def _transmit_virtual(vr: VRouter, vif: Interface, packet: Packet) -> None:
    if answer_instead(vr, packet):
        return
    if vif.mirror_tx:
        mirror.mirror_interface(vr, vif, packet, received=False)
    if vif.parent is None:
        _hand_over(vr, vif, packet)
        return
    if vif.row.ovlan_id not in (0, NO_VLAN):
        packet.data = _tagged(packet.data, max(packet.dotonep, 0) << 13 | vif.row.ovlan_id)
    if not vif.parent.alive:
        vr.drop(packet, Drop.INTERFACE_TX_DISCARD)
        return
    vif.obytes += len(packet.data)
    vif.opackets += 1
    _hand_over(vr, vif.parent, packet, counted=False)


def _tagged(frame: bytes, tag: int) -> bytes:
    return frame[:12] + ETHERTYPE_VLAN.to_bytes(2, "big") + (tag & 0xFFFF).to_bytes(2, "big") + frame[12:]


def answer_instead(vr: VRouter, packet: Packet) -> bool:
    """A unicast ARP request or neighbour solicitation on its way to a machine is answered here when routes say so."""
    if packet.multicast or packet.type not in (ARP, IP6) or not packet.network:
        return False
    dmac = packet.data[:6]
    packet.strip_link()
    handled = arp.arp_input(vr, packet, dmac) if packet.type == ARP else neighbour.neighbour_input(vr, packet, dmac)
    if not handled:
        packet.restore_link()
    return handled


def _for_host(vif: Interface, packet: Packet) -> bytes:
    """The host gets frames untagged, and those of machines addressed to its own MAC."""
    data = packet.data
    if vif.type is VifType.XEN_LL_HOST:
        return vif.mac + data[6:]
    if vif.type is not VifType.HOST or len(data) < 14:
        return data
    pulled = 0
    while data[12 + pulled] << 8 | data[13 + pulled] == ETHERTYPE_VLAN and len(data) >= 18 + pulled:
        pulled += 4
    macs = vif.mac + data[6:12] if packet.vif.virtual else data[:12]
    return macs + data[12 + pulled :]


def _hand_over(vr: VRouter, vif: Interface, packet: Packet, counted: bool = True) -> None:
    if vif.transmit is None:
        vif.oerrors += 1
        vr.drop(packet, Drop.INTERFACE_TX_DISCARD)
        return
    if counted:
        vif.obytes += len(packet.data)
        vif.opackets += 1
    vr.totals.sent += 1
    vif.transmit(packet.data)
