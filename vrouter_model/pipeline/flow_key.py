"""Which flow a packet belongs to (reference/vrouter.md 5, flow key)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..encapsulation import PROTO_ICMP, PROTO_ICMP6, PROTO_SCTP, PROTO_TCP, PROTO_UDP
from ..flags import NhFlag, NhType
from ..packet import Packet
from ..tables.flows import LookupKey
from ..tables.interface import Interface

if TYPE_CHECKING:
    from ..vrouter import VRouter

_PORTED = frozenset((PROTO_TCP, PROTO_UDP, PROTO_SCTP))
_ICMP_ERRORS = frozenset((3, 11))
_ICMP_ECHO = frozenset((0, 8))
_ICMP6_ECHO = frozenset((128, 129))
_ICMP6_ECHO_REPLY = 129
_ICMP6_DISCOVERY = frozenset((135, 136))
_IP6_FRAGMENT = 44

_FAT_SOURCE_PORT, _FAT_DESTINATION_PORT, _FAT_SOURCE_IP, _FAT_DESTINATION_IP = 1, 2, 4, 8

Tuple4 = tuple[int, int, int, int, int]
"""(source, destination, protocol, source port, destination port) of IPv4."""


def key_next_hop(packet: Packet) -> int:
    """The next hop id that goes into the key."""
    vif = packet.vif
    next_hop = packet.next_hop
    if vif.fabric and next_hop is not None:
        if next_hop.type in (NhType.ENCAP, NhType.RCV) and next_hop.device is not None:
            return next_hop.device.nh_id
        return next_hop.id
    if vif.service:
        assigned = vif.vrf_assign.get(packet.vlan)
        return 0 if assigned is None else assigned.nh_id
    return vif.nh_id


def inet_key(vr: VRouter, packet: Packet) -> LookupKey | Drop | None:
    """The key of an IPv4 packet. None: a fragment whose first part was not seen yet; a `Drop`: no key can be made."""
    data, start = packet.data, packet.network
    if data[start] & 0xF < 5:
        return Drop.INVALID_PROTOCOL
    if (data[start + 6] & 0x1F) or data[start + 7]:
        ports = vr.fragments.find_inet(packet)
        if ports is None:
            return None
        fields: Tuple4 | Drop = (
            int.from_bytes(data[start + 12 : start + 16], "big"),
            int.from_bytes(data[start + 16 : start + 20], "big"),
            data[start + 9],
            *ports,
        )
    else:
        fields = inet_fields(data, start, embedded=False)
    if isinstance(fields, Drop):
        return fields
    source, destination, protocol, sport, dport = fields
    ignored = fat_flow(packet, protocol, sport, dport)
    if ignored:
        source = 0 if ignored & _FAT_SOURCE_IP else source
        destination = 0 if ignored & _FAT_DESTINATION_IP else destination
        sport = 0 if ignored & _FAT_SOURCE_PORT else sport
        dport = 0 if ignored & _FAT_DESTINATION_PORT else dport
    return (key_next_hop(packet), source, destination, protocol, sport, dport)


def inet_fields(data: bytes, start: int, embedded: bool) -> Tuple4 | Drop:
    """Addresses, protocol and ports of the IPv4 header at `start`; an ICMP error stands for the packet it quotes."""
    if len(data) < start + 20:
        return Drop.PULL
    protocol = data[start + 9]
    source = int.from_bytes(data[start + 12 : start + 16], "big")
    destination = int.from_bytes(data[start + 16 : start + 20], "big")
    transport = start + (data[start] & 0xF) * 4
    if protocol in _PORTED:
        if len(data) < transport + 4:
            return Drop.PULL
        sport = data[transport] << 8 | data[transport + 1]
        return source, destination, protocol, sport, data[transport + 2] << 8 | data[transport + 3]
    if protocol != PROTO_ICMP:
        return source, destination, protocol, 0, 0
    if len(data) < transport + 8:
        return Drop.PULL
    kind = data[transport]
    if kind in _ICMP_ERRORS:
        if embedded:
            return Drop.ICMP_ERROR
        inner = inet_fields(data, transport + 8, embedded=True)
        if isinstance(inner, Drop):
            return inner
        source, destination, protocol, sport, dport = inner
        if protocol == PROTO_ICMP:
            return destination, source, protocol, sport, dport
        return destination, source, protocol, dport, sport
    if kind in _ICMP_ECHO:
        return source, destination, protocol, data[transport + 4] << 8 | data[transport + 5], 0
    return source, destination, protocol, 0, kind


def inet6_key(vr: VRouter, packet: Packet) -> LookupKey | Drop | None:
    """The key of an IPv6 packet, as `inet_key`. Neighbour discovery has no flow: then `packet.flow_set` is set."""
    data, start = packet.data, packet.network
    following = data[start + 6]
    if following == _IP6_FRAGMENT:
        if len(data) < start + 48:
            return Drop.PULL
        if int.from_bytes(data[start + 42 : start + 44], "big") & 0xFFF8:
            ports = vr.fragments.find_inet6(packet)
            if ports is None:
                return None
            addresses = data[start + 8 : start + 24], data[start + 24 : start + 40]
            return (key_next_hop(packet), *addresses, data[start + 40], *ports)
    fields = _inet6_fields(packet, start, embedded=False)
    if isinstance(fields, Drop):
        return fields
    source, destination, protocol, sport, dport = fields
    ignored = fat_flow(packet, protocol, sport, dport)
    if ignored:
        source = bytes(16) if ignored & _FAT_SOURCE_IP else source
        destination = bytes(16) if ignored & _FAT_DESTINATION_IP else destination
        sport = 0 if ignored & _FAT_SOURCE_PORT else sport
        dport = 0 if ignored & _FAT_DESTINATION_PORT else dport
    return (key_next_hop(packet), source, destination, protocol, sport, dport)


def _inet6_fields(packet: Packet, start: int, embedded: bool) -> tuple[bytes, bytes, int, int, int] | Drop:
    data = packet.data
    if len(data) < start + 40:
        return Drop.PULL
    source, destination = data[start + 8 : start + 24], data[start + 24 : start + 40]
    protocol, transport = data[start + 6], start + 40
    if protocol == _IP6_FRAGMENT:
        if len(data) < start + 48:
            return Drop.PULL
        protocol, transport = data[start + 40], start + 48
    if protocol in _PORTED:
        if len(data) < transport + 4:
            return Drop.PULL
        sport = data[transport] << 8 | data[transport + 1]
        return source, destination, protocol, sport, data[transport + 2] << 8 | data[transport + 3]
    if protocol != PROTO_ICMP6:
        return source, destination, protocol, 0, 0
    if len(data) < transport + 8:
        return Drop.PULL
    kind = data[transport]
    if kind < 128:
        if embedded:
            return Drop.ICMP_ERROR
        inner = _inet6_fields(packet, transport + 8, embedded=True)
        if isinstance(inner, Drop):
            return inner
        source, destination, protocol, sport, dport = inner
        if protocol == PROTO_ICMP6:
            return destination, source, protocol, sport, dport
        return destination, source, protocol, dport, sport
    if kind in _ICMP6_ECHO:
        identifier = data[transport + 4] << 8 | data[transport + 5]
        return source, destination, protocol, identifier, _ICMP6_ECHO_REPLY
    if kind in _ICMP6_DISCOVERY:
        packet.flow_set = True
    return source, destination, protocol, 0, kind


def fat_flow(packet: Packet, protocol: int, sport: int, dport: int) -> int:
    """Which fields the fat-flow rules of the machine's vif take out of the key.

    Seen from the fabric the machine is the destination, so the two address bits change places.
    """
    vif = _fat_flow_interface(packet)
    if vif is None or not vif.fat_flow:
        return 0
    rules = vif.fat_flow
    near, far = (sport, dport) if packet.vif is vif else (dport, sport)
    ignored = rules.get((protocol, near)) or rules.get((protocol, far)) or rules.get((protocol, 0)) or 0
    if packet.vif is not vif:
        swapped = ignored & ~(_FAT_SOURCE_IP | _FAT_DESTINATION_IP)
        swapped |= _FAT_DESTINATION_IP if ignored & _FAT_SOURCE_IP else 0
        swapped |= _FAT_SOURCE_IP if ignored & _FAT_DESTINATION_IP else 0
        return swapped
    return ignored


def _fat_flow_interface(packet: Packet) -> Interface | None:
    if packet.vif.virtual:
        return packet.vif
    next_hop = packet.next_hop
    if not packet.vif.fabric or next_hop is None or not next_hop.valid:
        return None
    if next_hop.has(NhFlag.COMPOSITE_ECMP):
        members = (component.next_hop for component in next_hop.active)
        return next((member.device for member in members if member is not None and member.is_hosted), None)
    return next_hop.device
