"""Finding or making the flow of a packet (reference/vrouter.md 5 and 7.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..drops import Drop
from ..encapsulation import MPLS_UDP_PORTS, PROTO_GRE, PROTO_UDP, VXLAN_PORT
from ..flags import FLOW_HOLD_LIMIT, NO_VLAN, AgentCommand, FlowAction
from ..packet import IP, IP6, Packet
from ..tables.flows import LookupKey
from . import flow_action, tcp
from .flow_key import inet6_key, inet_key
from .trap import trap
from .well_known import DHCP_CLIENT_PORT

if TYPE_CHECKING:
    from ..vrouter import VRouter

_LINK_LOCAL = 0xA9FE
_TUNNEL_PORTS = MPLS_UDP_PORTS | {VXLAN_PORT}


def flow_forward(vr: VRouter, packet: Packet) -> bool:
    """Put the packet through the flow table where that is due.

    True: the packet goes on, perhaps changed. False: the flow held, dropped or otherwise took it.
    Flows are for untagged unicast IP; a service interface's tag is part of what it is, not of the packet.
    """
    if packet.flow_set or packet.multicast or (packet.vlan != NO_VLAN and not packet.vif.service):
        return True
    if packet.type == IP:
        return _inet(vr, packet)
    if packet.type == IP6:
        return _inet6(vr, packet)
    return True


def _inet(vr: VRouter, packet: Packet) -> bool:
    data, start = packet.data, packet.network
    vif = packet.vif
    if not packet.flow_get:
        if not vif.policy:
            return True
        if vif.vhost and data[start + 16] << 8 | data[start + 17] == _LINK_LOCAL:
            return True
    head = data[start + 16]
    if head & 0xF0 == 0xE0 or data[start + 16 : start + 20] == b"\xff\xff\xff\xff":
        return _broadcast(vr, packet)
    key = inet_key(vr, packet)
    if isinstance(key, Drop):
        # The kernel counts a key it cannot make as a miscellaneous drop, errors about errors included.
        vr.drop(packet, Drop.MISC if key is Drop.ICMP_ERROR else key)
        return False
    if key is None:
        vr.fragments.hold(packet)
        return False
    if vif.fabric and not packet.outer_source and _is_tunnel(key):
        return True
    if data[start + 6] & 0x20:
        vr.fragments.head_inet(packet, key[4], key[5])
    return lookup(vr, packet, key)


def _is_tunnel(key: LookupKey) -> bool:
    return key[3] == PROTO_GRE or (key[3] == PROTO_UDP and key[5] in _TUNNEL_PORTS)


def _broadcast(vr: VRouter, packet: Packet) -> bool:
    """Multicast and broadcast addresses have no flow, but a machine's DHCP request is the agent's."""
    data, start = packet.data, packet.network
    if packet.vif.virtual and packet.vif.dhcp_enabled and data[start + 9] == PROTO_UDP:
        transport = start + (data[start] & 0xF) * 4
        if int.from_bytes(data[transport : transport + 2], "big") == DHCP_CLIENT_PORT:
            trap(vr, packet, packet.dvrf, AgentCommand.L3_PROTOCOLS)
            return False
    return True


def _inet6(vr: VRouter, packet: Packet) -> bool:
    if not packet.flow_get and not packet.vif.policy:
        return True
    key = inet6_key(vr, packet)
    if isinstance(key, Drop):
        vr.drop(packet, Drop.MISC if key is Drop.ICMP_ERROR else key)
        return False
    if key is None:
        vr.fragments.hold(packet)
        return False
    if packet.flow_set:
        return True
    if packet.data[packet.network + 6] == 44:
        vr.fragments.head_inet6(packet, key[4], key[5])
    return lookup(vr, packet, key)


def lookup(vr: VRouter, packet: Packet, key: LookupKey) -> bool:
    """The flow of `key`, made and held when it is new; then its action."""
    packet.flow_set = True
    entry = vr.flows.find(key)
    if entry is None:
        next_hop = packet.next_hop
        if next_hop is not None and (next_hop.relaxed_policy or next_hop.flow_lookup):
            return True
        refusal = _refuse_new_flow(vr, packet)
        if refusal is not None:
            vr.drop(packet, refusal)
            return False
        entry = vr.flows.add(key)
        if entry is None:
            vr.drop(packet, Drop.FLOW_TABLE_FULL)
            return False
        entry.vrf = packet.dvrf
        entry.action = FlowAction.HOLD
        vr.flows.held += 1
    if entry.evict_candidate:
        vr.drop(packet, Drop.FLOW_EVICT)
        return False
    if packet.vif.fabric:
        entry.src_info = packet.outer_source
    elif packet.vif.virtual:
        entry.src_info = packet.vif.idx
    flow_action.set_forwarding(vr, entry, packet)
    if key[3] == tcp.PROTO_TCP:
        tcp.digest(vr, entry, packet)
    return flow_action.count_and_act(vr, entry, packet)


def _refuse_new_flow(vr: VRouter, packet: Packet) -> Drop | None:
    if packet.type == IP:
        data, start = packet.data, packet.network
        if (data[start + 6] & 0x1F) or data[start + 7]:
            return Drop.FLOW_UNUSABLE
    if vr.flows.held > FLOW_HOLD_LIMIT:
        return Drop.FLOW_UNUSABLE
    vif = packet.vif if packet.vif.virtual else None
    if packet.vif.fabric and packet.next_hop is not None and packet.next_hop.valid:
        vif = packet.next_hop.device
    return Drop.NEW_FLOWS if vif is not None and vif.drop_new_flows else None
