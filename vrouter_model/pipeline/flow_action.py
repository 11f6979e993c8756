"""What a flow does with a packet: hold, check the source, drop, forward or translate (reference/vrouter.md 7.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import checksum
from ..drops import Drop, flow_drop_text
from ..flags import FLOW_HOLD_QUEUE, FlowAction, FlowFlag, TcpFlowFlag
from ..packet import IP, Packet
from ..tables.flows import FlowEntry
from . import explain, mirror, nat
from .source_check import Source, check_source
from .trap import trap_flow

if TYPE_CHECKING:
    from ..vrouter import VRouter

_VRFT = int(FlowFlag.VRFT)
_MIRROR = int(FlowFlag.MIRROR)
_DEAD = int(TcpFlowFlag.DEAD)


def set_forwarding(vr: VRouter, entry: FlowEntry, packet: Packet) -> None:
    """What later stages take from the flow: ECMP choices and the outer UDP source port."""
    packet.flow_index = entry.index
    packet.ecmp_nh_index = entry.ecmp_nh_index
    packet.underlay_ecmp_index = entry.underlay_ecmp_index
    packet.udp_source_port = entry.udp_src_port
    if entry.rindex >= 0:
        reverse = vr.flows.get(entry.rindex)
        if reverse is not None:
            packet.ecmp_src_nh_index = reverse.ecmp_nh_index


def count_and_act(vr: VRouter, entry: FlowEntry, packet: Packet) -> bool:
    """True when the packet goes on."""
    octets, packets = entry.bytes, entry.packets
    if entry.new_flow:
        entry.bytes = entry.packets = 0
    entry.bytes += len(packet.data)
    entry.packets += 1
    if entry.action is not FlowAction.HOLD:
        return act(vr, entry, packet)
    if not entry.new_flow:
        octets, packets = entry.bytes, entry.packets
    _hold(vr, entry, packet, packets, octets)
    return False


def _hold(vr: VRouter, entry: FlowEntry, packet: Packet, packets: int, octets: int) -> None:
    """Queue the packet; only the first one of a queue asks the agent."""
    if len(entry.held) >= FLOW_HOLD_QUEUE:
        vr.drop(packet, Drop.FLOW_QUEUE_LIMIT_EXCEEDED)
        return
    packet.next_hop = None
    entry.held.append(packet)
    vr.totals.held += 1
    if len(entry.held) == 1:
        trap_flow(vr, vr.clone(packet), entry, packets, octets)


def act(vr: VRouter, entry: FlowEntry, packet: Packet) -> bool:
    """Check the source, then do what the flow says. True when the packet goes on."""
    goes_on = _check_source(vr, entry, packet) and _act(vr, entry, packet)
    if entry.tcp_flags & _DEAD:
        mark_for_eviction(vr, entry)
    return goes_on


def _check_source(vr: VRouter, entry: FlowEntry, packet: Packet) -> bool:
    """Reverse path forwarding: the flow's source next hop must be where the packet came from."""
    source = vr.store.next_hops.get(entry.src_nh_index)
    if source is None:
        vr.drop(packet, Drop.INVALID_NH)
        return False
    verdict, index = check_source(source, packet)
    if verdict is Source.MISMATCH:
        # The source moved to another member of its ECMP group: answers have to go there, so repair the reverse flow.
        reverse = vr.flows.get(entry.rindex)
        if reverse is not None:
            reverse.ecmp_nh_index = packet.ecmp_src_nh_index = index
            return True
        verdict = Source.INVALID
    if verdict is Source.INVALID:
        vr.drop(packet, Drop.INVALID_SOURCE, explain.wrong_source(packet))
        return False
    return True


def _act(vr: VRouter, entry: FlowEntry, packet: Packet) -> bool:
    packet.dvrf = entry.vrf
    if entry.flags & _VRFT and entry.dvrf != entry.vrf:
        packet.dvrf = entry.dvrf
        packet.to_me = True
    if entry.flags & _MIRROR:
        mirror.mirror_flow(vr, entry, packet)
    if entry.action is FlowAction.FORWARD:
        pass
    elif entry.action is FlowAction.DROP:
        vr.drop(packet, Drop.FLOW_ACTION_DROP, flow_drop_text(entry.drop_reason))
        return False
    elif entry.action is FlowAction.NAT:
        if not nat.translate(vr, entry, packet):
            return False
    else:
        vr.drop(packet, Drop.FLOW_ACTION_INVALID)
        return False
    if entry.ttl and packet.type == IP:
        _set_ttl(packet, entry.ttl)
    return True


def _set_ttl(packet: Packet, ttl: int) -> None:
    data, at = packet.data, packet.network + 8
    old, new = data[at : at + 2], bytes((ttl & 0xFF, data[at + 1]))
    if old == new:
        return
    value = checksum.update(data[at + 2] << 8 | data[at + 3], old, new)
    packet.data = data[:at] + new + value.to_bytes(2, "big") + data[at + 4 :]


def mark_for_eviction(vr: VRouter, entry: FlowEntry) -> None:
    """A closed connection gives its two entries back, once both directions are dead and neither waits for the agent."""
    if entry.evict_candidate or vr.flows.get(entry.index) is not entry:
        return
    reverse = vr.flows.get(entry.rindex) if entry.rindex >= 0 else None
    if reverse is not None:
        if reverse.rindex not in (entry.index, -1) or not reverse.tcp_flags & _DEAD:
            return
        if reverse.action is FlowAction.HOLD:
            return
        reverse.evict_candidate = True
        vr.schedule_eviction(reverse)
    entry.evict_candidate = True
    vr.schedule_eviction(entry)


def evict(vr: VRouter, entry: FlowEntry) -> None:
    if entry.evict_candidate and vr.flows.get(entry.index) is entry:
        vr.flows.evict(entry)
