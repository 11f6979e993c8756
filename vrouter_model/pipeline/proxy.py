"""Who answers for an address: the vRouter with its own MAC, with the machine's MAC, or nobody (reference 7.10)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from ..flags import NhType, VifType
from ..packet import TOR_EVPN_SOURCE, TOR_SOURCE, Packet
from ..tables.routes import Route

if TYPE_CHECKING:
    from ..vrouter import VRouter


class Response(Enum):
    """What to do with a request for a MAC address (mac_response_t)."""

    DROP = 0
    FLOOD = 1
    PROXY = 2
    NOT_ME = 3
    MIRROR = 4
    TRAP_X = 5
    XCONNECT = 6


Decision = tuple[Response, bytes]
"""The response and, for PROXY, the MAC to answer with."""


def is_underlay(packet: Packet) -> bool:
    """A request of the physical network itself, not one that came out of a tunnel."""
    return packet.vif.fabric and packet.label < 0 and packet.dvrf == packet.vif.vrf


def proxy_mac(vr: VRouter, packet: Packet, route: Route) -> Decision:
    """The decision once the route (or the interface) says that the vRouter may answer."""
    vif = packet.vif
    if vif.mac_proxy:
        return _answer_machine(vr, packet, route, vif.mac, stitched=False)
    to_gateway = route.next_hop.is_gateway
    if vif.no_arp_proxy and not to_gateway:
        return Response.DROP, b""
    overlay = not (vif.vhost or is_underlay(packet))
    mac, stitched = vif.mac, False
    next_hop = None
    if any(route.mac):
        entry = vr.store.bridge.lookup(packet.dvrf, route.mac)
        if entry is not None:
            mac, stitched, next_hop = route.mac, True, entry.next_hop
    if not overlay:
        next_hop = route.next_hop
    if not vif.fabric:
        if vif.vhost:
            return Response.PROXY, mac
        return _answer_machine(vr, packet, route, mac, stitched)
    stats = vr.vrf_stats[packet.dvrf]
    if route.arp_flood and not stitched:
        stats["arp_physical_flood"] += 1
        return Response.FLOOD, b""
    from_switch = packet.src in (TOR_SOURCE, TOR_EVPN_SOURCE)
    if to_gateway and not from_switch:
        return Response.DROP, b""
    hosted = next_hop is not None and next_hop.is_hosted
    if route.next_hop.type is NhType.RESOLVE or to_gateway or hosted or from_switch:
        stats["arp_physical_stitch"] += 1
        return Response.PROXY, mac
    stats["arp_physical_flood"] += 1
    return (Response.FLOOD if overlay else Response.XCONNECT), b""


def _answer_machine(vr: VRouter, packet: Packet, route: Route, mac: bytes, stitched: bool) -> Decision:
    stats = vr.vrf_stats[packet.dvrf]
    if route.arp_flood and not stitched:
        stats["arp_virtual_flood"] += 1
        return Response.FLOOD, b""
    if stitched:
        stats["arp_virtual_stitch"] += 1
    else:
        packet.my_mac = True
        stats["arp_virtual_proxy"] += 1
    return Response.PROXY, mac


def is_gateway_interface(packet: Packet) -> bool:
    return packet.vif.type is VifType.GATEWAY
