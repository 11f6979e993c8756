"""IPv6 neighbour solicitations: answered by the same decisions as ARP (reference/vrouter.md 7.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import checksum
from ..drops import Drop
from ..encapsulation import PROTO_ICMP6
from ..flags import NO_VLAN
from ..packet import Packet
from . import interface_output, mac_reply
from .proxy import Decision, Response, is_underlay, proxy_mac
from .well_known import ICMP6_NEIGHBOUR_ADVERTISEMENT, ICMP6_NEIGHBOUR_SOLICITATION

if TYPE_CHECKING:
    from ..vrouter import VRouter

_DISCOVERY = (ICMP6_NEIGHBOUR_SOLICITATION, ICMP6_NEIGHBOUR_ADVERTISEMENT)
_SOLICITED, _ROUTER = 0x4000, 0x8000
_TARGET_LINK_ADDRESS = 2
_IP6_HEADER = 40
_WITHOUT_OPTION = _IP6_HEADER + 8 + 16
_WITH_OPTION = _WITHOUT_OPTION + 8


def is_discovery(packet: Packet) -> bool:
    """Whether an IPv6 packet (link layer header present or not) is a solicitation or an advertisement."""
    data, at = packet.data, packet.network + _IP6_HEADER
    return data[packet.network + 6] == PROTO_ICMP6 and len(data) > at and data[at] in _DISCOVERY


def neighbour_input(vr: VRouter, packet: Packet, dmac: bytes) -> bool:
    """`packet.data` starts with an IPv6 header. False: not a solicitation, or one for the caller to bridge or flood."""
    data = packet.data
    if len(data) < _IP6_HEADER:
        vr.drop(packet, Drop.INVALID_PACKET)
        return True
    if data[6] != PROTO_ICMP6:
        return False
    if len(data) < _IP6_HEADER + 8:
        vr.drop(packet, Drop.INVALID_PACKET)
        return True
    if data[_IP6_HEADER] != ICMP6_NEIGHBOUR_SOLICITATION or len(data) < _WITHOUT_OPTION:
        return False
    response, mac = _decide(vr, packet)
    if response is Response.PROXY and len(data) < _WITH_OPTION:
        vr.drop(packet, Drop.INVALID_PACKET)
    elif response is Response.PROXY:
        mac_reply.send(vr, packet, _advertisement(packet, mac))
    elif response is Response.XCONNECT:
        interface_output.cross_connect(vr, packet)
    elif response is Response.DROP:
        vr.drop(packet, Drop.INVALID_ARP)
    else:
        return False
    return True


def _decide(vr: VRouter, packet: Packet) -> Decision:
    vif = packet.vif
    if vif.fabric and vif.xconnect:
        return Response.XCONNECT, b""
    decision = _by_route(vr, packet)
    if (vif.vhost or is_underlay(packet)) and decision[0] is not Response.PROXY:
        return Response.XCONNECT, b""
    return decision


def _by_route(vr: VRouter, packet: Packet) -> Decision:
    data = packet.data
    if packet.vlan != NO_VLAN:
        return Response.FLOOD, b""
    if not any(data[8:24]) and len(data) <= _WITHOUT_OPTION:
        return Response.NOT_ME, b""  # duplicate address detection: let the other machines see it
    target = int.from_bytes(data[_IP6_HEADER + 8 : _WITHOUT_OPTION], "big")
    route = vr.store.inet6.lookup(packet.dvrf, target)
    if packet.vif.mac_proxy or route.arp_proxy:
        return proxy_mac(vr, packet, route)
    return Response.FLOOD, b""


def _advertisement(packet: Packet, mac: bytes) -> bytes:
    """A solicited advertisement for the target, with the router bit when the MAC is the vRouter's own."""
    data = packet.data
    target = data[_IP6_HEADER + 8 : _WITHOUT_OPTION]
    requester = data[8:24]
    requester_mac = data[_WITHOUT_OPTION + 2 : _WITH_OPTION]
    flags = _SOLICITED | (_ROUTER if packet.my_mac else 0)
    body = flags.to_bytes(2, "big") + bytes(2) + target + bytes((_TARGET_LINK_ADDRESS, 1)) + mac
    message = bytes((ICMP6_NEIGHBOUR_ADVERTISEMENT, 0, 0, 0)) + body
    pseudo = target + requester + len(message).to_bytes(4, "big") + bytes((0, 0, 0, PROTO_ICMP6))
    value = checksum.checksum(pseudo + message)
    message = message[:2] + value.to_bytes(2, "big") + message[4:]
    header = data[:4] + len(message).to_bytes(2, "big") + bytes((PROTO_ICMP6, 255)) + target + requester
    return requester_mac + mac + b"\x86\xdd" + header + message
