"""Which uplink a tunnel leaves by when the host has several (reference/vrouter.md 7.7, underlay ECMP)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import NhFlag
from ..packet import IP, IP6, Packet
from ..tables.flow_hash import flow_hash
from ..tables.interface import Interface
from ..tables.next_hop import NextHopEntry

if TYPE_CHECKING:
    from ..vrouter import VRouter

_UPLINKS = 3


def device_and_header(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> tuple[Interface, bytes] | None:
    """The uplink and its outer Ethernet header; None when the packet was dropped."""
    if not next_hop.has(NhFlag.TUNNEL_UNDERLAY_ECMP):
        if next_hop.device is None:
            vr.drop(packet, Drop.INVALID_NH)
            return None
        return next_hop.device, next_hop.encap
    index = packet.underlay_ecmp_index
    if index < 0:
        index = flow_hash(_five_tuple(packet)) % _UPLINKS
    valid = next_hop.row.encap_valid
    size = len(next_hop.encap) // max(len(next_hop.devices), 1)
    for step in range(_UPLINKS):
        uplink = (index + step) % _UPLINKS
        if uplink >= len(next_hop.devices) or uplink >= len(valid) or not valid[uplink]:
            continue
        device = next_hop.devices[uplink]
        if device is not None:
            return device, next_hop.encap[uplink * size : (uplink + 1) * size]
    vr.drop(packet, Drop.INVALID_UNDERLAY_ECMP)
    return None


def _five_tuple(packet: Packet) -> bytes:
    data, start = packet.data, packet.network
    if packet.type == IP:
        transport = start + (data[start] & 0xF) * 4
        return data[start + 9 : start + 10] + data[start + 12 : start + 20] + data[transport : transport + 4]
    if packet.type == IP6:
        return data[start + 6 : start + 7] + data[start + 8 : start + 44]
    return data[:14]
