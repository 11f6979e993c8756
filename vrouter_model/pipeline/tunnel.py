"""Sending to another host: MPLS over GRE or UDP, VXLAN, and the plain UDP of mirroring (reference/vrouter.md 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..encapsulation import (
    CONTROL_WORD,
    MPLS_UDP_PORT,
    VXLAN_PORT,
    entropy_port,
    gre_tunnel,
    mpls_word,
    udp_tunnel,
    vxlan_header,
)
from ..flags import AgentCommand, NhFlag
from ..packet import IP, IP6, Packet
from ..tables.interface import Interface
from ..tables.next_hop import NextHopEntry
from . import interface_output, l3_input, qos, underlay_ecmp
from .mirror_tunnel import send_mirror
from .trap import trap

if TYPE_CHECKING:
    from ..vrouter import VRouter

_OVERHEAD_UDP = 28
_OVERHEAD_GRE = 24
_OVERHEAD_VXLAN = 36
_LABEL = 4


def send(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    """By kind, in the order of precedence the vRouter uses: GRE, UDP, MPLS over UDP, VXLAN."""
    if next_hop.has(NhFlag.TUNNEL_GRE):
        _mpls(vr, packet, next_hop, gre=True)
    elif next_hop.has(NhFlag.TUNNEL_UDP):
        send_mirror(vr, packet, next_hop)
    elif next_hop.has(NhFlag.TUNNEL_UDP_MPLS):
        _mpls(vr, packet, next_hop, gre=False)
    else:
        _vxlan(vr, packet, next_hop)


def source_port(vr: VRouter, packet: Packet) -> int:
    """The outer UDP source port: the flow's, else a hash of the inner headers that is stable for a conversation."""
    if packet.udp_source_port:
        return packet.udp_source_port
    data, start = packet.data, packet.network
    vrf = (packet.dvrf & 0xFFFF).to_bytes(2, "big")
    if packet.type == IP and len(data) >= start + 20:
        transport = start + (data[start] & 0xF) * 4
        fragment = (data[start + 6] & 0x3F) or data[start + 7]
        ports = b"" if fragment or data[start + 9] not in (6, 17, 132) else data[transport : transport + 4]
        return entropy_port(vrf + data[start + 9 : start + 10] + data[start + 12 : start + 20] + ports, vr.hash_seed)
    if packet.type == IP6 and len(data) >= start + 40:
        ports = data[start + 40 : start + 44] if data[start + 6] in (6, 17, 132) else b""
        return entropy_port(vrf + data[start + 6 : start + 7] + data[start + 8 : start + 40] + ports, vr.hash_seed)
    return entropy_port(vrf + data[:14], vr.hash_seed)


def _mpls(vr: VRouter, packet: Packet, next_hop: NextHopEntry, gre: bool) -> None:
    two_labels = next_hop.has(NhFlag.TUNNEL_MPLS_O_MPLS)
    kind = "udp_mpls_over_mpls_tunnels" if two_labels else "gre_mpls_tunnels" if gre else "udp_mpls_tunnels"
    vr.vrf_stats[packet.dvrf][kind] += 1
    if packet.label < 0:
        # The label is lost while a flow holds the packet; the route has it.
        l3_input.forward(vr, packet)
        return
    if _loops(vr, packet, next_hop):
        return
    overhead = (_OVERHEAD_GRE if gre else _OVERHEAD_UDP) + _LABEL * (1 + two_labels)
    overhead += len(CONTROL_WORD) if packet.l2_control_data else 0
    chosen = underlay_ecmp.device_and_header(vr, packet, next_hop)
    if chosen is None:
        return
    device, header = chosen
    if _too_big(vr, packet, device, overhead):
        return
    identification = _inner_identification(vr, packet) if gre else vr.next_ip_id()
    port = 0 if gre else source_port(vr, packet)
    marks = qos.forwarding_class(vr, packet)
    exp, dscp = (0, 0) if marks is None else (marks.mpls_qos, marks.dscp)
    payload = mpls_word(packet.label, packet.ttl, exp=exp)
    if two_labels:
        payload = mpls_word(next_hop.row.transport_label, packet.ttl, bottom=False, exp=exp) + payload
    payload += (CONTROL_WORD if packet.l2_control_data else b"") + packet.data
    source, destination = next_hop.tunnel_source, next_hop.tunnel_destination
    if gre:
        outer = gre_tunnel(payload, source, destination, identification, dscp)
    else:
        outer = udp_tunnel(payload, source, destination, port, MPLS_UDP_PORT, identification, dscp)
    _transmit(vr, packet, device, header + outer)


def _vxlan(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> None:
    if packet.label < 0:
        vr.drop(packet, Drop.INVALID_LABEL)
        return
    vr.vrf_stats[packet.dvrf]["vxlan_tunnels"] += 1
    if _loops(vr, packet, next_hop):
        return
    chosen = underlay_ecmp.device_and_header(vr, packet, next_hop)
    if chosen is None:
        return
    device, header = chosen
    if next_hop.has(NhFlag.L3_VXLAN) and not _rewrite_for_routing(vr, packet, next_hop, device):
        return
    if not packet.network:
        packet.restore_link()
    if not packet.network and not packet.tree_header:
        vr.drop(packet, Drop.INVALID_PACKET)
        return
    if _too_big(vr, packet, device, _OVERHEAD_VXLAN):
        return
    port = source_port(vr, packet)
    source, destination = next_hop.tunnel_source, next_hop.tunnel_destination
    marks = qos.forwarding_class(vr, packet)
    payload = vxlan_header(packet.label) + packet.data
    dscp = 0 if marks is None else marks.dscp
    outer = udp_tunnel(payload, source, destination, port, VXLAN_PORT, vr.next_ip_id(), dscp)
    _transmit(vr, packet, device, header + outer)


def _rewrite_for_routing(vr: VRouter, packet: Packet, next_hop: NextHopEntry, device: Interface) -> bool:
    """VXLAN routing: the inner Ethernet header is between the two routers; the frame had one already."""
    if not any(device.mac):
        vr.drop(packet, Drop.INTERFACE_DROP)
        return False
    if packet.network:
        packet.strip_link()
    ethertype = b"\x86\xdd" if packet.type == IP6 else b"\x08\x00"
    packet.data = next_hop.row.rw_dst_mac + device.mac + ethertype + packet.data
    packet.network = 14
    packet.link = b""
    return True


def _loops(vr: VRouter, packet: Packet, next_hop: NextHopEntry) -> bool:
    """A packet from the fabric must not go back to the host it came from."""
    if packet.vif.fabric and packet.outer_source and packet.outer_source == next_hop.tunnel_destination:
        vr.drop(packet, Drop.PKT_LOOP)
        return True
    return False


def _too_big(vr: VRouter, packet: Packet, device: Interface, overhead: int) -> bool:
    """With DF set the agent answers for us (HANDLE_DF: MTU and flow); without it the sender's host would fragment."""
    if packet.type not in (IP, IP6) or len(packet.data) + overhead <= device.mtu:
        return False
    if packet.type == IP and not packet.data[packet.network + 6] & 0x40:
        return False
    if packet.multicast:
        vr.drop(packet, Drop.MCAST_DF_BIT)
    else:
        mtu = device.mtu - (overhead + packet.network)
        trap(vr, packet, packet.dvrf, AgentCommand.HANDLE_DF, mtu, packet.flow_index)
    return True


def _inner_identification(vr: VRouter, packet: Packet) -> int:
    if packet.type != IP:
        return vr.next_ip_id()
    return packet.data[packet.network + 4] << 8 | packet.data[packet.network + 5]


def _transmit(vr: VRouter, packet: Packet, device: Interface, frame: bytes) -> None:
    packet.data = frame
    packet.network = 14
    packet.link = b""
    packet.type = IP
    interface_output.transmit(vr, device, packet)
