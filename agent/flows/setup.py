"""From a packet without a flow to a pair of entries.

Routes, reverse-path check, verdict (reference/agent.md 8, 16). Pure.
"""

from __future__ import annotations

from typing import NamedTuple

from ..ksync import FlowDrop, FlowKey
from ..oper.acl import Endpoint
from ..oper.interfaces import VmInterface
from ..oper.local_routes import PKT0_VIF
from ..oper.nexthop import Discard, Ecmp, Interface, NextHop
from ..oper.oper import Oper
from ..oper.vrf import Route, Vrf
from .packet import Ip, Trap, read_ethernet, read_ip, read_tunnel
from .policy import decide

LINK_LOCAL = 169 << 24 | 254 << 16


class Question(NamedTuple):
    """What is to be decided: the packet, where it came in, the next hop that keys it.

    Asked again when routes change.
    """

    ip: Ip
    ingress: bool
    vif: int
    vrf: int
    key_next_hop: int


class Answer(NamedTuple):
    """The two entries and the verdict. `source_key` is the route the sender owns, for path preference."""

    forward: FlowKey
    reverse: FlowKey
    vrf: int
    source_next_hop: int
    reverse_next_hop: int
    reason: FlowDrop | None
    rule: str = ""
    short: bool = False
    local: bool = False
    interface: str = ""
    source_vn: str = ""
    destination_vn: str = ""
    source_route: Route | None = None


def question(oper: Oper, trap: Trap) -> Question | None:
    """Read a flow trap; None for what is no IP packet."""
    key_next_hop = trap.params[1]
    if trap.vif in oper.by_vif:
        ethernet = read_ethernet(trap.frame)
        ip = read_ip(ethernet.payload) if ethernet is not None else None
        return None if ip is None else Question(ip, True, trap.vif, trap.vrf, key_next_hop)
    tunnelled = read_tunnel(trap.frame)
    if tunnelled is None:
        ethernet = read_ethernet(trap.frame)
        ip = read_ip(ethernet.payload) if ethernet is not None else None
        return None if ip is None else Question(ip, False, -1, trap.vrf, key_next_hop)
    bridged = tunnelled.vxlan
    target = None if bridged else oper.labels.next_hop(tunnelled.label)
    if isinstance(target, Interface):
        bridged = target.bridge
    inner = tunnelled.inner
    ethernet = read_ethernet(inner) if bridged else None
    if bridged and ethernet is not None and (ip := read_ip(ethernet.payload)) is not None:
        vif = target.vif if isinstance(target, Interface) else _vif_of_mac(oper, trap.vrf, ethernet.destination)
        return Question(ip, False, vif, trap.vrf, key_next_hop)
    ip = read_ip(inner)
    vif = target.vif if isinstance(target, Interface) else -1
    return None if ip is None else Question(ip, False, vif, trap.vrf, key_next_hop)


def _vif_of_mac(oper: Oper, vrf: int, mac: bytes) -> int:
    for interface in oper.interfaces.values():
        if interface.mac == mac and interface.vrf == vrf:
            return interface.index
    return -1


def answer(oper: Oper, asked: Question) -> Answer:
    """Decide about a flow as things are now."""
    ip = asked.ip
    interface = oper.by_vif.get(asked.vif)
    vrf = oper.vrf_by_index(interface.vrf if interface is not None and interface.vrf >= 0 else asked.vrf)
    sip, dip = _ends(ip)
    forward = FlowKey(asked.key_next_hop, sip, dip, ip.protocol, ip.sport, ip.dport)
    if interface is None or not interface.active:
        return _short(forward, asked, FlowDrop.UNAVAILABLE_INTF)
    if ip.version == 4 and not interface.routed:
        # bridged only: the flow is by addresses all the same, but there are no routes to find
        return _short(forward, asked, FlowDrop.IPV4_FWD_DIS)
    if vrf is None:
        return _short(forward, asked, FlowDrop.UNAVAILABLE_VRF)
    source, destination = vrf.longest(ip.version, ip.source), vrf.longest(ip.version, ip.destination)
    if source is None or isinstance(source.next_hop, Discard):
        return _short(forward, asked, FlowDrop.NO_SRC_ROUTE)
    if destination is None or isinstance(destination.next_hop, Discard):
        return _short(forward, asked, FlowDrop.NO_DST_ROUTE)
    return _decide(oper, asked, forward, interface, vrf, source, destination)


def _decide(
    oper: Oper, asked: Question, forward: FlowKey, interface: VmInterface, vrf: Vrf, source: Route, destination: Route
) -> Answer:
    ip = asked.ip
    other = _local_end(oper, destination if asked.ingress else source)
    sender, receiver = (interface, other) if asked.ingress else (other, interface)
    local = asked.ingress and other is not None
    ends = (
        _endpoint(ip.version, ip.source, ip.sport, source),
        _endpoint(ip.version, ip.destination, ip.dport, destination),
    )
    to_agent = isinstance(destination.next_hop, Interface) and destination.next_hop.vif == PKT0_VIF
    decision = decide(ip.protocol, *ends, sender, receiver if asked.ingress is False or local else None)
    reason, rule = (None, "") if to_agent else decision
    key_next_hop = asked.key_next_hop
    if local and other is not None:
        key_next_hop = oper.flow_key_next_hop(other)
    elif to_agent:
        key_next_hop = oper.next_hops.index(destination.next_hop)
    reverse = FlowKey(key_next_hop, forward.dip, forward.sip, ip.protocol, *_reverse_ports(ip))
    if reverse == forward:
        return _short(forward, asked, FlowDrop.SAME_FLOW_RFLOW_KEY)
    network = interface.network
    rpf = network is None or network.rpf
    return Answer(
        forward,
        reverse,
        vrf.index,
        oper.next_hops.index(source.next_hop) if rpf else 0,
        oper.next_hops.index(destination.next_hop) if rpf else 0,
        reason,
        rule,
        False,
        local,
        interface.uuid,
        _vn(source),
        _vn(destination),
        source if asked.ingress else None,
    )


def _short(forward: FlowKey, asked: Question, reason: FlowDrop) -> Answer:
    reverse = FlowKey(asked.key_next_hop, forward.dip, forward.sip, forward.proto, *_reverse_ports(asked.ip))
    return Answer(forward, reverse, max(asked.vrf, 0), 0, 0, reason, short=True)


def _reverse_ports(ip: Ip) -> tuple[int, int]:
    """Echo has the identifier at the same place in both directions; other ICMP has a type that does not turn round."""
    if ip.protocol in (1, 58):
        return ip.sport, ip.dport
    return ip.dport, ip.sport


def _ends(ip: Ip) -> tuple[int, int] | tuple[bytes, bytes]:
    if ip.version == 4:
        return ip.source, ip.destination
    return ip.source.to_bytes(16, "big"), ip.destination.to_bytes(16, "big")


def _endpoint(version: int, address: int, port: int, route: Route) -> Endpoint:
    path = route.active
    if path is None:
        return Endpoint(version, address, port)
    return Endpoint(version, address, port, path.attributes.vns, path.attributes.security_groups)


def _vn(route: Route) -> str:
    path = route.active
    return path.attributes.vns[0] if path is not None and path.attributes.vns else ""


def _local_end(oper: Oper, route: Route) -> VmInterface | None:
    """The local interface a route leads to, if it leads to one alone."""
    next_hop: NextHop = route.next_hop
    if isinstance(next_hop, Ecmp):
        locals_ = [m.next_hop for m in next_hop.members if m is not None and isinstance(m.next_hop, Interface)]
        if len(locals_) != len([m for m in next_hop.members if m is not None]) or not locals_:
            return None
        next_hop = locals_[0]
    return oper.by_vif.get(next_hop.vif) if isinstance(next_hop, Interface) else None


def is_link_local(ip: Ip) -> bool:
    return ip.version == 4 and ip.destination >> 16 == LINK_LOCAL >> 16
