"""Choosing one member of an ECMP group (reference/vrouter.md 7.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import EcmpHash, NhFlag, NhType
from ..packet import IP, IP6, Packet
from ..tables.flow_hash import flow_hash
from ..tables.flows import FlowEntry, LookupKey
from ..tables.next_hop import NextHopEntry
from . import output
from .flow_key import inet6_key, inet_key

if TYPE_CHECKING:
    from ..vrouter import VRouter

_ALL = int(EcmpHash.PROTO | EcmpHash.SRC_IP | EcmpHash.SRC_PORT | EcmpHash.DST_IP | EcmpHash.DST_PORT)


def send(vr: VRouter, packet: Packet, group: NextHopEntry) -> None:
    """To the member the flow remembers, else to one chosen by the reverse flow or by a hash."""
    vr.vrf_stats[packet.dvrf]["ecmp_composites"] += 1
    components = group.components
    index = packet.ecmp_nh_index
    if not 0 <= index < len(components) or components[index].next_hop is None:
        choice = _choose(vr, packet, group)
        if choice is None:
            return
        index = choice
    if not 0 <= index < len(components):
        vr.drop(packet, Drop.INVALID_NH)
        return
    member = components[index].next_hop
    if member is None:
        vr.drop(packet, Drop.INVALID_NH)
        return
    if not group.has(NhFlag.COMPOSITE_LU_ECMP):
        packet.label = components[index].label
        packet.label_is_vni = False
    output.output(vr, packet, member)


def _choose(vr: VRouter, packet: Packet, group: NextHopEntry) -> int | None:
    """The index of a member, kept in the flow; None when the packet was taken (dropped, or held as a fragment)."""
    entry = vr.flows.get(packet.flow_index) if packet.flow_index >= 0 else None
    if entry is not None:
        index = _by_reverse_flow(vr, entry, group) if packet.ecmp_nh_index == -1 else -1
        if index < 0:
            index = _by_hash(flow_hash(entry.key.pack()), group)
        if index >= 0:
            if entry.ecmp_nh_index == packet.ecmp_nh_index:
                entry.ecmp_nh_index = index
            index = packet.ecmp_nh_index = entry.ecmp_nh_index
    else:
        value = _packet_hash(vr, packet, group.row.ecmp_config_hash & _ALL or _ALL)
        if value is None:
            return None
        index = packet.ecmp_nh_index = _by_hash(value, group)
    if index < 0:
        vr.drop(packet, Drop.INVALID_NH)
        return None
    return index


def _by_reverse_flow(vr: VRouter, entry: FlowEntry, group: NextHopEntry) -> int:
    """The member the other direction came from, so that both directions meet the same machine; -1 when none is."""
    reverse = vr.flows.get(entry.rindex) if entry.rindex >= 0 else None
    if reverse is None:
        return -1
    for component in group.active:
        member = component.next_hop
        if member is None or not member.valid:
            continue
        if member.type is NhType.TUNNEL and member.tunnel_destination == reverse.src_info:
            return component.index
        if member.type is NhType.ENCAP and member.device is not None and member.device.idx == reverse.src_info:
            return component.index
    return -1


def _by_hash(value: int, group: NextHopEntry) -> int:
    """A slot of all members; when that one is empty, one of those present."""
    if not group.components or not group.active:
        return -1
    component = group.components[value % len(group.components)]
    if component.next_hop is None:
        component = group.active[value % len(group.active)]
    return component.index


def _packet_hash(vr: VRouter, packet: Packet, fields: int) -> int | None:
    """Over the fields the group selects; without IP over the Ethernet header and VRF. None: the packet was taken."""
    key: LookupKey | Drop | None
    if packet.type == IP:
        key = inet_key(vr, packet)
    elif packet.type == IP6:
        key = inet6_key(vr, packet)
    else:
        return flow_hash(packet.data[:14] + (packet.dvrf & 0xFFFF).to_bytes(4, "big"))
    if key is None:
        vr.fragments.hold(packet)
        return None
    if isinstance(key, Drop):
        vr.drop(packet, key)
        return None
    return flow_hash(_selected(key, fields))


def _selected(key: LookupKey, fields: int) -> bytes:
    nh_id, source, destination, protocol, sport, dport = key
    size = 4 if isinstance(source, int) else 16
    packed = (nh_id & 0xFFFFFFFF).to_bytes(4, "big")
    packed += bytes((protocol if fields & int(EcmpHash.PROTO) else 0,))
    packed += (sport if fields & int(EcmpHash.SRC_PORT) else 0).to_bytes(2, "big")
    packed += (dport if fields & int(EcmpHash.DST_PORT) else 0).to_bytes(2, "big")
    for address, flag in ((source, EcmpHash.SRC_IP), (destination, EcmpHash.DST_IP)):
        raw = address.to_bytes(4, "big") if isinstance(address, int) else address
        packed += raw if fields & int(flag) else bytes(size)
    return packed
