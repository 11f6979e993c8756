"""The one door to a data plane: operational objects become the kernel module's rows here, and nowhere else.

reference/agent.md 6, 7 (which object becomes which row and with which flags); reference/vrouter.md 14 (worked sets).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.logger import Logger

from contrail_emulator.vrouter_model.rows import (
    FLOW_DELETED,
    AgentCommand,
    BridgeFlag,
    BridgeRoute,
    Drop,
    Family,
    Flow,
    FlowAction,
    FlowDrop,
    FlowFlag,
    FlowKey,
    FlowResponse,
    Inet6Route,
    InetRoute,
    MplsLabel,
    NextHop,
    NhFlag,
    NhType,
    RouteFlag,
    Row,
    Vif,
    VifFlag,
    VifType,
    Vxlan,
)
from contrail_emulator.vrouter_model.vrouter import VRouter

from .oper import nexthop as oper_nh
from .oper.interfaces import VmInterface
from .oper.local_routes import PHYSICAL_VIF, PKT0_MAC, PKT0_VIF, VHOST_VIF
from .oper.nexthop import L2_RECEIVE, Encap, FloodKind, NextHops
from .oper.oper import flow_key
from .oper.path import NO_LABEL, PeerKind
from .oper.prefix import Prefix
from .oper.vrf import BROADCAST_MAC, FABRIC_VRF, BridgeEntry, Route, Vrf
from .settings import AgentSettings

__all__ = [
    "FLOW_DELETED",
    "AgentCommand",
    "DataPlane",
    "Drop",
    "Flow",
    "FlowAction",
    "FlowDrop",
    "FlowFlag",
    "FlowKey",
    "FlowResponse",
    "KSync",
    "ModelDataPlane",
    "NoDataPlane",
]

T = TypeVar("T")

GATEWAY_MAC = bytes.fromhex("00005e000100")
SERVICE_MACS = (bytes.fromhex("020000000001"), bytes.fromhex("020000000002"))


class DataPlane(Protocol):
    """What an agent asks of a forwarding engine. Operations answer 0 or a negative errno."""

    stores: bool
    """False: nothing is kept, so the agent need not build rows that nobody reads."""

    def add(self, row: Row) -> int: ...

    def change(self, row: Row) -> int: ...

    def delete(self, row: Row) -> int: ...

    def flow_set(self, row: Flow) -> FlowResponse: ...

    def flow_packets(self, key: FlowKey) -> tuple[int, int] | None:
        """(packets, bytes) of a flow; None when there is none."""

    def dump(self, kind: type[T]) -> list[T]: ...

    def attach(self, trap: Callable[[bytes], None] | None) -> None: ...

    def inject(self, packet: bytes) -> None: ...

    def reset(self) -> None: ...

    def drops(self) -> dict[str, int]: ...


class ModelDataPlane:
    """The forwarding model of this package."""

    stores = True

    def __init__(self, vrouter: VRouter) -> None:
        self.vrouter = vrouter

    def add(self, row: Row) -> int:
        return self.vrouter.add(row)

    def change(self, row: Row) -> int:
        return self.vrouter.change(row)

    def delete(self, row: Row) -> int:
        return self.vrouter.delete(row)

    def flow_set(self, row: Flow) -> FlowResponse:
        return self.vrouter.flow_set(row)

    def flow_packets(self, key: FlowKey) -> tuple[int, int] | None:
        entry = self.vrouter.flow(key)
        return None if entry is None else (entry.packets, entry.bytes)

    def dump(self, kind: type[T]) -> list[T]:
        return self.vrouter.dump(kind)

    def attach(self, trap: Callable[[bytes], None] | None) -> None:
        self.vrouter.attach_agent(trap)

    def inject(self, packet: bytes) -> None:
        self.vrouter.from_agent(packet)

    def reset(self) -> None:
        self.vrouter.reset()

    def drops(self) -> dict[str, int]:
        return {reason.name: count for reason, count in sorted(self.vrouter.drops.items())}


class NoDataPlane:
    """Forwards nothing: a scaled agent's. `counts` says how many objects of each kind there would be."""

    stores = False

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, row: Row) -> int:
        self.counts[type(row).__name__] += 1
        return 0

    def change(self, row: Row) -> int:
        return 0

    def delete(self, row: Row) -> int:
        self.counts[type(row).__name__] -= 1
        return 0

    def flow_set(self, row: Flow) -> FlowResponse:
        return FlowResponse(0)

    def flow_packets(self, key: FlowKey) -> tuple[int, int] | None:
        return None

    def dump(self, kind: type[T]) -> list[T]:
        return []

    def attach(self, trap: Callable[[bytes], None] | None) -> None:
        """Nothing is ever trapped."""

    def inject(self, packet: bytes) -> None:
        """There is nowhere to send it."""

    def reset(self) -> None:
        self.counts.clear()

    def drops(self) -> dict[str, int]:
        return {}


# Order in which objects are made; they are unmade in the opposite order.
_INTERFACE, _NEXT_HOP, _LABEL, _VXLAN, _BRIDGE, _ROUTE = range(6)
_NAMES = ("Vif", "NextHop", "MplsLabel", "Vxlan", "BridgeRoute", "InetRoute")


class KSync:
    """Collects what changed and hands it to the data plane in an order the data plane accepts.

    Listens to the operational tables (`oper.OperListener` but for VRFs and adverts). `errors` counts refusals by
    (kind, errno); each kind of refusal is logged once.
    """

    __slots__ = ("_data_plane", "_log", "_next_hops", "_pending", "_settings", "errors", "known")

    def __init__(self, settings: AgentSettings, data_plane: DataPlane) -> None:
        self._settings = settings
        self._data_plane = data_plane
        self._next_hops: NextHops | None = None
        self._pending: list[dict[Any, Row | None]] = [{} for _ in _NAMES]
        self.known: list[dict[Any, Row]] = [{} for _ in _NAMES]
        self.errors: Counter[tuple[str, int]] = Counter()
        self._log = Logger()

    def start(self, next_hops: NextHops) -> None:
        """RESET and the objects every host has: the uplink, vhost0, pkt0."""
        self._next_hops = next_hops
        self._data_plane.reset()
        mac = self._settings.mac
        base = VifFlag.L3_ENABLED | VifFlag.L2_ENABLED
        physical = Vif(PHYSICAL_VIF, VifType.PHYSICAL, base | VifFlag.VHOST_PHYS, name="eth0", mac=mac)
        vhost = Vif(VHOST_VIF, VifType.HOST, base, name="vhost0", mac=mac, ip=self._settings.router_id)
        pkt0 = Vif(PKT0_VIF, VifType.AGENT, VifFlag.L3_ENABLED, name="pkt0", mac=PKT0_MAC)
        for vif in (physical, vhost, pkt0):
            self._put(_INTERFACE, vif.idx, vif)
        next_hops.hold(L2_RECEIVE)
        self.flush()

    # --- what the operational tables tell -----------------------------------------------------------------------------

    def interface_changed(self, interface: VmInterface, present: bool) -> None:
        if not present or not interface.active:
            self._remove(_INTERFACE, interface.index)
            return
        self._put(
            _INTERFACE, interface.index, self._vif(interface) if self._data_plane.stores else _COUNTED[_INTERFACE]
        )

    def next_hop_changed(self, index: int, next_hop: oper_nh.NextHop, present: bool) -> None:
        if not present:
            self._remove(_NEXT_HOP, index)
        elif not self._data_plane.stores:
            self._put(_NEXT_HOP, index, _COUNTED[_NEXT_HOP])
        else:
            self._put(_NEXT_HOP, index, self._next_hop(index, next_hop))

    def label_changed(self, label: int, next_hop: oper_nh.NextHop | None) -> None:
        if next_hop is None:
            self._remove(_LABEL, label)
        else:
            self._put(_LABEL, label, MplsLabel(label, self._index(next_hop)))

    def vxlan_changed(self, vni: int, next_hop: oper_nh.NextHop | None) -> None:
        if next_hop is None:
            self._remove(_VXLAN, vni)
        else:
            self._put(_VXLAN, vni, Vxlan(vni, self._index(next_hop)))

    def vrf_changed(self, vrf: Vrf, present: bool) -> None:
        """A VRF's own MACs: frames to the gateway are routed."""
        for mac in (GATEWAY_MAC, *SERVICE_MACS, self._settings.mac):
            key = (vrf.index, mac)
            if present:
                self._put(_BRIDGE, key, BridgeRoute(vrf.index, mac, oper_nh.L2_RECEIVE_INDEX))
            else:
                self._remove(_BRIDGE, key)

    def bridge_changed(self, vrf: Vrf, mac: bytes, entry: BridgeEntry | None) -> None:
        key = (vrf.index, mac)
        if entry is None:
            self._remove(_BRIDGE, key)
            return
        if not self._data_plane.stores:
            self._put(_BRIDGE, key, _COUNTED[_BRIDGE])
            return
        flags = BridgeFlag(0) if entry.label == NO_LABEL else BridgeFlag.LABEL_VALID
        if mac != BROADCAST_MAC:
            flags |= BridgeFlag.FLOOD_DHCP if entry.label != NO_LABEL else BridgeFlag(0)
        self._put(_BRIDGE, key, BridgeRoute(vrf.index, mac, self._index(entry.next_hop), entry.label, flags))

    def route_changed(self, vrf: Vrf, key: Prefix, route: Route | None) -> None:
        identity = (vrf.index, key)
        if route is None:
            self._remove(_ROUTE, identity)
        elif not self._data_plane.stores:
            self._put(_ROUTE, identity, _COUNTED[_ROUTE])
        else:
            self._put(_ROUTE, identity, self._route(vrf, key, route))

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _index(self, next_hop: oper_nh.NextHop) -> int:
        return 0 if self._next_hops is None else self._next_hops.index(next_hop)

    def _vif(self, interface: VmInterface) -> Vif:
        flags = VifFlag(0)
        if interface.policy:
            flags |= VifFlag.POLICY
        if interface.routed:
            flags |= VifFlag.L3_ENABLED
        if interface.l2_active:
            flags |= VifFlag.L2_ENABLED
        if interface.config is not None and interface.config.dhcp:
            flags |= VifFlag.DHCP_ENABLED
        if interface.network is not None and interface.network.flood_unknown_unicast:
            flags |= VifFlag.UNKNOWN_UC_FLOOD
        address = interface.address4
        return Vif(
            interface.index,
            VifType.VIRTUAL,
            flags,
            interface.vrf,
            interface.port.name,
            GATEWAY_MAC,
            address.address if address else 0,
            nh_id=self._index(flow_key(interface)),
        )

    def _next_hop(self, index: int, value: oper_nh.NextHop) -> NextHop:
        match value:
            case oper_nh.L2Receive():
                return NextHop(index, NhType.L2_RCV, Family.BRIDGE)
            case oper_nh.Receive(vif, policy):
                flags = NhFlag.VALID | (NhFlag.POLICY if policy else NhFlag.RELAXED_POLICY)
                return NextHop(index, NhType.RCV, flags=flags, encap_oif_id=(vif,))
            case oper_nh.Resolve():
                return NextHop(index, NhType.RESOLVE)
            case oper_nh.Interface(vif, vrf, mac, bridge, policy):
                flags = NhFlag.VALID | (NhFlag.POLICY if policy else NhFlag(0)) | NhFlag.ETREE_ROOT
                family = Family.BRIDGE if bridge else Family.INET
                return NextHop(
                    index, NhType.ENCAP, family, flags, vrf, (vif,), b"" if bridge else mac + GATEWAY_MAC + b"\x08\x00"
                )
            case oper_nh.Tunnel():
                return self._tunnel(index, value)
            case oper_nh.VrfTranslate(vrf, flood):
                flags = NhFlag.VALID | (NhFlag.UNKNOWN_UC_FLOOD if flood else NhFlag(0))
                return NextHop(index, NhType.VRF_TRANSLATE, Family.BRIDGE, flags, vrf)
            case oper_nh.Ecmp(members, policy):
                flags = NhFlag.VALID | NhFlag.COMPOSITE_ECMP | (NhFlag.POLICY if policy else NhFlag(0))
                return self._composite(index, Family.INET, flags, 0, members)
            case oper_nh.Flood(kind, vrf, parts):
                return self._composite(index, Family.BRIDGE, NhFlag.VALID | _FLOOD_FLAGS[kind], vrf, parts)
            case _:
                return NextHop(index, NhType.DISCARD)

    def _tunnel(self, index: int, value: oper_nh.Tunnel) -> NextHop:
        """The outer MAC addresses are made from the tunnel's: a lab's underlay is routed by address alone."""
        encap = _underlay_mac(value.destination) + self._settings.mac + b"\x08\x00"
        return NextHop(
            index,
            NhType.TUNNEL,
            Family.INET,
            NhFlag.VALID | _TUNNEL_FLAGS[value.encap],
            0,
            (PHYSICAL_VIF,),
            encap,
            (True,),
            value.source,
            value.destination,
        )

    def _composite(
        self,
        index: int,
        family: Family,
        flags: NhFlag,
        vrf: int,
        members: tuple[oper_nh.Member | None, ...],
    ) -> NextHop:
        ids = tuple(-1 if member is None else self._index(member.next_hop) for member in members)
        labels = tuple(-1 if member is None else member.label for member in members)
        return NextHop(index, NhType.COMPOSITE, family, flags, vrf, nh_list=ids, label_list=labels)

    def _route(self, vrf: Vrf, key: Prefix, route: Route) -> InetRoute | Inet6Route:
        flags = RouteFlag(0) if route.label == NO_LABEL else RouteFlag.LABEL_VALID
        stitched = vrf.stitched.get(key)
        mac = stitched.mac if stitched is not None and stitched.mac in vrf.bridge else bytes(6)
        flags |= _arp_flags(vrf, route, mac != bytes(6))
        next_hop = self._index(route.next_hop)
        label = route.label
        if key.version == 4:
            return InetRoute(vrf.index, key.address, key.length, next_hop, label, flags, mac)
        return Inet6Route(vrf.index, key.address.to_bytes(16, "big"), key.length, next_hop, label, flags, mac)

    # --- order --------------------------------------------------------------------------------------------------------

    def _put(self, kind: int, key: Any, row: Row) -> None:
        self._pending[kind][key] = row

    def _remove(self, kind: int, key: Any) -> None:
        self._pending[kind][key] = None

    def flush(self) -> None:
        """Make what is new from interfaces to routes, unmake what is gone from routes to interfaces."""
        pending, self._pending = self._pending, [{} for _ in _NAMES]
        for kind, changes in enumerate(pending):
            known = self.known[kind]
            for key, row in changes.items():
                if row is not None and known.get(key) != row:
                    operation = self._data_plane.change if key in known else self._data_plane.add
                    if self._check(kind, "add", operation(row)):
                        known[key] = row
        for kind in range(len(pending) - 1, -1, -1):
            for key, row in pending[kind].items():
                old = self.known[kind].pop(key, None) if row is None else None
                if old is not None:
                    self._check(kind, "delete", self._data_plane.delete(old))

    def _check(self, kind: int, verb: str, code: int) -> bool:
        if code < 0:
            name = _NAMES[kind]
            self.errors[name, code] += 1
            if self.errors[name, code] == 1:
                self._log.warn("data plane refused to {verb} a {name}: errno {code}", verb=verb, name=name, code=-code)
        return code >= 0


_COUNTED: tuple[Row, ...] = (
    Vif(-1),
    NextHop(0, NhType.DISCARD),
    MplsLabel(-1),
    Vxlan(-1),
    BridgeRoute(0, b""),
    InetRoute(0, 0, 0),
)
"""What stands for an object of each kind where the data plane keeps nothing."""
_TUNNEL_FLAGS = {
    Encap.GRE: NhFlag.TUNNEL_GRE,
    Encap.UDP: NhFlag.TUNNEL_UDP_MPLS,
    Encap.VXLAN: NhFlag.TUNNEL_VXLAN,
    Encap.NATIVE: NhFlag.TUNNEL_GRE,
    Encap.MPLS: NhFlag.TUNNEL_UDP_MPLS | NhFlag.TUNNEL_MPLS_O_MPLS,
}
_FLOOD_FLAGS = {
    FloodKind.BROADCAST: NhFlag.MCAST,
    FloodKind.EVPN: NhFlag.COMPOSITE_EVPN,
    FloodKind.FABRIC: NhFlag.COMPOSITE_FABRIC,
    FloodKind.LOCAL: NhFlag.COMPOSITE_ENCAP,
}


def _underlay_mac(address: int) -> bytes:
    return b"\x02\x00" + address.to_bytes(4, "big")


def _arp_flags(vrf: Vrf, route: Route, stitched: bool) -> RouteFlag:
    """Who answers ARP for a route (reference/agent.md 6, "Route flags toward vrouter")."""
    path = route.active
    if path is None:
        return RouteFlag(0)
    local = path.local
    trap = RouteFlag.ARP_TRAP if local is not None and local.wait_for_traffic else RouteFlag(0)
    if isinstance(route.next_hop, oper_nh.Resolve):
        return trap if vrf.name == FABRIC_VRF else RouteFlag.ARP_PROXY
    if vrf.routed_only or isinstance(route.next_hop, oper_nh.Ecmp) or stitched:
        return RouteFlag.ARP_PROXY | trap
    if vrf.vn and path.attributes.vns and vrf.vn not in path.attributes.vns:
        return RouteFlag.ARP_PROXY
    if local is not None and local.subnet:
        return RouteFlag.ARP_FLOOD
    if path.peer.kind in (PeerKind.LOCAL, PeerKind.LINKLOCAL):
        return RouteFlag.ARP_PROXY
    return RouteFlag.ARP_FLOOD | trap
