"""Details of drops, for people: which address, label or MAC nothing was known about."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from ..packet import IP, IP6, Packet


def no_route(packet: Packet) -> str:
    """`no route to 9.9.9.9 in VRF 2`."""
    data, start = packet.data, packet.network
    if packet.type == IP and len(data) >= start + 20:
        return f"no route to {IPv4Address(data[start + 16 : start + 20])} in VRF {packet.dvrf}"
    if packet.type == IP6 and len(data) >= start + 40:
        return f"no route to {IPv6Address(data[start + 24 : start + 40])} in VRF {packet.dvrf}"
    return f"in VRF {packet.dvrf}"


def no_mac(packet: Packet) -> str:
    """`no bridge route to 02:00:00:00:00:99 in VRF 2`."""
    return f"no bridge route to {packet.data[:6].hex(':')} in VRF {packet.dvrf}"


def wrong_source(packet: Packet) -> str:
    """Where a packet came from that its source address should not have come from."""
    if packet.outer_source:
        return f"from tunnel {IPv4Address(packet.outer_source)}"
    return f"from vif {packet.vif.idx}"
