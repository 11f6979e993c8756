"""Which forwarding class a packet is in, and marking it (reference/vrouter.md 9, QoS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import checksum
from ..packet import IP, IP6, Packet
from ..rows import ForwardingClass

if TYPE_CHECKING:
    from ..vrouter import VRouter


def forwarding_class(vr: VRouter, packet: Packet) -> ForwardingClass | None:
    """By the map of the flow, else of the ingress interface; by DSCP for IP, else by 802.1p. None: leave unmarked."""
    if not vr.store.qos_maps:
        return None
    entry = vr.flows.get(packet.flow_index) if packet.flow_index >= 0 else None
    number = entry.qos_id if entry is not None and entry.qos_id >= 0 else packet.vif.row.qos_map_index
    qos = vr.store.qos_maps.get(number)
    if qos is None:
        return None
    by_dscp = packet.type in (IP, IP6)
    chosen = qos.dscp.get(dscp(packet)) if by_dscp else qos.dotonep.get(packet.dotonep)
    return None if chosen is None else vr.store.forwarding_classes.get(chosen)


def dscp(packet: Packet) -> int:
    data, start = packet.data, packet.network
    if packet.type == IP:
        return data[start + 1] >> 2
    return (data[start] & 0xF) << 2 | data[start + 1] >> 6


def mark(packet: Packet, value: int) -> None:
    """Write a DSCP into the packet's own IP header; the two ECN bits stay."""
    data, start = packet.data, packet.network
    if packet.type == IP:
        old = data[start : start + 2]
        new = bytes((old[0], value << 2 | old[1] & 3))
        total = checksum.update(data[start + 10] << 8 | data[start + 11], old, new)
        head = data[:start] + new + data[start + 2 : start + 10]
        packet.data = head + total.to_bytes(2, "big") + data[start + 12 :]
    elif packet.type == IP6:
        new = bytes((0x60 | value >> 2, (value & 3) << 6 | data[start + 1] & 0x3F))
        packet.data = data[:start] + new + data[start + 2 :]
