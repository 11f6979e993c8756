"""ARP: answer, flood, trap or pass on (reference/vrouter.md 7.10)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from ..drops import Drop
from ..flags import NO_VLAN, AgentCommand, VifType
from ..packet import Packet
from . import interface_output, mac_reply
from .proxy import Decision, Response, is_gateway_interface, is_underlay, proxy_mac
from .trap import trap

if TYPE_CHECKING:
    from ..vrouter import VRouter

_LAYOUT = struct.Struct("!HHBBH6sI6sI")
_REQUEST, _REPLY = 1, 2
_ETHERNET, _IPV4 = 1, 0x0800
_LINK_LOCAL = 0xA9FE


class ArpMessage(NamedTuple):
    """The fields of an ARP message for IPv4 over Ethernet."""

    hardware: int
    protocol: int
    hardware_length: int
    protocol_length: int
    operation: int
    sha: bytes
    spa: int
    dha: bytes
    dpa: int

    @property
    def gratuitous(self) -> bool:
        return not self.spa or self.spa == self.dpa


def read(data: bytes) -> ArpMessage | None:
    """None when it is cut short or not IPv4 over Ethernet."""
    if len(data) < _LAYOUT.size:
        return None
    message = ArpMessage(*_LAYOUT.unpack_from(data))
    if (message.hardware == _ETHERNET and message.hardware_length != 6) or (
        message.protocol == _IPV4 and message.protocol_length != 4
    ):
        return None
    return message


def arp_input(vr: VRouter, packet: Packet, dmac: bytes) -> bool:
    """`packet.data` starts with the ARP message. False: not taken, the caller goes on (bridges or floods it)."""
    message = read(packet.data)
    if message is None or message.operation not in (_REQUEST, _REPLY):
        vr.drop(packet, Drop.INVALID_ARP)
        return True
    if message.operation == _REPLY:
        return _reply(vr, packet)
    response, mac = _decide(vr, packet, message)
    if response is Response.PROXY:
        _answer(vr, packet, message, mac)
    elif response is Response.XCONNECT:
        interface_output.cross_connect(vr, packet)
    elif response is Response.TRAP_X:
        interface_output.cross_connect(vr, vr.clone(packet))
        trap(vr, packet, packet.dvrf, AgentCommand.ARP)
    elif response is Response.MIRROR:
        trap(vr, vr.clone(packet), packet.dvrf, AgentCommand.ARP)
        return False
    elif response is Response.DROP or packet.vif.service:
        vr.drop(packet, Drop.INVALID_ARP)
    else:
        return False
    return True


def _answer(vr: VRouter, packet: Packet, request: ArpMessage, mac: bytes) -> None:
    reply = _LAYOUT.pack(_ETHERNET, _IPV4, 6, 4, _REPLY, mac, request.dpa, request.sha, request.spa)
    mac_reply.send(vr, packet, request.sha + mac + b"\x08\x06" + reply)


def _decide(vr: VRouter, packet: Packet, request: ArpMessage) -> Decision:
    vif = packet.vif
    if vif.virtual:
        return _overlay(vr, packet, request)
    if vif.vhost:
        return _from_host(vr, packet, request)
    if vif.fabric:
        return _from_fabric(vr, packet, request)
    return Response.FLOOD, b""


def _from_host(vr: VRouter, packet: Packet, request: ArpMessage) -> Decision:
    if request.gratuitous:
        return Response.XCONNECT, b""
    if request.dpa >> 16 == _LINK_LOCAL or is_gateway_interface(packet):
        return Response.PROXY, packet.vif.mac
    return _only_proxy_or_cross_connect(_overlay(vr, packet, request))


def _from_fabric(vr: VRouter, packet: Packet, request: ArpMessage) -> Decision:
    if packet.vif.xconnect:
        return Response.XCONNECT, b""
    if not is_underlay(packet):
        return _overlay(vr, packet, request)
    if request.gratuitous:
        return Response.TRAP_X, b""
    return _only_proxy_or_cross_connect(_overlay(vr, packet, request))


def _only_proxy_or_cross_connect(decision: Decision) -> Decision:
    return decision if decision[0] in (Response.PROXY, Response.XCONNECT) else (Response.XCONNECT, b"")


def _overlay(vr: VRouter, packet: Packet, request: ArpMessage) -> Decision:
    """The decision by the route of the address asked for."""
    vif = packet.vif
    if packet.vlan != NO_VLAN:
        return Response.FLOOD, b""
    if request.gratuitous and vif.fabric:
        return Response.FLOOD, b""
    if request.gratuitous and vif.mac_proxy:
        return Response.DROP, b""
    route = vr.store.inet.lookup(packet.dvrf, request.dpa)
    if request.gratuitous:
        return (Response.MIRROR if route.arp_trap else Response.FLOOD), b""
    if vif.mac_proxy or route.arp_proxy:
        return proxy_mac(vr, packet, route)
    vr.vrf_stats[packet.dvrf]["arp_virtual_flood"] += 1
    if vif.vhost or is_underlay(packet):
        return Response.XCONNECT, b""
    return Response.FLOOD, b""


def _reply(vr: VRouter, packet: Packet) -> bool:
    """A reply is the host's and the agent's on the underlay; from a machine it is the agent's when it is for us."""
    vif = packet.vif
    if vif.xconnect or vif.type is VifType.HOST:
        interface_output.cross_connect(vr, packet)
        return True
    if vif.virtual:
        if packet.to_me:
            trap(vr, packet, packet.dvrf, AgentCommand.ARP)
            return True
        if packet.multicast:
            trap(vr, vr.clone(packet), packet.dvrf, AgentCommand.ARP)
        return False
    if vif.fabric:
        if not is_underlay(packet):
            return False
        interface_output.cross_connect(vr, vr.clone(packet))
        trap(vr, packet, packet.dvrf, AgentCommand.ARP)
        return True
    vr.drop(packet, Drop.INVALID_IF)
    return True
