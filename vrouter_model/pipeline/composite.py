"""Composite next hops: ECMP, and the replication of broadcast, unknown unicast and multicast (reference 7.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..encapsulation import CONTROL_WORD, VXLAN_PORT, entropy_port, udp_tunnel, vxlan_header
from ..flags import NhFlag, NhType
from ..packet import TOR_SOURCE, TREE_HEADER, Packet
from ..tables.next_hop import NextHopEntry
from . import broadcast_control, ecmp, explain, output

if TYPE_CHECKING:
    from ..vrouter import VRouter

FROM_MACHINE = 0
FROM_TOR = 1
FROM_INGRESS_REPLICATION = 2
FROM_EDGE_REPLICATION = 4

_FABRIC, _EVPN, _TOR = int(NhFlag.COMPOSITE_FABRIC), int(NhFlag.COMPOSITE_EVPN), int(NhFlag.COMPOSITE_TOR)
_ENCAP = int(NhFlag.COMPOSITE_ENCAP)


def replicate(vr: VRouter, packet: Packet, group: NextHopEntry) -> None:
    """By kind; the flags are looked at in the vRouter's order."""
    if group.has(NhFlag.MCAST):
        _multicast(vr, packet, group)
    elif group.has(NhFlag.COMPOSITE_ECMP):
        ecmp.send(vr, packet, group)
    elif group.has(NhFlag.COMPOSITE_FABRIC):
        _fabric(vr, packet, group)
    elif group.has(NhFlag.COMPOSITE_EVPN):
        _to_tunnels(vr, packet, group, skip_source=False)
    elif group.has(NhFlag.COMPOSITE_ENCAP):
        _machines(vr, packet, group)
    elif group.has(NhFlag.COMPOSITE_TOR):
        _to_tunnels(vr, packet, group, skip_source=True)
    else:
        vr.drop(packet, Drop.DISCARD)


def _replication_source(packet: Packet, group: NextHopEntry) -> int | None:
    """How the packet came, by the tunnel it came through; None when that source is not in the tree."""
    if not packet.vif.fabric:
        return FROM_MACHINE
    if packet.outer_source:
        for part in group.active:
            member = part.next_hop
            if member is None or not member.valid or not member.flags & (_FABRIC | _EVPN | _TOR):
                continue
            if any(
                leaf.next_hop is not None
                and leaf.next_hop.valid
                and leaf.next_hop.type is NhType.TUNNEL
                and leaf.next_hop.tunnel_destination == packet.outer_source
                for leaf in member.active
            ):
                if member.flags & _EVPN:
                    return FROM_INGRESS_REPLICATION
                return FROM_TOR if member.flags & _TOR else FROM_EDGE_REPLICATION
        if not group.has(NhFlag.VALIDATE_MCAST_SRC):
            return FROM_EDGE_REPLICATION
    return None


def _multicast(vr: VRouter, packet: Packet, group: NextHopEntry) -> None:
    """Handle what the agent and the proxy serve, then copy the packet into every part of the tree that is due."""
    vr.vrf_stats[packet.dvrf]["l2_mcast_composites"] += 1
    source = _replication_source(packet, group)
    if source is None:
        vr.drop(packet, Drop.INVALID_MCAST_SOURCE, explain.wrong_source(packet))
        return
    if source == FROM_TOR:
        packet.src = TOR_SOURCE
    flood_to_machines = True
    if group.bridge:
        if not packet.network:
            vr.drop(packet, Drop.INVALID_PACKET)
            return
        verdict = broadcast_control.handle(vr, packet, source)
        if verdict is broadcast_control.Verdict.TAKEN:
            return
        flood_to_machines = verdict is broadcast_control.Verdict.FLOOD
        start = TREE_HEADER if packet.tree_header else 0
        if flood_to_machines and not packet.data[start] & 1 and _known_machine(vr, packet, source, start):
            return
        if not packet.udp_source_port:
            vrf = (packet.dvrf & 0xFFFF).to_bytes(2, "big")
            packet.udp_source_port = entropy_port(packet.data[start : start + 14] + vrf, vr.hash_seed)
    if not group.components:
        vr.drop(packet, Drop.DISCARD)
        return
    control_data = packet.l2_control_data
    for part in group.active:
        member = part.next_hop
        if member is None or not member.valid or member.type is not NhType.COMPOSITE:
            continue
        copy = _copy_for(vr, packet, member, source, flood_to_machines)
        if copy is not None:
            copy.l2_control_data = control_data and bool(member.flags & _EVPN)
            output.output(vr, copy, member)
    vr.drop(packet, Drop.CLONED_ORIGINAL)


def _known_machine(vr: VRouter, packet: Packet, source: int, start: int) -> bool:
    """Unknown unicast that reached the host of the machine: straight to it."""
    if source in (FROM_MACHINE, FROM_TOR):
        return False
    entry = vr.store.bridge.lookup(packet.dvrf, packet.data[start : start + 6])
    if entry is None or entry.next_hop.type is not NhType.ENCAP:
        return False
    _strip_tree_header(packet)
    output.output(vr, packet, entry.next_hop)
    return True


def _copy_for(
    vr: VRouter, packet: Packet, member: NextHopEntry, source: int, flood_to_machines: bool
) -> Packet | None:
    """A copy for one part of the tree, or None when that part must not see a packet of this source."""
    if member.flags & _ENCAP:
        if not flood_to_machines:
            return None
        copy = vr.clone(packet)
        _strip_tree_header(copy)
        return copy
    if member.flags & _FABRIC:
        if source == FROM_INGRESS_REPLICATION:
            return None
        copy = vr.clone(packet)
    elif member.flags & _EVPN:
        if source not in (FROM_MACHINE, FROM_TOR):
            return None
        copy = vr.clone(packet)
    elif member.flags & _TOR:
        copy = vr.clone(packet)
        _strip_tree_header(copy)
    else:
        return None
    copy.dvrf = member.vrf
    return copy


def _strip_tree_header(packet: Packet) -> None:
    if packet.tree_header:
        packet.data = packet.data[TREE_HEADER:]
        packet.network -= TREE_HEADER
        packet.tree_header = False


def _machines(vr: VRouter, packet: Packet, group: NextHopEntry) -> None:
    """The machines of this host, except the one the packet came from."""
    vr.vrf_stats[packet.dvrf]["encap_composites"] += 1
    if not group.components:
        vr.drop(packet, Drop.DISCARD)
        return
    for part in group.active:
        member = part.next_hop
        if member is None or not member.valid or member.device is None or member.device is packet.vif:
            continue
        copy = vr.clone(packet)
        copy.dvrf = member.device.vrf
        output.output(vr, copy, member)
    vr.drop(packet, Drop.CLONED_ORIGINAL)


def _to_tunnels(vr: VRouter, packet: Packet, group: NextHopEntry, skip_source: bool) -> None:
    """Ingress replication (EVPN) and switches (TOR): each tunnel with its own label or VNI."""
    vr.vrf_stats[packet.dvrf]["evpn_composites"] += 1
    if not group.components:
        vr.drop(packet, Drop.DISCARD)
        return
    for part in group.active:
        member = part.next_hop
        if member is None or not member.valid or member.type is not NhType.TUNNEL:
            continue
        if skip_source and packet.outer_source and packet.outer_source == member.tunnel_destination:
            continue
        copy = vr.clone(packet)
        copy.label = part.label
        copy.label_is_vni = False
        copy.dvrf = member.device.vrf if member.device is not None else packet.dvrf
        output.output(vr, copy, member)
    vr.drop(packet, Drop.CLONED_ORIGINAL)


def _fabric(vr: VRouter, packet: Packet, group: NextHopEntry) -> None:
    """The edge-replicated tree: VNI inside, then a zero control word, then the label of the branch."""
    vr.vrf_stats[packet.dvrf]["fabric_composites"] += 1
    if not group.components:
        vr.drop(packet, Drop.DISCARD)
        return
    vni = packet.label
    for part in group.active:
        member = part.next_hop
        if member is None or not member.valid or member.type is not NhType.TUNNEL:
            continue
        if not (member.has(NhFlag.TUNNEL_GRE) or member.has(NhFlag.TUNNEL_UDP_MPLS)):
            vr.drop(packet, Drop.INVALID_NH)
            return
        if packet.outer_source and packet.outer_source == member.tunnel_destination:
            continue
        copy = vr.clone(packet)
        if group.bridge and not _add_tree_header(vr, copy, member, vni):
            continue
        copy.label = part.label
        copy.label_is_vni = False
        copy.l2_control_data = False
        copy.dvrf = member.device.vrf if member.device is not None else packet.dvrf
        output.output(vr, copy, member)
    vr.drop(packet, Drop.CLONED_ORIGINAL)


def _add_tree_header(vr: VRouter, packet: Packet, member: NextHopEntry, vni: int) -> bool:
    """IP, UDP and VXLAN in front of the frame unless it came with them; then the control word."""
    if not packet.tree_header:
        if vni < 0:
            vr.drop(packet, Drop.INVALID_LABEL)
            return False
        source, destination = member.tunnel_source, member.tunnel_destination
        payload = vxlan_header(vni) + packet.data
        port = packet.udp_source_port or entropy_port(packet.data[:14], vr.hash_seed)
        packet.data = udp_tunnel(payload, source, destination, port, VXLAN_PORT, vr.next_ip_id())
        packet.network += TREE_HEADER
        packet.tree_header = True
    packet.data = CONTROL_WORD + packet.data
    packet.network += len(CONTROL_WORD)
    return True
