"""Delivering to an interface: with a new Ethernet header (routed) or as the frame is (bridged) (reference 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..flags import AgentCommand, NhFlag, VifType
from ..packet import IP, IP6, Packet
from ..tables.interface import Interface
from ..tables.next_hop import NextHopEntry
from . import interface_output, qos
from .trap import send_to_agent, trap

if TYPE_CHECKING:
    from ..vrouter import VRouter

_ETHERTYPES = {IP: b"\x08\x00", IP6: b"\x86\xdd"}
_BFD_PORT = 3784


def send(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    """ENCAP next hops, by family."""
    device = next_hop.device
    if device is None:
        vr.drop(packet, Drop.INVALID_IF)
    elif next_hop.bridge:
        _bridged(vr, packet, next_hop, device)
    elif next_hop.has(NhFlag.MCAST):
        _multicast(vr, packet, device)
    else:
        _routed(vr, packet, next_hop, device)


def _bridged(vr: VRouter, packet: Packet, next_hop: NextHopEntry, device: Interface) -> None:
    if packet.etree and not packet.etree_root and not next_hop.has(NhFlag.ETREE_ROOT):
        vr.drop(packet, Drop.LEAF_TO_LEAF)
        return
    if not packet.network:
        packet.restore_link()
    if not packet.network:
        vr.drop(packet, Drop.INVALID_PACKET)
        return
    vr.vrf_stats[packet.dvrf]["l2_encaps"] += 1
    if device.agent:
        _to_agent(vr, packet, next_hop)
        return
    if device.fabric:
        _mark(vr, packet)
    interface_output.transmit(vr, device, packet)


def _routed(vr: VRouter, packet: Packet, next_hop: NextHopEntry, device: Interface) -> None:
    if packet.network:
        packet.strip_link()
    version = packet.data[0] >> 4 if packet.data else 0
    if version == 4:
        packet.type = IP
    elif version == 6:
        packet.type = IP6
    else:
        vr.drop(packet, Drop.INVALID_PROTOCOL)
        return
    if device.agent and not packet.diag:
        _to_agent(vr, packet, next_hop)
        return
    if packet.diag:
        vr.vrf_stats[packet.dvrf]["diags"] += 1
        packet.vif = device
        packet.frame = next_hop.encap[:12] + _ETHERTYPES[packet.type] + packet.data
        trap(vr, packet, packet.dvrf, AgentCommand.DIAG, device.idx)
        return
    vr.vrf_stats[packet.dvrf]["encaps"] += 1
    if device.fabric:
        _mark(vr, packet)
    if device.fabric and _keeps_host_header(packet):
        packet.restore_link()
    else:
        packet.data = next_hop.encap[:-2] + _ETHERTYPES[packet.type] + packet.data
        packet.network = len(next_hop.encap)
        packet.link = b""
    interface_output.transmit(vr, device, packet)


def _mark(vr: VRouter, packet: Packet) -> None:
    marks = qos.forwarding_class(vr, packet)
    if marks is not None:
        qos.mark(packet, marks.dscp)
        packet.dotonep = marks.dotonep


def _keeps_host_header(packet: Packet) -> bool:
    """The host resolved the neighbour itself: unless it addressed the vRouter, its header stays."""
    vif = packet.vif
    if vif.type is not VifType.HOST or packet.mirrored or packet.ecmp_src_nh_index != -1:
        return False
    return bool(packet.link) and packet.link[:6] != vif.mac


def _multicast(vr: VRouter, packet: Packet, device: Interface) -> None:
    if packet.network:
        packet.strip_link()
    if len(packet.data) < 20 or packet.data[0] >> 4 != 4:
        vr.drop(packet, Drop.INVALID_PROTOCOL)
        return
    packet.type = IP
    group = packet.data[16:20]
    dmac = b"\x01\x00\x5e" + bytes((group[1] & 0x7F,)) + group[2:4]
    packet.data = dmac + device.mac + b"\x08\x00" + packet.data
    packet.network = 14
    packet.link = b""
    interface_output.transmit(vr, device, packet)


def _to_agent(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    """The route points at the agent: gateway and DNS addresses, and BFD sessions of its health checks."""
    state = _bfd_state(packet)
    reason = AgentCommand.NEXTHOP if state is None else AgentCommand.BFD
    vr.vrf_stats[packet.dvrf]["encaps"] += not next_hop.bridge
    send_to_agent(vr, packet, reason, next_hop.encap if len(next_hop.encap) == 14 else b"", state or 0)


def _bfd_state(packet: Packet) -> int | None:
    """The state bits of a BFD control packet (UDP port 3784), else None."""
    data, start = packet.data, packet.network
    if packet.type != IP or len(data) < start + 20 or data[start + 9] != 17:
        return None
    transport = start + (data[start] & 0xF) * 4
    if len(data) < transport + 10 or data[transport + 2] << 8 | data[transport + 3] != _BFD_PORT:
        return None
    return data[transport + 9] & 0xC0
