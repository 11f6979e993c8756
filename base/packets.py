"""Ethernet frames around TCP segments and UDP datagrams, with right checksums: what a capture of lo would show."""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import Final

FIN: Final = 0x01
SYN: Final = 0x02
RST: Final = 0x04
PSH: Final = 0x08
ACK: Final = 0x10

_TCP = 6
_UDP = 17
_TTL = 64
_DONT_FRAGMENT = 0x4000
_ETHERNET_IPV4 = bytes(12) + b"\x08\x00"
_ETHERNET_IPV6 = bytes(12) + b"\x86\xdd"
_MAX_IP_LENGTH = 0xFFFF


@dataclass(frozen=True, slots=True)
class SocketAddress:
    """Address bytes (4 or 16) and port of one end."""

    ip: bytes
    port: int

    @classmethod
    def parse(cls, host: str, port: int) -> SocketAddress:
        """From the text form; a zone is dropped, an IPv4-mapped address becomes IPv4. Raises ValueError."""
        address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if not 0 <= port <= 0xFFFF:
            raise ValueError(f"port {port}: expected 0 to 65535")
        return cls(address.packed, port)


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of data that is not all zero."""
    if len(data) % 2:
        data += b"\x00"
    return 0xFFFF - (int.from_bytes(data, "big") % 0xFFFF or 0xFFFF)


def tcp_frame(
    source: SocketAddress,
    destination: SocketAddress,
    sequence: int,
    acknowledgement: int,
    flags: int,
    window: int,
    payload: bytes = b"",
    options: bytes = b"",
) -> bytes:
    """One TCP segment. ``options`` is a multiple of 4 bytes."""
    head = struct.pack(
        "!HHIIBBHHH",
        source.port,
        destination.port,
        sequence & 0xFFFFFFFF,
        acknowledgement & 0xFFFFFFFF,
        (20 + len(options)) // 4 << 4,
        flags,
        window,
        0,
        0,
    )
    segment = head + options + payload
    total = checksum(_pseudo_header(source.ip, destination.ip, _TCP, len(segment)) + segment)
    return _ip_frame(source.ip, destination.ip, _TCP, segment[:16] + total.to_bytes(2, "big") + segment[18:])


def udp_frame(source: SocketAddress, destination: SocketAddress, payload: bytes) -> bytes:
    """One UDP datagram. Raises ValueError when it is too long for IP."""
    length = 8 + len(payload)
    if length > _MAX_IP_LENGTH - (20 if len(source.ip) == 4 else 0):
        raise ValueError(f"{len(payload)} bytes do not fit in one datagram")
    head = struct.pack("!HHH", source.port, destination.port, length)
    pseudo = _pseudo_header(source.ip, destination.ip, _UDP, length)
    total = checksum(pseudo + head + b"\x00\x00" + payload) or 0xFFFF
    return _ip_frame(source.ip, destination.ip, _UDP, head + total.to_bytes(2, "big") + payload)


def _pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    if len(source) == 4:
        return source + destination + struct.pack("!HH", protocol, length)
    return source + destination + struct.pack("!II", length, protocol)


def _ip_frame(source: bytes, destination: bytes, protocol: int, payload: bytes) -> bytes:
    if len(source) == 4:
        head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, _DONT_FRAGMENT, _TTL, protocol, 0)
        total = checksum(head + source + destination)
        return b"".join((_ETHERNET_IPV4, head[:10], total.to_bytes(2, "big"), source, destination, payload))
    head = struct.pack("!IHBB", 0x60000000, len(payload), protocol, _TTL)
    return b"".join((_ETHERNET_IPV6, head, source, destination, payload))
