"""Lowering the MSS of a machine's TCP SYN so that its segments fit into a tunnel (reference/vrouter.md 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import checksum
from ..encapsulation import PROTO_TCP
from ..packet import IP, Packet

if TYPE_CHECKING:
    from ..vrouter import VRouter

_SYN = 0x02
_OPTION_END, _OPTION_NOP, _OPTION_MSS = 0, 1, 2
_TCP_HEADER = 20


def clamp(vr: VRouter, packet: Packet, overlay: int) -> None:
    """Only lowers; `overlay` is what a tunnel adds. Without an uplink there is nothing to fit into."""
    data, start = packet.data, packet.network
    if packet.type == IP:
        if data[start + 9] != PROTO_TCP or data[start + 6] & 0x1F or data[start + 7]:
            return
        header = (data[start] & 0xF) * 4
        transport = start + header
    else:
        if data[start + 6] != PROTO_TCP:
            return
        header = 40
        transport = start + header
    if len(data) < transport + _TCP_HEADER or not data[transport + 13] & _SYN:
        return
    mtu = vr.uplink_mtu()
    if mtu is None:
        return
    at = _find_mss(data, transport)
    limit = mtu - (overlay + header + _TCP_HEADER)
    if at is None or limit <= 0 or int.from_bytes(data[at : at + 2], "big") <= limit:
        return
    changed = bytearray(data)
    # The checksum sums words from the TCP header on: patch the words the option lies in, aligned or not.
    first = at - ((at - transport) & 1)
    last = at + 2 + ((at - transport) & 1)
    changed[at : at + 2] = limit.to_bytes(2, "big")
    old, new = data[first:last], bytes(changed[first:last])
    field = transport + 16
    value = checksum.update(data[field] << 8 | data[field + 1], old, new)
    changed[field : field + 2] = value.to_bytes(2, "big")
    packet.data = bytes(changed)


def _find_mss(data: bytes, transport: int) -> int | None:
    """Where the value of the MSS option stands."""
    end = min(transport + (data[transport + 12] >> 4) * 4, len(data))
    at = transport + _TCP_HEADER
    while at < end and data[at] != _OPTION_END:
        if data[at] == _OPTION_NOP:
            at += 1
            continue
        if at + 1 >= end or data[at + 1] < 2:
            return None
        if data[at] == _OPTION_MSS:
            return at + 2 if data[at + 1] == 4 and at + 4 <= end else None
        at += data[at + 1]
    return None
