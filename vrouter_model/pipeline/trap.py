"""Packets for the agent: the 30-byte agent header and its reasons (reference/vrouter.md 8)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import AgentCommand
from ..packet import Packet
from ..tables.flows import FlowEntry

if TYPE_CHECKING:
    from ..vrouter import VRouter

AGENT_HEADER = struct.Struct("!HHHIIIIIB3x")
"""ifindex, vrf, cmd, param, param_1 .. param_4, param_5, three bytes of padding."""

_TRUNCATED = frozenset((AgentCommand.HANDLE_DF, AgentCommand.ZERO_TTL))
_TRUNCATED_LENGTH = 190
_WORD = 0xFFFFFFFF
_HALF = 0xFFFF


def trap(vr: VRouter, packet: Packet, vrf: int, reason: AgentCommand, param: int = 0, param_1: int = 0) -> None:
    """Give the frame, as it was received, to the agent; the packet ends here."""
    header = AGENT_HEADER.pack(packet.vif.idx, vrf & _HALF, reason, param & _WORD, param_1 & _WORD, 0, 0, 0, 0)
    _send(vr, packet, reason, header)


def trap_flow(vr: VRouter, packet: Packet, entry: FlowEntry, packets: int, octets: int) -> None:
    """FLOW_MISS for the first packet of a new entry, FLOW_ACTION_HOLD for an old one put back to hold."""
    reason = AgentCommand.FLOW_MISS if entry.new_flow else AgentCommand.FLOW_ACTION_HOLD
    entry.new_flow = False
    overflow = (octets >> 32 & 0xFFFF) | (packets >> 32 & 0xFF) << 16
    header = AGENT_HEADER.pack(
        packet.vif.idx,
        entry.vrf & _HALF,
        reason,
        entry.index,
        entry.key.nh_id & _WORD,
        octets & _WORD,
        packets & _WORD,
        overflow,
        entry.gen_id,
    )
    _send(vr, packet, reason, header)


def send_to_agent(vr: VRouter, packet: Packet, reason: AgentCommand, rewrite: bytes, param: int = 0) -> None:
    """What a next hop on the agent's vif does: the next hop's own Ethernet header in front (NEXTHOP, BFD)."""
    header = AGENT_HEADER.pack(packet.vif.idx, packet.dvrf & _HALF, reason, param, 0, 0, 0, 0, 0)
    _send(vr, packet, reason, header, rewrite)


def _send(vr: VRouter, packet: Packet, reason: AgentCommand, header: bytes, rewrite: bytes = b"") -> None:
    vif = vr.store.agent_vif
    if vif is None or not vr.has_agent:
        vr.drop(packet, Drop.TRAP_NO_IF)
        return
    frame = packet.frame
    if reason in _TRUNCATED:
        frame = frame[:_TRUNCATED_LENGTH]
    data = (rewrite or vif.mac + vif.mac + b"\x08\x00") + header + frame
    vif.obytes += len(data)
    vif.opackets += 1
    vr.deliver_trap(reason, data)
