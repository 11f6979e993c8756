"""Copies of packets for analysers (reference/vrouter.md 9, mirror)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..flags import MirrorFlag
from ..packet import Packet
from ..tables.interface import Interface
from . import output

if TYPE_CHECKING:
    from ..vrouter import VRouter


def mirror_interface(vr: VRouter, vif: Interface, packet: Packet, received: bool) -> None:
    """A copy of a frame that enters (`received`) or leaves an interface."""
    metadata = vif.row.in_mirror_md if received else vif.row.out_mirror_md
    _mirror(vr, vif.row.mir_id, packet, packet.data, metadata)


def mirror_flow(vr: VRouter, index: int, packet: Packet) -> None:
    """A copy of a packet whose flow is mirrored; tunnel headers it came with are not part of it."""
    _mirror(vr, index, packet, packet.link + packet.data, packet.vif.row.in_mirror_md)


def _mirror(vr: VRouter, index: int, packet: Packet, data: bytes, metadata: bytes) -> None:
    found = vr.store.mirrors.get(index)
    if found is None or packet.mirrored:
        return
    row, next_hop = found
    copy = vr.clone(packet)
    copy.data = data
    copy.mirrored = copy.flow_set = True
    copy.ecmp_nh_index = copy.underlay_ecmp_index = -1
    copy.outer_source = 0
    copy.vlan = 65535
    if not copy.classify() and not copy.classify_network():
        copy.network = 0
    copy.ttl = copy.ttl or 64
    if row.flags & MirrorFlag.DYNAMIC:
        copy.data = metadata + copy.data
        copy.network += len(metadata)
    else:
        copy.label, copy.label_is_vni = row.vni, True
    output.reach(vr, copy, next_hop)
