"""Taking MPLS and VXLAN apart (reference/vrouter.md 7.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..encapsulation import CONTROL_WORD
from ..flags import MAX_LABELS, MAX_UNICAST_LABELS, NO_VLAN, AgentCommand, NhFlag, NhType
from ..packet import TREE_HEADER, Packet
from ..tables.next_hop import NextHopEntry
from . import output
from .trap import trap

if TYPE_CHECKING:
    from ..vrouter import VRouter

_NO_LABEL_WORD = 0xFFFFF
_BOTTOM = 0x100
_VNI_VALID = 0x08000000
_ROUTER_ALERT = 0x01000000


def mpls_input(vr: VRouter, packet: Packet, at: int) -> None:
    """`packet.data` starts with the outer IPv4 header, `at` is the offset of the label stack."""
    data = packet.data
    if len(data) < at + 4:
        vr.drop(packet, Drop.PULL)
        return
    word = int.from_bytes(data[at : at + 4], "big")
    if word >> 12 == _NO_LABEL_WORD and not word & _BOTTOM:
        at += 4
        if len(data) < at + 4:
            vr.drop(packet, Drop.PULL)
            return
        word = int.from_bytes(data[at : at + 4], "big")
    label = word >> 12
    if label >= MAX_LABELS:
        vr.drop(packet, Drop.INVALID_LABEL, f"label {label}")
        return
    ttl = (word & 0xFF) - 1
    if ttl <= 0:
        vr.drop(packet, Drop.TTL_EXCEEDED)
        return
    packet.ttl = ttl
    next_hop = vr.store.labels.get(label)
    if next_hop is None:
        vr.drop(packet, Drop.INVALID_LABEL, f"label {label}")
        return
    if not word & _BOTTOM:
        # Only a next hop that pops labels could take this one, and no agent programs those.
        vr.drop(packet, Drop.INVALID_NH)
        return
    packet.outer_source = int.from_bytes(data[12:16], "big")
    packet.label = label
    packet.label_is_vni = False
    packet.data = data[at + 4 :]
    packet.vlan = NO_VLAN
    packet.link = b""
    if _open_payload(vr, packet, next_hop):
        packet.dvrf = next_hop.vrf if next_hop.vrf >= 0 else _device_vrf(packet, next_hop)
        output.output(vr, packet, next_hop)


def _open_payload(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> bool:
    """Find the inner header by the family of the label's next hop. False when the packet was dropped."""
    if next_hop.inet:
        if packet.classify_network():
            return True
        vr.drop(packet, Drop.INVALID_PROTOCOL)
        return False
    if not next_hop.bridge:
        vr.drop(packet, Drop.INVALID_NH)
        return False
    from_tree = next_hop.type is NhType.COMPOSITE and packet.label >= MAX_UNICAST_LABELS
    if next_hop.has(NhFlag.L2_CONTROL_DATA):
        packet.l2_control_data = True
    if from_tree or packet.l2_control_data:
        if packet.data[:4] != CONTROL_WORD:
            vr.drop(packet, Drop.INVALID_PACKET)
            return False
        packet.data = packet.data[4:]
    packet.tree_header = from_tree
    if packet.classify(TREE_HEADER if from_tree else 0):
        return True
    vr.drop(packet, Drop.INVALID_PACKET)
    return False


def _device_vrf(packet: Packet, next_hop: NextHopEntry) -> int:
    return packet.vif.vrf if next_hop.device is None else next_hop.device.vrf


def vxlan_input(vr: VRouter, packet: Packet, at: int) -> None:
    """`packet.data` starts with the outer IPv4 header, `at` is the offset of the VXLAN header."""
    data = packet.data
    if len(data) < at + 8:
        vr.drop(packet, Drop.PULL)
        return
    flags = int.from_bytes(data[at : at + 4], "big")
    if not flags & _VNI_VALID:
        vr.drop(packet, Drop.INVALID_VNID)
        return
    vnid = int.from_bytes(data[at + 4 : at + 7], "big")
    next_hop = vr.store.vxlans.get(vnid)
    if next_hop is None:
        vr.drop(packet, Drop.INVALID_VNID, f"VNI {vnid}")
        return
    packet.outer_source = int.from_bytes(data[12:16], "big")
    packet.label = vnid
    packet.label_is_vni = True
    packet.data = data[at + 8 :]
    packet.vlan = NO_VLAN
    packet.link = b""
    if not packet.classify():
        vr.drop(packet, Drop.INVALID_PACKET)
        return
    if next_hop.type is NhType.VRF_TRANSLATE:
        packet.dvrf = next_hop.vrf
    elif next_hop.device is not None:
        packet.dvrf = next_hop.device.vrf
    if flags & _ROUTER_ALERT:
        trap(vr, packet, packet.dvrf, AgentCommand.ROUTER_ALERT)
        return
    output.output(vr, packet, next_hop)
