"""Building the few packets an agent sends itself."""

from __future__ import annotations

import struct

GATEWAY_MAC = bytes.fromhex("00005e000100")


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ipv4(source: int, destination: int, protocol: int, payload: bytes, ttl: int = 64, ident: int = 0) -> bytes:
    head = struct.pack("!BBHHHBBHII", 0x45, 0, 20 + len(payload), ident, 0, ttl, protocol, 0, source, destination)
    return head[:10] + checksum(head).to_bytes(2, "big") + head[12:] + payload


def udp4(source: int, sport: int, destination: int, dport: int, payload: bytes) -> bytes:
    """An IPv4 packet with a UDP datagram."""
    length = 8 + len(payload)
    pseudo = struct.pack("!IIBBH", source, destination, 0, 17, length)
    head = struct.pack("!HHHH", sport, dport, length, 0)
    total = checksum(pseudo + head + payload) or 0xFFFF
    return ipv4(source, destination, 17, head[:6] + total.to_bytes(2, "big") + payload)


def udp6(source: int, sport: int, destination: int, dport: int, payload: bytes) -> bytes:
    """An IPv6 packet with a UDP datagram."""
    length = 8 + len(payload)
    addresses = source.to_bytes(16, "big") + destination.to_bytes(16, "big")
    head = struct.pack("!HHHH", sport, dport, length, 0)
    total = checksum(addresses + struct.pack("!II", length, 17) + head + payload) or 0xFFFF
    return struct.pack("!IHBB", 6 << 28, length, 17, 64) + addresses + head[:6] + total.to_bytes(2, "big") + payload


def ethernet(destination: bytes, payload: bytes, ethertype: int = 0x0800, source: bytes = GATEWAY_MAC) -> bytes:
    return destination + source + ethertype.to_bytes(2, "big") + payload


def echo_reply(echo: bytes) -> bytes:
    """The ICMP message that answers an echo request."""
    body = b"\0\0\0\0" + echo[4:]
    return body[:2] + checksum(body).to_bytes(2, "big") + body[4:]


def too_big(packet: bytes, mtu: int) -> bytes:
    """ICMP "fragmentation needed" with the first 128 bytes of the offending packet (reference/agent.md 9)."""
    body = struct.pack("!BBHHH", 3, 4, 0, 0, mtu & 0xFFFF) + packet[:128]
    return body[:2] + checksum(body).to_bytes(2, "big") + body[4:]
