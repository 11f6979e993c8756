"""Reading packets that the data plane hands up: the agent header and what is inside (reference/vrouter.md 5, 8).

Never raises.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

HEADER = struct.Struct("!HHHIIIIIB3x")
HEAD = 14 + HEADER.size
ETHERTYPE_IP = 0x0800
ETHERTYPE_ARP = 0x0806
ETHERTYPE_VLAN = 0x8100
ETHERTYPE_IP6 = 0x86DD
ICMP, TCP, UDP, GRE, ICMP6, SCTP = 1, 6, 17, 47, 58, 132
MPLS_PORTS = (6635, 51234)
VXLAN_PORT = 4789
MAX_LABELS = 4
SWITCH_COMMAND = 0


class Trap(NamedTuple):
    """One packet from the data plane. `params` are param, param_1, param_2, param_3, param_4, param_5."""

    vif: int
    vrf: int
    command: int
    params: tuple[int, int, int, int, int, int]
    frame: bytes


def read_trap(packet: bytes) -> Trap | None:
    """None when the packet is too short to carry an agent header."""
    if len(packet) < HEAD:
        return None
    vif, vrf, command, *params = HEADER.unpack_from(packet, 14)
    p = tuple(params)
    return Trap(vif, vrf, command, (p[0], p[1], p[2], p[3], p[4], p[5]), packet[HEAD:])


def to_data_plane(vif: int, vrf: int, command: int, frame: bytes, mac: bytes) -> bytes:
    """A packet for the data plane: SWITCH sends `frame` out of `vif`, ROUTE has it enter there."""
    return mac + mac + b"\x08\x00" + HEADER.pack(vif, vrf, command, 0, 0, 0, 0, 0, 0) + frame


class Ethernet(NamedTuple):
    destination: bytes
    source: bytes
    ethertype: int
    payload: bytes


def read_ethernet(frame: bytes) -> Ethernet | None:
    """VLAN tags are skipped."""
    if len(frame) < 14:
        return None
    offset, ethertype = 14, int.from_bytes(frame[12:14], "big")
    while ethertype == ETHERTYPE_VLAN and len(frame) >= offset + 4:
        ethertype = int.from_bytes(frame[offset + 2 : offset + 4], "big")
        offset += 4
    return Ethernet(frame[:6], frame[6:12], ethertype, frame[offset:])


class Ip(NamedTuple):
    """`source` and `destination` as integers; `sport` and `dport` as a flow key has them.

    `payload` after the IP header.
    """

    version: int
    source: int
    destination: int
    protocol: int
    sport: int
    dport: int
    payload: bytes
    fragment: bool = False


def read_ip(data: bytes, embedded: bool = False) -> Ip | None:
    """An IPv4 or IPv6 packet.

    An ICMP error is read as the packet it is about, turned round, as the data plane keys it.
    """
    if not data:
        return None
    version = data[0] >> 4
    if version == 4:
        length = (data[0] & 15) * 4
        if length < 20 or len(data) < length:
            return None
        protocol = data[9]
        fragment = bool(int.from_bytes(data[6:8], "big") & 0x1FFF)
        source, destination = int.from_bytes(data[12:16], "big"), int.from_bytes(data[16:20], "big")
        payload = data[length:]
    elif version == 6:
        if len(data) < 40:
            return None
        protocol, fragment = data[6], False
        source, destination = int.from_bytes(data[8:24], "big"), int.from_bytes(data[24:40], "big")
        payload = data[40:]
    else:
        return None
    if not fragment and protocol in (ICMP, ICMP6) and len(payload) >= 8:
        return _read_icmp(version, source, destination, protocol, payload, embedded)
    sport = dport = 0
    if protocol in (TCP, UDP, SCTP) and len(payload) >= 4 and not fragment:
        sport, dport = int.from_bytes(payload[:2], "big"), int.from_bytes(payload[2:4], "big")
    return Ip(version, source, destination, protocol, sport, dport, payload, fragment)


_ECHO = {ICMP: (8, 0), ICMP6: (128, 129)}


def _read_icmp(version: int, source: int, destination: int, protocol: int, payload: bytes, embedded: bool) -> Ip | None:
    kind = payload[0]
    request, reply = _ECHO[protocol]
    if kind in (request, reply):
        sport = int.from_bytes(payload[4:6], "big")
        return Ip(version, source, destination, protocol, sport, reply, payload)
    is_error = kind in (3, 11) if protocol == ICMP else kind < 128
    if is_error and not embedded:
        inner = read_ip(payload[8:], True)
        if inner is not None:
            return inner._replace(
                source=inner.destination, destination=inner.source, sport=inner.dport, dport=inner.sport
            )
    return Ip(version, source, destination, protocol, 0, kind, payload)


class Tunnelled(NamedTuple):
    """What came in a tunnel: outer source, MPLS label or VNI, and what the label says is inside."""

    outer_source: int
    label: int
    vxlan: bool
    inner: bytes


def read_tunnel(frame: bytes) -> Tunnelled | None:
    """Take the outer headers off a frame of the fabric; None when there is no tunnel in it."""
    ethernet = read_ethernet(frame)
    if ethernet is None or ethernet.ethertype != ETHERTYPE_IP:
        return None
    outer = read_ip(ethernet.payload)
    if outer is None or outer.version != 4:
        return None
    if outer.protocol == GRE and len(outer.payload) >= 4:
        flags, kind = int.from_bytes(outer.payload[:2], "big"), int.from_bytes(outer.payload[2:4], "big")
        skip = 4 + (4 if flags & 0x8000 else 0) + (4 if flags & 0x2000 else 0)
        return _read_mpls(outer.source, outer.payload[skip:]) if kind == 0x8847 else None
    if outer.protocol == UDP and outer.dport in MPLS_PORTS:
        return _read_mpls(outer.source, outer.payload[8:])
    if outer.protocol == UDP and outer.dport == VXLAN_PORT and len(outer.payload) >= 16:
        return Tunnelled(outer.source, int.from_bytes(outer.payload[12:15], "big"), True, outer.payload[16:])
    return None


def _read_mpls(source: int, data: bytes) -> Tunnelled | None:
    for offset in range(0, 4 * MAX_LABELS, 4):
        if len(data) < offset + 4:
            return None
        word = int.from_bytes(data[offset : offset + 4], "big")
        if word >> 8 & 1:
            return Tunnelled(source, word >> 12, False, data[offset + 4 :])
    return None
