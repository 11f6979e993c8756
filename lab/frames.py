"""The few frames a machine needs: Ethernet, ARP (RFC 826), IPv4 (RFC 791), ICMP echo (RFC 792), UDP (RFC 768)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

BROADCAST = b"\xff" * 6
ETHERTYPE_IPV4 = 0x0800
ETHERTYPE_ARP = 0x0806
ARP_REQUEST, ARP_REPLY = 1, 2
PROTOCOL_ICMP, PROTOCOL_TCP, PROTOCOL_UDP = 1, 6, 17
ECHO_REPLY, ECHO_REQUEST = 0, 8


def checksum(data: bytes) -> int:
    """The Internet checksum of `data` (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ethernet(destination: bytes, source: bytes, ethertype: int, payload: bytes) -> bytes:
    return destination + source + struct.pack("!H", ethertype) + payload


@dataclass(frozen=True, slots=True)
class Arp:
    """An ARP packet for IPv4 over Ethernet."""

    operation: int
    sender_mac: bytes
    sender: bytes
    target_mac: bytes
    target: bytes

    def encode(self) -> bytes:
        return struct.pack("!HHBBH", 1, ETHERTYPE_IPV4, 6, 4, self.operation) + (
            self.sender_mac + self.sender + self.target_mac + self.target
        )

    @classmethod
    def decode(cls, data: bytes) -> Arp | None:
        """None for anything that is not a whole IPv4-over-Ethernet ARP packet."""
        if len(data) < 28 or data[:6] != b"\0\x01\x08\0\x06\x04":
            return None
        return cls(int.from_bytes(data[6:8], "big"), data[8:14], data[14:18], data[18:24], data[24:28])


@dataclass(frozen=True, slots=True)
class Ipv4:
    """An IPv4 packet without options or fragments."""

    source: bytes
    destination: bytes
    protocol: int
    payload: bytes
    ttl: int = 64
    identification: int = 0

    def encode(self) -> bytes:
        header = struct.pack(
            "!BBHHHBBH4s4s", 0x45, 0, 20 + len(self.payload), self.identification, 0, self.ttl, self.protocol, 0,
            self.source, self.destination,
        )  # fmt: skip
        return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + self.payload

    @classmethod
    def decode(cls, data: bytes) -> Ipv4 | None:
        """None for a packet that is cut short, carries a wrong header checksum, or is a fragment."""
        if len(data) < 20 or data[0] >> 4 != 4:
            return None
        header_length = (data[0] & 15) * 4
        total = int.from_bytes(data[2:4], "big")
        if header_length < 20 or not header_length <= total <= len(data) or checksum(data[:header_length]):
            return None
        if int.from_bytes(data[6:8], "big") & 0x3FFF:
            return None
        return cls(
            data[12:16], data[16:20], data[9], data[header_length:total], data[8], int.from_bytes(data[4:6], "big")
        )


def echo(kind: int, identifier: int, sequence: int, payload: bytes) -> bytes:
    """An ICMP echo request or reply."""
    header = struct.pack("!BBHHH", kind, 0, 0, identifier, sequence)
    return header[:2] + struct.pack("!H", checksum(header + payload)) + header[4:] + payload


def udp(source: bytes, destination: bytes, source_port: int, destination_port: int, payload: bytes) -> bytes:
    """A UDP datagram; the addresses are those of the pseudo header."""
    length = 8 + len(payload)
    header = struct.pack("!HHHH", source_port, destination_port, length, 0)
    pseudo = source + destination + struct.pack("!BBH", 0, PROTOCOL_UDP, length)
    return header[:6] + struct.pack("!H", checksum(pseudo + header + payload) or 0xFFFF) + payload
