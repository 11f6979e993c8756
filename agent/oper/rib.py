"""The routing tables of one agent: paths in, next hops, bridge entries and adverts out, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from .adverts import Advert, Advertiser
from .flood import flood_of, tree_label
from .labels import Labels
from .nexthop import DISCARD, Ecmp, Member, NextHop, NextHops
from .path import PREFERENCE_HIGH, Local, Path, Peer, PeerKind
from .prefix import Prefix
from .resolve import Resolved, Resolver
from .vrf import BROADCAST_MAC, FABRIC_VRF, NO_ADDRESS, ZERO_MAC, BridgeEntry, EvpnKey, Route, RouteKey, Table, Vrf

ECMP_PEER = Peer(PeerKind.ECMP)


class RibListener(Protocol):
    """Who hears of results. Next-hop indices are valid while the listener is called."""

    def route_changed(self, vrf: Vrf, key: Prefix, route: Route | None) -> None: ...

    def bridge_changed(self, vrf: Vrf, mac: bytes, entry: BridgeEntry | None) -> None: ...

    def advert_changed(self, vrf: Vrf, table: Table, key: RouteKey, advert: Advert | None) -> None: ...


class Rib:
    """VRFs by name. Every change marks a key; `flush` works the marks off, EVPN before bridge before inet."""

    __slots__ = ("_advertiser", "_bridge_dirty", "_dirty", "_labels", "_listener", "_next_hops", "resolver", "vrfs")

    def __init__(
        self, resolver: Resolver, advertiser: Advertiser, next_hops: NextHops, labels: Labels, listener: RibListener
    ) -> None:
        self.vrfs: dict[str, Vrf] = {}
        self.resolver = resolver
        self._advertiser = advertiser
        self._next_hops = next_hops
        self._labels = labels
        self._listener = listener
        self._dirty: dict[tuple[str, Table, RouteKey], None] = {}
        self._bridge_dirty: dict[tuple[str, bytes], None] = {}

    # --- input --------------------------------------------------------------------------------------------------------

    def add_vrf(self, name: str, index: int) -> Vrf:
        vrf = self.vrfs[name] = Vrf(name, index)
        return vrf

    def remove_vrf(self, name: str) -> None:
        """Forget a VRF and everything in it."""
        vrf = self.vrfs[name]
        for table, route in vrf.routes():
            route.paths = ()
            self._dirty[name, table, route.key] = None
        vrf.local_l2, vrf.machines = (), False
        vrf.has_machines = False
        self._bridge_dirty[name, BROADCAST_MAC] = None
        self.flush()
        del self.vrfs[name]

    def update(self, vrf: Vrf, table: Table, key: RouteKey, path: Path) -> None:
        """Add a path, or replace the one of the same peer."""
        route = vrf.make(table, key)
        kept = []
        for old in route.paths:
            if old.peer == path.peer:
                if old.same(path):
                    old.sequence = path.sequence
                    return
            else:
                kept.append(old)
        route.paths = tuple(sorted((*kept, path), key=_rank)) if kept else (path,)
        self._dirty[vrf.name, table, key] = None

    def withdraw(self, vrf: Vrf, table: Table, key: RouteKey, peer: Peer) -> None:
        route = vrf.get(table, key)
        if route is None:
            return
        kept = tuple(path for path in route.paths if path.peer != peer)
        if len(kept) != len(route.paths):
            route.paths = kept
            self._dirty[vrf.name, table, key] = None

    def withdraw_stale(self, peer: Peer, sequence: int) -> int:
        """Delete a peer's paths of earlier sessions: those whose sequence is strictly smaller. Their number."""
        count = 0
        for vrf in self.vrfs.values():
            for table, route in vrf.routes():
                if any(path.peer == peer and path.sequence < sequence for path in route.paths):
                    self.withdraw(vrf, table, route.key, peer)
                    count += 1
        return count

    def retry(self, vrf: Vrf | None = None) -> None:
        """Resolve everything again: encapsulation priorities or local labels changed."""
        for one in [vrf] if vrf is not None else list(self.vrfs.values()):
            for table, route in one.routes():
                self._dirty[one.name, table, route.key] = None

    def touch_flood(self, vrf: Vrf) -> None:
        """Local interfaces or the tree of this VRF changed."""
        self._bridge_dirty[vrf.name, BROADCAST_MAC] = None

    @property
    def dirty(self) -> bool:
        return bool(self._dirty or self._bridge_dirty)

    # --- output -------------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Work off what changed."""
        dirty, self._dirty = self._dirty, {}
        for name, table, key in dirty:
            if isinstance(key, EvpnKey):
                self._evpn(self.vrfs[name], key)
            elif table is Table.MULTICAST:
                self._tree(self.vrfs[name], key)
        bridge, self._bridge_dirty = self._bridge_dirty, {}
        for name, mac in bridge:
            self._bridge(self.vrfs[name], mac)
        late, self._dirty = self._dirty, {}
        for name, table, key in {**dirty, **late}:
            if isinstance(key, Prefix) and table is not Table.MULTICAST:
                self._inet(self.vrfs[name], table, key)

    def _evpn(self, vrf: Vrf, key: EvpnKey) -> None:
        route = vrf.evpn.get(key)
        if route is None:
            return
        self._advertise(vrf, Table.EVPN, route)
        if key.mac != ZERO_MAC:
            self._bridge_dirty[vrf.name, key.mac] = None
        if not route.paths:
            vrf.drop(Table.EVPN, key)
        if key.mac in (ZERO_MAC, BROADCAST_MAC) or key.address == NO_ADDRESS:
            return
        if route.paths:
            vrf.stitched[key.address] = key
        elif vrf.stitched.get(key.address) == key:
            del vrf.stitched[key.address]
        table = Table.INET if key.address.version == 4 else Table.INET6
        if vrf.get(table, key.address) is not None:
            self._dirty[vrf.name, table, key.address] = None

    def _tree(self, vrf: Vrf, key: Prefix) -> None:
        route = vrf.multicast.get(key)
        if route is None:
            return
        if not route.paths:
            vrf.drop(Table.MULTICAST, key)
        self._bridge_dirty[vrf.name, BROADCAST_MAC] = None

    def _bridge(self, vrf: Vrf, mac: bytes) -> None:
        old = vrf.bridge.get(mac)
        entry = self._flood(vrf) if mac == BROADCAST_MAC else self._best_bridge(vrf, mac)
        if entry == old:
            return
        if entry is None:
            del vrf.bridge[mac]
            self._listener.bridge_changed(vrf, mac, None)
        else:
            self._next_hops.hold(entry.next_hop)
            vrf.bridge[mac] = entry
            self._listener.bridge_changed(vrf, mac, entry)
        if old is not None:
            self._next_hops.release(old.next_hop)

    def _best_bridge(self, vrf: Vrf, mac: bytes) -> BridgeEntry | None:
        best: tuple[tuple[int, int, str], EvpnKey, Resolved] | None = None
        for key in vrf.macs.get(mac, ()):
            for path in vrf.evpn[key].paths:
                resolved = self.resolver.resolve(path)
                if resolved is not None and (best is None or (path.rank, key) < best[:2]):
                    best = (path.rank, key, resolved)
        if best is None:
            return None
        resolved = best[2]
        return BridgeEntry(
            resolved.next_hop, resolved.label, resolved.encap is not None and resolved.encap.value == "vxlan"
        )

    def _flood(self, vrf: Vrf) -> BridgeEntry | None:
        entry = flood_of(vrf, self.resolver)
        label = self._labels.find(("flood", vrf.name))
        if label is not None and entry is not None:
            self._labels.point(label, entry.next_hop)
        tree = tree_label(vrf) if entry is not None else 0
        if vrf.tree_label and vrf.tree_label != tree:
            self._labels.unpoint(vrf.tree_label)
        vrf.tree_label = tree
        if tree and entry is not None:
            self._labels.point(tree, entry.next_hop)
        return entry

    def _inet(self, vrf: Vrf, table: Table, key: Prefix) -> None:
        route = vrf.get(table, key)
        if route is None:
            return
        self._local_ecmp(vrf, route, key)
        self._advertise(vrf, table, route)
        old, fabric = route.next_hop, vrf.name == FABRIC_VRF
        if not route.paths:
            vrf.drop(table, key)
            self._listener.route_changed(vrf, key, None)
            self._next_hops.release(old)
            return
        resolved = next(self._usable(route, old, fabric), Resolved(DISCARD))
        self._next_hops.hold(resolved.next_hop)
        route.next_hop, route.label, route.encap = resolved
        self._listener.route_changed(vrf, key, route)
        self._next_hops.release(old)

    def _usable(self, route: Route, old: NextHop, fabric: bool) -> Iterator[Resolved]:
        for path in route.paths:
            resolved = self.resolver.resolve(path, fabric, old)
            if resolved is not None:
                yield resolved

    def _local_ecmp(self, vrf: Vrf, route: Route, key: Prefix) -> None:
        """Several local machines with one address that all are active: a composite with a label of its own."""
        locals_ = [
            path
            for path in route.paths
            if path.local is not None
            and path.peer.kind is PeerKind.LOCAL_VM_PORT
            and path.attributes.preference >= PREFERENCE_HIGH
        ]
        others = tuple(path for path in route.paths if path.peer != ECMP_PEER)
        owner = ("ecmp", vrf.name, key)
        if len(locals_) < 2:
            if len(others) != len(route.paths):
                route.paths = others
                self._labels.release(owner)
            return
        members = tuple(Member(path.local.next_hop) for path in locals_ if path.local is not None)
        composite = Ecmp(members)
        label = self._labels.take(owner)
        self._labels.point(label, composite)
        first = locals_[0].attributes
        path = Path(ECMP_PEER, first, local=Local(composite, label, exported=True))
        route.paths = tuple(sorted((*others, path), key=_rank))

    def _advertise(self, vrf: Vrf, table: Table, route: Route) -> None:
        advert = self._advertiser.advert(table, route.key, route.paths)
        if advert != route.advert:
            route.advert = advert
            self._listener.advert_changed(vrf, table, route.key, advert)


def _rank(path: Path) -> tuple[int, int, str]:
    return path.rank
