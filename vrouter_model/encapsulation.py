"""Headers pushed in front of a packet that leaves the host (reference/vrouter.md 9)."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

from .checksum import checksum

if TYPE_CHECKING:
    from .tables.flows import FlowEntry

MPLS_UDP_PORT = 6635
MPLS_UDP_PORTS = frozenset((6635, 51234))
VXLAN_PORT = 4789
PROTO_ICMP = 1
PROTO_IGMP = 2
PROTO_TCP = 6
PROTO_UDP = 17
PROTO_GRE = 47
PROTO_ICMP6 = 58
PROTO_SCTP = 132
GRE_MPLS = b"\x00\x00\x88\x47"
CONTROL_WORD = bytes(4)
SOURCE_PORT_START = 49152
SOURCE_PORT_END = 65535
DEFAULT_MPLS_UDP_SOURCE_PORT = 51000
DEFAULT_VXLAN_SOURCE_PORT = 52000
OUTER_TTL = 64

_IP = struct.Struct("!BBHHHBBHII")
_UDP = struct.Struct("!HHHH")
_WORD = struct.Struct("!I")
_VXLAN = struct.Struct("!II")


def entropy_port(data: bytes, seed: int) -> int:
    """A UDP source port in 49152..65534 that is the same for the same bytes."""
    return (zlib.crc32(data, seed) * (SOURCE_PORT_END - SOURCE_PORT_START) >> 32) + SOURCE_PORT_START


def flow_source_port(entry: FlowEntry, seed: int) -> int:
    """The outer source port of a flow: over its VRF, ports and addresses."""
    return entropy_port((entry.vrf & 0xFFFF).to_bytes(2, "big") + entry.key.pack(), seed)


def ip_header(source: int, destination: int, protocol: int, payload: int, identification: int, dscp: int) -> bytes:
    """An outer IPv4 header without options for `payload` bytes: TTL 64, no fragment bits, checksum filled in."""
    header = _IP.pack(
        0x45,
        (dscp & 0x3F) << 2,
        20 + payload,
        identification & 0xFFFF,
        0,
        OUTER_TTL,
        protocol,
        0,
        source,
        destination,
    )
    return header[:10] + checksum(header).to_bytes(2, "big") + header[12:]


def mpls_word(label: int, ttl: int, bottom: bool = True, exp: int = 0) -> bytes:
    return _WORD.pack((label & 0xFFFFF) << 12 | (exp & 7) << 9 | bottom << 8 | (ttl or OUTER_TTL) & 0xFF)


def udp_tunnel(
    payload: bytes, source: int, destination: int, source_port: int, port: int, identification: int, dscp: int = 0
) -> bytes:
    """IPv4 and UDP (checksum 0) in front of `payload`."""
    length = 8 + len(payload)
    ip = ip_header(source, destination, PROTO_UDP, length, identification, dscp)
    return ip + _UDP.pack(source_port, port, length, 0) + payload


def gre_tunnel(payload: bytes, source: int, destination: int, identification: int, dscp: int = 0) -> bytes:
    """IPv4 and a four-byte GRE header for MPLS in front of `payload`."""
    return ip_header(source, destination, PROTO_GRE, 4 + len(payload), identification, dscp) + GRE_MPLS + payload


def vxlan_header(vni: int) -> bytes:
    return _VXLAN.pack(0x08000000, (vni & 0xFFFFFF) << 8)
