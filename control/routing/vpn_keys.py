"""How a prefix is keyed in a VRF table and how in the VPN table it is replicated with (reference/bgp.md 4.2)."""

from __future__ import annotations

from contrail_emulator.control.bgp import rd as route_distinguisher
from contrail_emulator.control.bgp.family import Family

ETHERNET_AD, MAC_IP, INCLUSIVE_MULTICAST, ETHERNET_SEGMENT, IP_PREFIX, SELECTIVE_MULTICAST = 1, 2, 3, 4, 5, 6
"""EVPN route types, RFC 7432 and RFC 9136."""

PER_SEGMENT_TAG = b"\xff\xff\xff\xff"
"""The Ethernet tag of an auto-discovery route for a whole Ethernet segment."""

_KEEP_RD = (INCLUSIVE_MULTICAST, SELECTIVE_MULTICAST)
BROADCAST_MAC = b"\xff\xff\xff\xff\xff\xff"


def is_broadcast(key: bytes) -> bool:
    """Whether an EVPN key is that of an agent's broadcast MAC route."""
    return key[0] == MAC_IP and key[13:19] == BROADCAST_MAC


def is_replicated(key: bytes, from_vpn: bool) -> bool:
    """Whether an EVPN route may have copies: segments and broadcast stay where they are; of auto-discovery only that of
    a whole segment goes, and only into VRFs."""
    kind = key[0]
    if kind == MAC_IP:
        return key[13:19] != BROADCAST_MAC
    if kind == ETHERNET_AD:
        return from_vpn and key[19:23] == PER_SEGMENT_TAG
    return kind != ETHERNET_SEGMENT


def to_vpn(family: Family, key: bytes, rd: bytes) -> bytes:
    """The key in the VPN table of what has `key` in a VRF table of `family`."""
    if family is Family.INET or family is Family.INET6:
        return rd + key
    if family is Family.E_VPN:
        return key if key[0] in _KEEP_RD else key[:1] + rd + key[9:]
    return key[:2] + rd + key[10:]


def to_vrf(vpn_family: Family, key: bytes) -> tuple[bytes, bytes]:
    """(key in a VRF table, route distinguisher) of a VPN table's key."""
    if vpn_family is Family.INET_VPN or vpn_family is Family.INET6_VPN:
        return key[8:], key[:8]
    if vpn_family is Family.E_VPN:
        rd = key[1:9]
        return (key if key[0] in _KEEP_RD else key[:1] + route_distinguisher.ZERO + key[9:]), rd
    return key[:2] + route_distinguisher.ZERO + key[10:], key[2:10]
