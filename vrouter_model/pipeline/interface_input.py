"""What each kind of interface does with a frame it received (reference/vrouter.md 2, driver receive paths)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import NO_VLAN, VRF_ASSIGN_VLANS
from ..packet import ETHERTYPE_VLAN, Packet
from ..tables.interface import Interface
from . import agent, fabric_input, interface_output, mirror, vm_input

if TYPE_CHECKING:
    from ..vrouter import VRouter


def receive(vr: VRouter, vif: Interface, packet: Packet) -> None:
    """Demultiplex by the kind of the interface."""
    if vif.virtual:
        if vif.parent is not None:
            _receive_sub_interface(vr, vif, packet)
        else:
            _receive_virtual(vr, vif, packet)
    elif vif.fabric:
        _receive_physical(vr, vif, packet)
    elif vif.vhost:
        _receive_host(vr, vif, packet)
    elif vif.agent:
        agent.receive(vr, packet.data)
    else:
        vr.drop(packet, Drop.INTERFACE_RX_DISCARD)


def _count(vif: Interface, packet: Packet) -> None:
    vif.ibytes += len(packet.data)
    vif.ipackets += 1


def first_tag(frame: bytes) -> int:
    """The VLAN id of an outermost 802.1Q tag, else NO_VLAN."""
    if len(frame) >= 16 and frame[12] << 8 | frame[13] == ETHERTYPE_VLAN:
        return (frame[14] << 8 | frame[15]) & 0xFFF
    return NO_VLAN


def _sub_interface(vif: Interface, vlan: int, frame: bytes) -> Interface | None:
    """A sub-interface by (VLAN, source MAC), or by the VLAN alone."""
    if not vif.sub_interfaces or vlan == NO_VLAN:
        return None
    return vif.sub_interfaces.get((vlan, frame[6:12])) or vif.sub_interfaces.get((vlan, b""))


def _receive_virtual(vr: VRouter, vif: Interface, packet: Packet) -> None:
    vlan = first_tag(packet.data)
    if vif.mirror_rx:
        mirror.mirror_interface(vr, vif, packet, received=True)
    if vif.service:
        _count(vif, packet)
        assigned = vif.vrf_assign.get(vlan)
        if vlan >= VRF_ASSIGN_VLANS:
            vm_input.virtual_input(vr, packet, vif.vrf, vlan)
        elif assigned is None:
            vif.ierrors += 1
            vr.drop(packet, Drop.INTERFACE_DROP)
        else:
            vm_input.virtual_input(vr, packet, assigned.vrf, vlan)
        return
    child = _sub_interface(vif, vlan, packet.data)
    if child is not None:
        _receive_sub_interface(vr, child, packet)
        return
    _count(vif, packet)
    vm_input.virtual_input(vr, packet, vif.vrf, vlan)


def _receive_sub_interface(vr: VRouter, vif: Interface, packet: Packet) -> None:
    """The tag that chose the sub-interface is taken off; the packet counts here and not on the parent."""
    packet.vif = vif
    _count(vif, packet)
    frame = packet.data
    if first_tag(frame) != NO_VLAN:
        packet.dotonep = frame[14] >> 5
        packet.data = packet.frame = frame[:12] + frame[16:]
    if vif.mirror_rx:
        mirror.mirror_interface(vr, vif, packet, received=True)
    vm_input.virtual_input(vr, packet, vif.vrf)


def _receive_physical(vr: VRouter, vif: Interface, packet: Packet) -> None:
    _count(vif, packet)
    if vif.mirror_rx:
        mirror.mirror_interface(vr, vif, packet, received=True)
    packet.to_me_interface = vif.xconnect
    vlan = first_tag(packet.data)
    if vlan == NO_VLAN and vif.native_vlan:
        vlan = 0
    child = _sub_interface(vif, vlan, packet.data)
    if child is not None:
        _receive_sub_interface(vr, child, packet)
        return
    fabric_input.fabric_input(vr, packet, vlan)


def _receive_host(vr: VRouter, vif: Interface, packet: Packet) -> None:
    _count(vif, packet)
    if vif.xconnect:
        interface_output.cross_connect(vr, packet)
        return
    if vif.mirror_rx:
        mirror.mirror_interface(vr, vif, packet, received=True)
    fabric_input.fabric_input(vr, packet, NO_VLAN)
