"""The plain UDP tunnel of mirroring, over IPv4 or IPv6 (reference/vrouter.md 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import checksum
from ..encapsulation import PROTO_UDP, entropy_port, udp_tunnel
from ..flags import Family, NhFlag
from ..packet import IP, IP6, Packet
from ..tables.next_hop import NextHopEntry
from . import l3_input

if TYPE_CHECKING:
    from ..vrouter import VRouter


def send_mirror(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    """Put the copy into UDP with a checksum and route it in the VRF it is in."""
    vr.vrf_stats[packet.dvrf]["udp_tunnels"] += 1
    row = next_hop.row
    sport = entropy_port(packet.data[:64], vr.hash_seed)
    payload = packet.link + packet.data
    vif = packet.vif.row
    if next_hop.family is Family.INET6:
        source6 = vif.ip6 if next_hop.has(NhFlag.TUNNEL_SIP_COPY) and any(vif.ip6) else row.tun_sip6
        packet.data = _udp6(payload, source6, row.tun_dip6, sport, row.tun_dport)
        packet.type = IP6
    else:
        source = (next_hop.has(NhFlag.TUNNEL_SIP_COPY) and vif.ip) or row.tun_sip
        outer = udp_tunnel(payload, source, row.tun_dip, sport, row.tun_dport, vr.next_ip_id())
        packet.data = _with_checksum(outer)
        packet.type = IP
    packet.network = 0
    packet.link = b""
    packet.udp_source_port = sport
    l3_input.forward(vr, packet)


def _with_checksum(data: bytes) -> bytes:
    """Fill the UDP checksum of an IPv4 packet without options."""
    length = len(data) - 20
    pseudo = data[12:20] + bytes((0, PROTO_UDP)) + length.to_bytes(2, "big")
    value = checksum.checksum(pseudo + data[20:]) or 0xFFFF
    return data[:26] + value.to_bytes(2, "big") + data[28:]


def _udp6(payload: bytes, source: bytes, destination: bytes, sport: int, dport: int) -> bytes:
    length = 8 + len(payload)
    udp = sport.to_bytes(2, "big") + dport.to_bytes(2, "big") + length.to_bytes(2, "big") + bytes(2) + payload
    pseudo = source + destination + length.to_bytes(4, "big") + bytes((0, 0, 0, PROTO_UDP))
    value = checksum.checksum(pseudo + udp) or 0xFFFF
    header = b"\x60\0\0\0" + length.to_bytes(2, "big") + bytes((PROTO_UDP, 64)) + source + destination
    return header + udp[:6] + value.to_bytes(2, "big") + udp[8:]
