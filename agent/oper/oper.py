"""The operational tables of one agent.

Recomputed from the graph and the ports, kept between recomputations only by index.
"""

from __future__ import annotations

from collections.abc import Hashable
from ipaddress import IPv4Address
from typing import Any, Protocol

from contrail_emulator.config.graph import Graph

from ..port import Port
from ..settings import AgentSettings
from .adverts import Advertiser
from .indices import Indices
from .interfaces import FIRST_VM_VIF, VmInterface, interface
from .labels import Labels
from .local_routes import Fabric, LocalKey, fabric_routes, flood_route, machine_routes, network_routes
from .nexthop import Encap, NextHop, NextHops, VrfTranslate
from .path import Path, PeerKind
from .preference import Preference
from .prefix import Prefix
from .read_config import read
from .records import Configuration
from .resolve import Resolver
from .rib import Rib, RibListener
from .vrf import FABRIC_VRF, NO_ADDRESS, EvpnKey, RouteKey, Table, Vrf

FABRIC_VRF_INDEX = 0
MAX_VIFS = 4355
_TUNNEL_TYPES = {"mplsogre": Encap.GRE, "mplsoudp": Encap.UDP, "vxlan": Encap.VXLAN}


class OperListener(RibListener, Protocol):
    """Who hears of everything else: the data plane and the channels."""

    def next_hop_changed(self, index: int, next_hop: NextHop, present: bool) -> None: ...

    def label_changed(self, label: int, next_hop: NextHop | None) -> None: ...

    def vxlan_changed(self, vni: int, next_hop: NextHop | None) -> None: ...

    def interface_changed(self, interface: VmInterface, present: bool) -> None: ...

    def vrf_changed(self, vrf: Vrf, present: bool) -> None: ...

    def broadcast_changed(self, vrf: Vrf, wanted: bool) -> None: ...

    def flushed(self) -> None: ...


class Oper:
    """One agent's tables. `recompute` after configuration or ports changed, `flush` after paths did."""

    def __init__(self, settings: AgentSettings, listener: OperListener, clock: Any) -> None:
        self.settings = settings
        self.configuration = Configuration()
        self.ports: dict[str, Port] = {}
        self.interfaces: dict[str, VmInterface] = {}
        self.by_vif: dict[int, VmInterface] = {}
        self.broadcast_vrfs: set[str] = set()
        self._listener = listener
        self._clock = clock
        self._retries: set[Any] = set()
        self._vifs: Indices[str] = Indices(FIRST_VM_VIF, MAX_VIFS)
        self._vrf_indices: Indices[str] = Indices(FABRIC_VRF_INDEX, settings.max_vrfs)
        self._preferences: dict[tuple[str, Prefix], Preference] = {}
        self._local: dict[LocalKey, Path] = {}
        self._owners: set[Hashable] = set()
        self._vxlans: dict[int, VrfTranslate] = {}
        self.next_hops = NextHops(listener.next_hop_changed)
        self.labels = Labels(self.next_hops, listener.label_changed, settings.max_labels)
        tunnel = _TUNNEL_TYPES.get(settings.tunnel_type.lower(), Encap.GRE)
        resolver = Resolver(settings.router_id, tunnel, self.labels.next_hop)
        advertiser = Advertiser(settings.tunnel_address, settings.mac)
        self.rib = Rib(resolver, advertiser, self.next_hops, self.labels, listener)
        gateway = int(IPv4Address(settings.underlay_gateway)) if settings.underlay_gateway else -1
        self._fabric = Fabric(settings.router_id, settings.underlay_prefix_length, gateway)

    # --- input --------------------------------------------------------------------------------------------------------

    def add_port(self, port: Port) -> None:
        self.ports[port.uuid] = port

    def delete_port(self, uuid: str) -> Port | None:
        return self.ports.pop(uuid, None)

    def recompute(self, graph: Graph) -> None:
        """Bring every table in line with the graph and the ports."""
        self.configuration = read(graph)
        self._use_priorities()
        self._add_vrfs()
        stale = self._compute_interfaces()
        self._set_local_routes(self._desired())
        self._compute_floods()
        self.rib.flush()
        self._remove_labels()
        for old in stale:
            self._listener.interface_changed(old, False)
        self._remove_vrfs()
        self._listener.flushed()
        self.next_hops.settle()

    def flush(self) -> None:
        """Work off changed paths."""
        self.rib.flush()
        self._listener.flushed()
        self.next_hops.settle()

    def heard(self, vrf: Vrf, table: Table, key: RouteKey, path: Path) -> None:
        """A control node's path for something a local machine may also claim: the higher sequence owns it."""
        route = vrf.get(table, key)
        if route is None or all(hop.address == self.settings.router_id for hop in path.hops):
            return
        address = key.address if isinstance(key, EvpnKey) else key
        for own in route.paths:
            if own.peer.kind is PeerKind.LOCAL_VM_PORT:
                machine = self._preferences.get((own.peer.name, address))
                if machine is not None and machine.heard(path.attributes.sequence):
                    self._refresh(own.peer.name)

    def traffic_seen(self, uuid: str, address: Prefix) -> bool:
        """A machine sent a packet from `address`: it owns it now. True when that changed what is published."""
        interface = self.interfaces.get(uuid)
        if interface is None or not interface.active:
            return False
        now = self._clock.seconds()
        moved = False
        for key in (address, NO_ADDRESS):
            machine = self._preferences.get((uuid, key))
            if machine is None:
                continue
            waiting = machine.held
            moved = machine.traffic_seen(now) or moved
            if machine.held and not waiting:
                self._retry_later(uuid, machine)
        if moved:
            self._refresh(uuid)
            self.flush()
        return moved

    def _retry_later(self, uuid: str, machine: Preference) -> None:
        """Traffic came while the address was held for flapping."""

        def retry() -> None:
            self._retries.discard(call)
            if machine.retry(self._clock.seconds()) and uuid in self.interfaces:
                self._refresh(uuid)
                self.flush()

        call = self._clock.callLater(machine.hold_until - self._clock.seconds(), retry)
        self._retries.add(call)

    def stop(self) -> None:
        """Cancel what is to be retried."""
        for call in self._retries:
            call.cancel()
        self._retries.clear()

    # --- reading ------------------------------------------------------------------------------------------------------

    def vrf_by_index(self, index: int) -> Vrf | None:
        for vrf in self.rib.vrfs.values():
            if vrf.index == index:
                return vrf
        return None

    def flow_key_next_hop(self, interface: VmInterface) -> int:
        """Index of the next hop by which flows of an interface are keyed."""
        return self.next_hops.index(flow_key(interface)) if interface.active else 0

    # --- allocations (local_routes.Allocations) -----------------------------------------------------------------------

    def label(self, owner: tuple[str, str]) -> int:
        self._owners.add(owner)
        return self.labels.take(owner)

    def preference(self, uuid: str, address: Prefix, static: int, active_active: bool) -> Preference:
        machine = self._preferences.get((uuid, address))
        if machine is None or not machine.configured_as(static, active_active):
            machine = self._preferences[uuid, address] = Preference(static, active_active)
        return machine

    # --- steps of a recomputation -------------------------------------------------------------------------------------

    def _use_priorities(self) -> None:
        priorities = self.configuration.globals.encapsulations
        if priorities != self.rib.resolver.priorities:
            self.rib.resolver.priorities = priorities
            self.rib.retry()

    def _add_vrfs(self) -> None:
        names = sorted(self.configuration.vrfs)
        for name in (FABRIC_VRF, *names):
            if name not in self.rib.vrfs:
                vrf = self.rib.add_vrf(name, self._vrf_indices.take(name))
                self._listener.vrf_changed(vrf, True)
            vrf = self.rib.vrfs[name]
            vrf.vn = self.configuration.vrfs.get(name, vrf.vn)
            network = self.configuration.networks.get(vrf.vn)
            vrf.vni = network.vni if network is not None and network.mode.bridges else 0
            routed_only = network is not None and not network.mode.bridges
            if routed_only != vrf.routed_only:
                vrf.routed_only = routed_only
                self.rib.retry(vrf)

    def _remove_vrfs(self) -> None:
        keep = {FABRIC_VRF, *self.configuration.vrfs}
        for name in [name for name in self.rib.vrfs if name not in keep]:
            vrf = self.rib.vrfs[name]
            self.rib.remove_vrf(name)
            self._vrf_indices.release(name)
            self._listener.vrf_changed(vrf, False)

    def _compute_interfaces(self) -> list[VmInterface]:
        """Announce new and changed interfaces; those that are gone are given back, to be deleted after their routes."""
        indices = {name: vrf.index for name, vrf in self.rib.vrfs.items() if name in self.configuration.vrfs}
        computed = {
            uuid: interface(port, self._vifs.take(uuid), self.configuration, indices)
            for uuid, port in self.ports.items()
        }
        gone = [old for uuid, old in self.interfaces.items() if uuid not in computed]
        previous, self.interfaces = self.interfaces, computed
        self.by_vif = {one.index: one for one in computed.values()}
        for uuid, new in computed.items():
            old = previous.get(uuid)
            if new != old:
                if new.active:
                    self.next_hops.hold(flow_key(new))
                self._listener.interface_changed(new, True)
                if old is not None and old.active:
                    self.next_hops.release(flow_key(old))
        for old in gone:
            if old.active:
                self.next_hops.release(flow_key(old))
            self._vifs.release(old.uuid)
            for key in [key for key in self._preferences if key[0] == old.uuid]:
                del self._preferences[key]
        return gone

    def _desired(self) -> dict[LocalKey, Path]:
        wanted: dict[LocalKey, Path] = {}
        self._owners = set()
        priorities = self.configuration.globals.encapsulations
        wanted.update(fabric_routes(FABRIC_VRF, self._fabric))
        wanted.update(network_routes(self.configuration.networks.values(), self.configuration))
        for one in self.interfaces.values():
            wanted.update(machine_routes(one, priorities, self))
            if one.l2_active and one.network is not None:
                label = self.label(("flood", one.vrf_name))
                key, path = flood_route(one.vrf_name, one.network, priorities, label)
                wanted[key] = path
        self._point_labels()
        return {key: path for key, path in wanted.items() if key[0] in self.rib.vrfs}

    def _set_local_routes(self, wanted: dict[LocalKey, Path]) -> None:
        for key in [key for key in self._local if key not in wanted]:
            vrf, table, route, peer = key
            self.rib.withdraw(self.rib.vrfs[vrf], table, route, peer)
        for key, path in wanted.items():
            old = self._local.get(key)
            if old is None or not old.same(path):
                vrf, table, route, _ = key
                self.rib.update(self.rib.vrfs[vrf], table, route, path)
        self._local = wanted

    def _refresh(self, uuid: str) -> None:
        """Make one interface's routes again: its preference changed."""
        one = self.interfaces[uuid]
        for key, path in machine_routes(one, self.configuration.globals.encapsulations, self):
            old = self._local.get(key)
            if key[0] in self.rib.vrfs and (old is None or not old.same(path)):
                self._local[key] = path
                self.rib.update(self.rib.vrfs[key[0]], key[1], key[2], path)

    def _point_labels(self) -> None:
        for one in self.interfaces.values():
            if not one.active or one.network is None:
                continue
            if one.network.mode.routes:
                self.labels.point(self.labels.take(("l3", one.uuid)), one.routed_next_hop())
            if one.l2_active:
                self.labels.point(self.labels.take(("l2", one.uuid)), one.bridged_next_hop())

    def _remove_labels(self) -> None:
        for owner in [owner for owner in self.labels if isinstance(owner, tuple) and owner[0] in ("l3", "l2", "flood")]:
            if owner not in self._owners:
                self.labels.release(owner)

    def _compute_floods(self) -> None:
        bridged: dict[str, list[NextHop]] = {}
        wanted: dict[int, VrfTranslate] = {}
        for one in sorted(self.interfaces.values(), key=lambda item: item.index):
            if one.l2_active and one.network is not None:
                bridged.setdefault(one.vrf_name, []).append(one.bridged_next_hop(False))
                if one.network.vni:
                    wanted[one.network.vni] = VrfTranslate(one.vrf, one.network.flood_unknown_unicast)
        active = {one.vrf_name for one in self.interfaces.values() if one.active}
        for name in sorted(active ^ self.broadcast_vrfs):
            self._listener.broadcast_changed(self.rib.vrfs[name], name in active)
        self.broadcast_vrfs = active
        for name, vrf in self.rib.vrfs.items():
            local = tuple(bridged.get(name, ()))
            if local != vrf.local_l2 or vrf.has_machines != (name in active):
                vrf.local_l2 = local
                vrf.has_machines = name in active
                self.rib.touch_flood(vrf)
        for vni, next_hop in wanted.items():
            if self._vxlans.get(vni) != next_hop:
                self.next_hops.hold(next_hop)
                self._listener.vxlan_changed(vni, next_hop)
        for vni, next_hop in self._vxlans.items():
            if wanted.get(vni) != next_hop:
                if vni not in wanted:
                    self._listener.vxlan_changed(vni, None)
                self.next_hops.release(next_hop)
        self._vxlans = wanted


def flow_key(interface: VmInterface) -> NextHop:
    """The next hop that keys an interface's flows.

    The routed one with policy (bridged in a network that does not route).
    """
    if interface.routed:
        return interface.routed_next_hop(True)
    return interface.bridged_next_hop(True)
