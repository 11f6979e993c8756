"""Packets that waited and go on: those a flow held and fragments that came before their first part."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..packet import IP, IP6, Packet
from ..tables.flows import FlowEntry
from ..tables.next_hop import NextHopEntry
from . import bridge_input, flow_action, flow_lookup, l3_input, output

if TYPE_CHECKING:
    from ..vrouter import VRouter


def resume(vr: VRouter, packet: Packet, entry: FlowEntry | None) -> None:
    """Apply the flow (or look it up again: `entry` None) and put the packet back where it was taken out."""
    vif = packet.vif
    if not vif.alive:
        vr.drop(packet, Drop.INVALID_IF)
        return
    packet.next_hop = _next_hop(vr, packet)
    if entry is None:
        packet.flow_set = False
        goes_on = flow_lookup.flow_forward(vr, packet)
    else:
        flow_action.set_forwarding(vr, entry, packet)
        goes_on = flow_action.act(vr, entry, packet)
    if goes_on:
        _reinject(vr, packet)


def _next_hop(vr: VRouter, packet: Packet) -> NextHopEntry | None:
    """Next hops are not kept while a packet waits: the label it came with is, and the label chooses again."""
    vif = packet.vif
    if vif.fabric and packet.label >= 0:
        if not packet.label_is_vni:
            return vr.store.labels.get(packet.label)
        entry = vr.store.bridge.lookup(packet.dvrf, packet.data[:6])
        return None if entry is None else entry.next_hop
    if vif.vhost and not vif.policy:
        data, start = packet.data, packet.network
        if packet.type == IP:
            return vr.store.inet.lookup(packet.dvrf, int.from_bytes(data[start + 16 : start + 20], "big")).next_hop
        if packet.type == IP6:
            return vr.store.inet6.lookup(packet.dvrf, int.from_bytes(data[start + 24 : start + 40], "big")).next_hop
    return None


def _reinject(vr: VRouter, packet: Packet) -> None:
    next_hop = packet.next_hop
    if next_hop is not None:
        if next_hop.valid:
            output.reach(vr, packet, next_hop)
        else:
            vr.drop(packet, Drop.INVALID_NH)
        return
    vif = packet.vif
    routed = vif.vhost or (vif.fabric and packet.label < 0)
    if not routed and not packet.network:
        packet.restore_link()
    if routed or not packet.network:
        packet.strip_link()
        l3_input.l3_input(vr, packet)
    else:
        bridge_input.bridge_input(vr, packet)
