"""Watching TCP connections open and close, so that dead flows can be evicted (reference/vrouter.md 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..encapsulation import PROTO_TCP
from ..flags import TcpFlowFlag
from ..packet import IP, Packet
from ..tables.flows import FlowEntry

if TYPE_CHECKING:
    from ..vrouter import VRouter

__all__ = ["PROTO_TCP", "digest"]

_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
_SEEN_FIN, _HALF_CLOSE, _SEEN_FIN_R = int(TcpFlowFlag.FIN), int(TcpFlowFlag.HALF_CLOSE), int(TcpFlowFlag.FIN_R)
_SEEN_SYN, _SEEN_SYN_R = int(TcpFlowFlag.SYN), int(TcpFlowFlag.SYN_R)
_ESTABLISHED, _ESTABLISHED_R = int(TcpFlowFlag.ESTABLISHED), int(TcpFlowFlag.ESTABLISHED_R)
_SEEN_RST, _DEAD = int(TcpFlowFlag.RST), int(TcpFlowFlag.DEAD)
_SEQUENCE = 0xFFFFFFFF


def digest(vr: VRouter, entry: FlowEntry, packet: Packet) -> None:
    """Follow one segment. Fat flows mix connections and are not followed."""
    data, start = packet.data, packet.network
    if packet.type == IP:
        at = start + (data[start] & 0xF) * 4
        length = int.from_bytes(data[start + 2 : start + 4], "big") - (at - start)
        fragment = bool(data[start + 6] & 0x1F or data[start + 7])
    else:
        at = start + 40
        length = int.from_bytes(data[start + 4 : start + 6], "big")
        fragment = data[start + 6] != PROTO_TCP
    if fragment or len(data) < at + 20 or not entry.key.sport or not entry.key.dport:
        return
    sequence = int.from_bytes(data[at + 4 : at + 8], "big")
    acknowledged = int.from_bytes(data[at + 8 : at + 12], "big")
    flags = data[at + 13]
    reverse = vr.flows.get(entry.rindex) if entry.rindex >= 0 else None
    if flags & _ACK:
        entry.tcp_ack = acknowledged
    if flags & _RST:
        if vr.unconditional_close_on_rst or _reset_is_genuine(reverse, sequence, acknowledged, flags):
            _close(entry, reverse, _SEEN_RST)
        return
    if flags & _SYN:
        _opened(entry, reverse, sequence, acknowledged, flags)
    elif flags & _FIN:
        entry.tcp_seq = (sequence + length - (data[at + 12] >> 4) * 4) & _SEQUENCE
        entry.tcp_flags |= _SEEN_FIN
        if reverse is not None:
            reverse.tcp_flags |= _SEEN_FIN_R
    if flags & _ACK and reverse is not None:
        _acknowledged(entry, reverse, acknowledged)


def _reset_is_genuine(reverse: FlowEntry | None, sequence: int, acknowledged: int, flags: int) -> bool:
    """RFC 5961, section 3.2: a reset counts when its sequence number is the one the peer expects next.

    A peer that has only sent its SYN has acknowledged nothing: there a reset counts when it acknowledges that SYN.
    """
    if reverse is None or sequence == reverse.tcp_ack:
        return True
    answers_syn = flags & _ACK and reverse.tcp_flags & _SEEN_SYN
    return bool(answers_syn) and acknowledged == (reverse.tcp_seq + 1) & _SEQUENCE


def _close(entry: FlowEntry, reverse: FlowEntry | None, seen: int = 0) -> None:
    entry.tcp_flags |= seen | _DEAD
    if reverse is not None:
        reverse.tcp_flags |= seen | _DEAD


def _opened(entry: FlowEntry, reverse: FlowEntry | None, sequence: int, acknowledged: int, flags: int) -> None:
    entry.tcp_seq = sequence
    entry.tcp_flags |= _SEEN_SYN
    if reverse is None:
        return
    reverse.tcp_flags |= _SEEN_SYN_R
    if entry.tcp_flags & _SEEN_SYN_R and flags & _ACK and acknowledged == (reverse.tcp_seq + 1) & _SEQUENCE:
        reverse.tcp_flags |= _ESTABLISHED
        entry.tcp_flags |= _ESTABLISHED_R


def _acknowledged(entry: FlowEntry, reverse: FlowEntry, acknowledged: int) -> None:
    """An acknowledgement of the peer's FIN half-closes the peer; one of its SYN completes the opening."""
    closing = entry.tcp_flags & _SEEN_FIN_R
    opening = entry.tcp_flags & _SEEN_SYN_R and not entry.tcp_flags & _ESTABLISHED_R
    if not (closing or opening):
        return
    if closing and acknowledged == (reverse.tcp_seq + 1) & _SEQUENCE:
        reverse.tcp_flags |= _HALF_CLOSE
        if entry.tcp_flags & _HALF_CLOSE:
            _close(entry, reverse)
    elif acknowledged != reverse.tcp_seq and not entry.tcp_flags & _ESTABLISHED_R:
        reverse.tcp_flags |= _ESTABLISHED
        entry.tcp_flags |= _ESTABLISHED_R
