"""Address and port translation by the reverse flow's key (reference/vrouter.md 7.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import checksum
from ..drops import Drop
from ..encapsulation import PROTO_ICMP, PROTO_TCP, PROTO_UDP
from ..flags import FlowFlag, NhFlag
from ..packet import IP, Packet
from ..rows import FlowKey
from ..tables.flows import FlowEntry

if TYPE_CHECKING:
    from ..vrouter import VRouter

_SNAT, _SPAT, _DNAT, _DPAT = int(FlowFlag.SNAT), int(FlowFlag.SPAT), int(FlowFlag.DNAT), int(FlowFlag.DPAT)
_VRFT = int(FlowFlag.VRFT)
_CHECKSUM_AT = {PROTO_TCP: 16, PROTO_UDP: 6}


def translate(vr: VRouter, entry: FlowEntry, packet: Packet) -> bool:
    """Rewrite an IPv4 packet; False when it was dropped instead."""
    if packet.type != IP:
        vr.drop(packet, Drop.FLOW_ACTION_INVALID)
        return False
    reverse = vr.flows.get(entry.rindex) if entry.rindex >= 0 else None
    if reverse is None:
        vr.drop(packet, Drop.FLOW_NAT_NO_RFLOW)
        return False
    data = bytearray(packet.data)
    start = packet.network
    transport = start + (data[start] & 0xF) * 4
    if data[start + 9] == PROTO_ICMP and len(data) >= transport + 28 and data[transport] in (3, 11):
        _translate_quoted(entry.flags, reverse.key, data, transport)
    _translate(entry, reverse.key, data, start, transport)
    packet.data = bytes(data)
    _route_again(vr, entry, packet)
    return True


def _word(address: int | bytes) -> bytes:
    return address.to_bytes(4, "big") if isinstance(address, int) else address[-4:]


def _translate(entry: FlowEntry, reverse: FlowKey, data: bytearray, start: int, transport: int) -> None:
    flags = entry.flags
    old_addresses = bytes(data[start + 12 : start + 20])
    if flags & _SNAT and old_addresses[:4] == _word(entry.key.sip):
        data[start + 12 : start + 16] = _word(reverse.dip)
    if flags & _DNAT:
        data[start + 16 : start + 20] = _word(reverse.sip)
    new_addresses = bytes(data[start + 12 : start + 20])
    _adjust(data, start + 10, old_addresses, new_addresses)
    if data[start + 6] & 0x1F or data[start + 7]:
        return
    protocol = data[start + 9]
    old_ports = bytes(data[transport : transport + 4])
    if len(old_ports) == 4 and protocol in _CHECKSUM_AT:
        if flags & _SPAT:
            data[transport : transport + 2] = reverse.dport.to_bytes(2, "big")
        if flags & _DPAT:
            data[transport + 2 : transport + 4] = reverse.sport.to_bytes(2, "big")
        at = transport + _CHECKSUM_AT[protocol]
        if len(data) < at + 2 or (protocol == PROTO_UDP and not data[at] and not data[at + 1]):
            return
        _adjust(data, at, old_addresses + old_ports, new_addresses + bytes(data[transport : transport + 4]))
        if protocol == PROTO_UDP and not data[at] and not data[at + 1]:
            data[at : at + 2] = b"\xff\xff"


def _adjust(data: bytearray, at: int, old: bytes, new: bytes) -> None:
    if old != new:
        value = checksum.update(data[at] << 8 | data[at + 1], old, new)
        data[at : at + 2] = value.to_bytes(2, "big")


def _translate_quoted(flags: int, reverse: FlowKey, data: bytearray, transport: int) -> None:
    """The packet an ICMP error quotes travelled the other way: its destination is our source.

    Both checksums the change touches are brought up to date: the quoted IP header's and the ICMP message's.
    """
    inner = transport + 8
    before = bytes(data[transport:])
    if flags & _SNAT:
        data[inner + 16 : inner + 20] = _word(reverse.dip)
    if flags & _DNAT:
        data[inner + 12 : inner + 16] = _word(reverse.sip)
    header = (data[inner] & 0xF) * 4
    if flags & (_SNAT | _DNAT) and 20 <= header <= len(data) - inner:
        data[inner + 10 : inner + 12] = b"\0\0"
        value = checksum.checksum(bytes(data[inner : inner + header]))
        data[inner + 10 : inner + 12] = value.to_bytes(2, "big")
    ports = inner + header
    if len(data) >= ports + 4 and data[inner + 9] in _CHECKSUM_AT:
        if flags & _SPAT:
            data[ports + 2 : ports + 4] = reverse.dport.to_bytes(2, "big")
        if flags & _DPAT:
            data[ports : ports + 2] = reverse.sport.to_bytes(2, "big")
    _adjust(data, transport + 2, before[4:], bytes(data[transport + 4 :]))


def _route_again(vr: VRouter, entry: FlowEntry, packet: Packet) -> None:
    """The next hop a label chose is for the old destination: look the new one up in the flow's destination VRF."""
    chosen = packet.next_hop
    if not entry.flags & _VRFT or chosen is None:
        return
    if chosen.vrf != packet.dvrf or chosen.has(NhFlag.ROUTE_LOOKUP):
        destination = int.from_bytes(packet.data[packet.network + 16 : packet.network + 20], "big")
        packet.next_hop = vr.store.inet.lookup(packet.dvrf, destination).next_hop
