"""Copies of packets for analysers (reference/vrouter.md 9, mirror)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..flags import NO_VLAN, MirrorFlag, NhType
from ..packet import ETHERTYPE_IP, ETHERTYPE_IP6, IP6, Packet
from ..tables.flows import FlowEntry
from ..tables.interface import Interface
from . import output

if TYPE_CHECKING:
    from ..vrouter import VRouter

_NO_METADATA = b"\xff\x00"


def mirror_interface(vr: VRouter, vif: Interface, packet: Packet, received: bool) -> None:
    """A copy of a frame that enters (`received`) or leaves an interface."""
    metadata = vif.row.in_mirror_md if received else vif.row.out_mirror_md
    _mirror(vr, vif.row.mir_id, packet, packet.data, metadata)


def mirror_flow(vr: VRouter, entry: FlowEntry, packet: Packet) -> None:
    """Copies of a packet whose flow is mirrored; tunnel headers it came with are not part of them."""
    for index in (entry.mir_id, entry.sec_mir_id):
        if index in vr.store.mirrors:
            _mirror(vr, index, packet, _with_link_header(packet), entry.pcap_meta_data)


def _with_link_header(packet: Packet) -> bytes:
    """The frame of a packet; one that came routed out of a tunnel gets the header it will be delivered with."""
    if packet.network or packet.link:
        return packet.link + packet.data
    next_hop = packet.next_hop
    if next_hop is None or next_hop.type is not NhType.ENCAP or len(next_hop.encap) < 14:
        return packet.data
    ethertype = ETHERTYPE_IP6 if packet.type == IP6 else ETHERTYPE_IP
    return next_hop.encap[:12] + ethertype.to_bytes(2, "big") + packet.data


def _mirror(vr: VRouter, index: int, packet: Packet, data: bytes, metadata: bytes) -> None:
    found = vr.store.mirrors.get(index)
    if found is None or packet.mirrored:
        return
    row, next_hop = found
    if row.flags & MirrorFlag.HW_ASSISTED:
        packet.mirror_vlan = row.vlan
        return
    if not next_hop.valid:
        return
    copy = vr.clone(packet)
    copy.data = data
    copy.mirrored = copy.flow_set = True
    copy.flow_index = copy.ecmp_nh_index = copy.underlay_ecmp_index = -1
    copy.udp_source_port = 0
    copy.outer_source = 0
    copy.vlan = NO_VLAN
    if next_hop.vrf >= 0:
        copy.dvrf = next_hop.vrf
    if not copy.classify() and not copy.classify_network():
        copy.network = 0
    copy.ttl = copy.ttl or 64
    if row.flags & MirrorFlag.DYNAMIC:
        metadata = metadata or _NO_METADATA
        copy.data = metadata + copy.data
        copy.network += len(metadata)
    else:
        copy.label, copy.label_is_vni = row.vni, True
    output.output(vr, copy, next_hop)
