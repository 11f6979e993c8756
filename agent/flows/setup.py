"""From a packet without a flow to a pair of entries.

Routes, floating addresses, reverse-path check, verdict (reference/agent.md 8, 16). Pure.
"""

from __future__ import annotations

from typing import NamedTuple
from zlib import crc32

from ..ksync import FlowDrop, FlowFlag, FlowKey
from ..oper.acl import Endpoint
from ..oper.interfaces import VmInterface
from ..oper.local_routes import PKT0_VIF
from ..oper.nexthop import Discard, Ecmp, Interface, NextHop
from ..oper.oper import Oper
from ..oper.prefix import Prefix
from ..oper.records import FloatingIp
from ..oper.vrf import Route, Vrf
from .packet import Ip, Trap, read_ethernet, read_ip, read_tunnel
from .policy import decide

LINK_LOCAL = 169 << 8 | 254
SNAT = FlowFlag.SNAT | FlowFlag.VRFT
DNAT = FlowFlag.DNAT | FlowFlag.VRFT


class Question(NamedTuple):
    """What is to be decided: the packet, where it came in, the next hop that keys it.

    Asked again when routes change.
    """

    ip: Ip
    ingress: bool
    vif: int
    vrf: int
    key_next_hop: int


class Half(NamedTuple):
    """One entry. `vrf` is where it is looked up; `nat` and `dvrf` say what is translated and where it goes on."""

    key: FlowKey
    vrf: int
    source_next_hop: int = 0
    nat: FlowFlag = FlowFlag(0)
    dvrf: int = 0
    ecmp_index: int = -1


class Answer(NamedTuple):
    """The two entries and the verdict. `source_route` is the route the sender owns, for path preference."""

    forward: Half
    reverse: Half
    reason: FlowDrop | None = None
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
    ethernet = read_ethernet(trap.frame)
    outer = read_ip(ethernet.payload) if ethernet is not None else None
    if trap.vif in oper.by_vif:
        return None if outer is None else Question(outer, True, trap.vif, trap.vrf, key_next_hop)
    vif = _vif_of_key(oper, key_next_hop)
    tunnelled = read_tunnel(trap.frame)
    if tunnelled is None:
        return None if outer is None else Question(outer, False, vif, trap.vrf, key_next_hop)
    target = None if tunnelled.vxlan else oper.labels.next_hop(tunnelled.label)
    bridged = tunnelled.vxlan or (isinstance(target, Interface) and target.bridge)
    inner = read_ethernet(tunnelled.inner) if bridged else None
    ip = read_ip(inner.payload if inner is not None else tunnelled.inner)
    return None if ip is None else Question(ip, False, vif, trap.vrf, key_next_hop)


def _vif_of_key(oper: Oper, key_next_hop: int) -> int:
    """The interface whose flows are keyed by a next hop; -1 when there is none."""
    for interface in oper.interfaces.values():
        if interface.active and oper.flow_key_next_hop(interface) == key_next_hop:
            return interface.index
    return -1


def answer(oper: Oper, asked: Question) -> Answer:
    """Decide about a flow as things are now."""
    ip = asked.ip
    interface = oper.by_vif.get(asked.vif)
    if interface is None or not interface.active:
        return _short(asked, FlowDrop.UNAVAILABLE_INTF)
    if ip.version == 4 and not interface.routed:
        return _short(asked, FlowDrop.IPV4_FWD_DIS)
    floating = None if asked.ingress else _floating(interface, ip.destination, ip.version)
    vrf = oper.vrf_by_index(interface.vrf) if floating is None else oper.rib.vrfs.get(floating.vrf)
    if vrf is None:
        return _short(asked, FlowDrop.UNAVAILABLE_VRF)
    source, destination = vrf.longest(ip.version, ip.source), vrf.longest(ip.version, ip.destination)
    if source is None or isinstance(source.next_hop, Discard):
        return _short(asked, FlowDrop.NO_SRC_ROUTE)
    outside: Vrf | None = None
    if destination is None or isinstance(destination.next_hop, Discard):
        floating, outside, destination = _way_out(oper, interface, ip) if asked.ingress else (None, None, None)
        if destination is None:
            return _short(asked, FlowDrop.NO_DST_ROUTE)
    return _Setup(oper, asked, interface, vrf, source, destination).answer(floating, outside)


class _Setup:
    """Everything is known to be there: routes, interface, VRF."""

    def __init__(
        self, oper: Oper, asked: Question, interface: VmInterface, vrf: Vrf, source: Route, destination: Route
    ) -> None:
        self.oper = oper
        self.asked = asked
        self.ip = asked.ip
        self.interface = interface
        self.vrf = vrf
        self.source = source
        self.destination = destination
        self.forward = _key(asked)

    def answer(self, floating: FloatingIp | None, outside: Vrf | None) -> Answer:
        ip, interface, oper = self.ip, self.interface, self.oper
        component, other = _component(oper, self.destination, self.forward, None if self.asked.ingress else interface)
        receiver = other if self.asked.ingress else interface
        sender = interface if self.asked.ingress else None
        local = self.asked.ingress and other is not None
        ends = (_endpoint(ip, True, self.source), _endpoint(ip, False, self.destination))
        next_hop = self.destination.next_hop
        to_agent = isinstance(next_hop, Interface) and next_hop.vif == PKT0_VIF
        decision = decide(ip.protocol, *ends, sender, receiver)
        key_next_hop = self.asked.key_next_hop
        if local and other is not None:
            key_next_hop = oper.flow_key_next_hop(other)
            floating = floating or _floating(other, ip.destination, ip.version, self.vrf.name)
        elif to_agent:
            key_next_hop = oper.next_hops.index(next_hop)
        forward, reverse = self._halves(key_next_hop, component, floating, outside, receiver)
        if reverse.key == forward.key:
            return _short(self.asked, FlowDrop.SAME_FLOW_RFLOW_KEY)
        return Answer(
            forward,
            reverse,
            None if to_agent else decision.reason,
            "" if to_agent else decision.rule,
            False,
            local,
            interface.uuid,
            _vn(self.source),
            _vn(self.destination),
            self.source if self.asked.ingress else None,
        )

    def _halves(
        self,
        key_next_hop: int,
        component: int,
        floating: FloatingIp | None,
        outside: Vrf | None,
        receiver: VmInterface | None,
    ) -> tuple[Half, Half]:
        """The entries; with a floating address the reverse key is that after translation (reference/vrouter.md 7.6)."""
        ip, vrf = self.ip, self.vrf.index
        rpf = self.interface.network is None or self.interface.network.rpf
        source_nh = self.oper.next_hops.index(self.source.next_hop) if rpf else 0
        destination_nh = self.oper.next_hops.index(self.destination.next_hop) if rpf else 0
        forward = Half(self.forward, vrf, source_nh, ecmp_index=component)
        turned = FlowKey(key_next_hop, self.forward.dip, self.forward.sip, ip.protocol, *_reverse_ports(ip))
        if floating is None:
            return forward, Half(turned, vrf, destination_nh)
        if outside is not None:
            forward = forward._replace(nat=SNAT, dvrf=outside.index)
            back = FlowKey(key_next_hop, turned.sip, floating.address.address, *_rest(turned))
            return forward, Half(back, outside.index, destination_nh, DNAT, vrf)
        inside = receiver.vrf if receiver is not None else vrf
        own = _fixed(floating, receiver)
        forward = forward._replace(nat=DNAT, dvrf=inside)
        back = FlowKey(key_next_hop, own, turned.dip, *_rest(turned))
        return forward, Half(back, inside, destination_nh, SNAT, vrf)


def _rest(key: FlowKey) -> tuple[int, int, int]:
    return key.proto, key.sport, key.dport


def _fixed(floating: FloatingIp, receiver: VmInterface | None) -> int:
    """The machine's own address behind a floating one."""
    if floating.fixed:
        return int.from_bytes(bytes(int(part) for part in floating.fixed.split(".")), "big")
    own = receiver.address4 if receiver is not None else None
    return own.address if own is not None else 0


def _floating(interface: VmInterface, address: int, version: int, vrf: str = "") -> FloatingIp | None:
    """The floating address of an interface that a packet is for."""
    if interface.config is None or version != 4:
        return None
    for one in interface.config.floating_ips:
        if one.address.address == address and one.address.version == 4 and vrf in ("", one.vrf):
            return one
    return None


def _way_out(oper: Oper, interface: VmInterface, ip: Ip) -> tuple[FloatingIp | None, Vrf | None, Route | None]:
    """The floating address to leave with, of those that have a route: longest prefix, lower VRF, lower address."""
    best: tuple[tuple[int, str, Prefix], FloatingIp, Vrf, Route] | None = None
    for one in interface.config.floating_ips if interface.config is not None and ip.version == 4 else ():
        vrf = oper.rib.vrfs.get(one.vrf)
        route = vrf.longest(4, ip.destination) if vrf is not None else None
        fixed = one.fixed or (interface.address4.host if interface.address4 is not None else "")
        if vrf is None or route is None or isinstance(route.next_hop, Discard) or not isinstance(route.key, Prefix):
            continue
        if fixed != Prefix(4, ip.source, 32).host:
            continue
        order = (-route.key.length, one.vrf, one.address)
        if best is None or order < best[0]:
            best = (order, one, vrf, route)
    return best[1:] if best is not None else (None, None, None)


def _key(asked: Question) -> FlowKey:
    ip = asked.ip
    sip, dip = _ends(ip)
    return FlowKey(asked.key_next_hop, sip, dip, ip.protocol, ip.sport, ip.dport)


def _short(asked: Question, reason: FlowDrop) -> Answer:
    forward = _key(asked)
    reverse = FlowKey(asked.key_next_hop, forward.dip, forward.sip, forward.proto, *_reverse_ports(asked.ip))
    vrf = max(asked.vrf, 0)
    return Answer(Half(forward, vrf), Half(reverse, vrf), reason, short=True)


def _reverse_ports(ip: Ip) -> tuple[int, int]:
    """Echo has the identifier at the same place in both directions; other ICMP has a type that does not turn round."""
    if ip.protocol in (1, 58):
        return ip.sport, ip.dport
    return ip.dport, ip.sport


def _ends(ip: Ip) -> tuple[int, int] | tuple[bytes, bytes]:
    if ip.version == 4:
        return ip.source, ip.destination
    return ip.source.to_bytes(16, "big"), ip.destination.to_bytes(16, "big")


def _endpoint(ip: Ip, is_source: bool, route: Route) -> Endpoint:
    address, port = (ip.source, ip.sport) if is_source else (ip.destination, ip.dport)
    path = route.active
    if path is None:
        return Endpoint(ip.version, address, port)
    return Endpoint(ip.version, address, port, path.attributes.vns, path.attributes.security_groups)


def _vn(route: Route) -> str:
    path = route.active
    return path.attributes.vns[0] if path is not None and path.attributes.vns else ""


def _component(oper: Oper, route: Route, key: FlowKey, receiver: VmInterface | None) -> tuple[int, VmInterface | None]:
    """The ECMP component for a flow (-1 without ECMP), and the local interface the flow leads to, if it is one.

    What comes from the fabric has been given to `receiver` already.
    """
    next_hop, index = route.next_hop, -1
    if isinstance(next_hop, Ecmp):
        present = [(place, member) for place, member in enumerate(next_hop.members) if member is not None]
        if not present:
            return -1, None
        if receiver is not None:
            own = [place for place, member in present if _leads_to(member.next_hop, receiver)]
            return (own[0] if own else -1), receiver
        index, member = present[crc32(key.pack()) % len(present)]
        next_hop = member.next_hop
    return index, oper.by_vif.get(next_hop.vif) if isinstance(next_hop, Interface) else None


def _leads_to(next_hop: NextHop, interface: VmInterface) -> bool:
    return isinstance(next_hop, Interface) and next_hop.vif == interface.index


def is_link_local(ip: Ip) -> bool:
    return ip.version == 4 and ip.destination >> 16 == LINK_LOCAL
