"""A routing table: prefixes, their paths in order of preference, and who put them there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Final

from contrail_emulator.control.bgp.family import Family

from .attribute_set import AttributeSet
from .path import INFEASIBLE, STALE, Arrival, Path, Replica
from .selection import compare, compare_preference
from .source import Source

if TYPE_CHECKING:
    from .core import RoutingCore
    from .group_key import GroupKey
    from .groups import UpdateGroup
    from .instance import Instance
    from .ring import Advert

VPN_OF = {
    Family.INET: Family.INET_VPN,
    Family.INET6: Family.INET6_VPN,
    Family.E_VPN: Family.E_VPN,
    Family.ERM_VPN: Family.ERM_VPN,
    Family.INET_MVPN: Family.INET_MVPN,
}
"""The family whose master table a VRF table of this family is replicated with."""

MASTER_TABLES = {
    Family.INET: "inet.0",
    Family.INET_LABELED: "inet.3",
    Family.INET_VPN: "bgp.l3vpn.0",
    Family.INET6: "inet6.0",
    Family.INET6_VPN: "bgp.l3vpn-inet6.0",
    Family.ROUTE_TARGET: "bgp.rtarget.0",
    Family.E_VPN: "bgp.evpn.0",
    Family.ERM_VPN: "bgp.ermvpn.0",
    Family.INET_MVPN: "bgp.mvpn.0",
}

INSTANCE_TABLES = {
    Family.INET: "inet.0",
    Family.INET6: "inet6.0",
    Family.E_VPN: "evpn.0",
    Family.ERM_VPN: "ermvpn.0",
    Family.INET_MVPN: "mvpn.0",
}

_PREFIXES: Final = (Family.INET, Family.INET6, Family.INET_VPN, Family.INET6_VPN)
VPN_FAMILIES: Final = frozenset(VPN_OF.values())
MANY_PATHS: Final = 64
"""More paths of one route than this are worth an index of their order."""


class Route:
    """A prefix of one table.

    `best` heads the list of its paths. `advert` heads the list of what update groups hold of it, one per group: a
    route that lost its last path stays in the table until everyone who was told has been told otherwise.
    """

    __slots__ = ("advert", "best", "dirty", "key", "table")

    def __init__(self, table: Table, key: bytes) -> None:
        self.table = table
        self.key = key
        self.best: Path | None = None
        self.advert: Advert | None = None
        self.dirty = False

    def paths(self) -> Iterator[Path]:
        """Every path, best first. Do not change the route meanwhile."""
        path = self.best
        while path is not None:
            yield path
            path = path.next

    def ecmp_paths(self) -> Iterator[Path]:
        """The best path and those of equal cost; none when the best is not usable."""
        best = self.best
        if best is None or best.flags & INFEASIBLE:
            return
        always = self.table.core.settings.always_compare_med
        yield best
        path = best.next
        while path is not None:
            if compare_preference(best, path, always) == 0:
                yield path
            path = path.next

    def find(self, source: Source, path_id: int) -> Path | None:
        """The primary path of this source with this id."""
        path = self.best
        while path is not None:
            if path.source is source and path.arrival.path_id == path_id and not isinstance(path, Replica):
                return path
            path = path.next
        return None

    def __repr__(self) -> str:
        return f"<route {self.key.hex()} in {self.table.name}>"


def _transitive(path: Path) -> bool:
    """Whether the order of such paths is a total one: what makes MED or the AS path's length count for some pairs only
    is absent."""
    ranking = path.shared.ranking
    return not ranking.neighbor_as and not ranking.has_origin_vn_path


class Table:
    """All routes of one family in one instance (`instance` is the master's for `inet.0`, `bgp.l3vpn.0`, …).

    `vpn` marks the master's tables that VRF tables replicate with; `prefixes` those whose keys are a plain prefix, and
    in the VPN table the same behind an RD. `paths` counts paths, copies included; `sources` counts primary paths per
    source. `targets` finds the routes of a route target; it is kept only while somebody needs it (`track_targets`).
    """

    __slots__ = (
        "_arrival",
        "_met",
        "_met_routes",
        "_ordered",
        "core",
        "family",
        "groups",
        "instance",
        "listener",
        "master",
        "name",
        "paths",
        "prefixes",
        "replicates",
        "routes",
        "secondary_paths",
        "sources",
        "targets",
        "tracking",
        "vpn",
    )

    def __init__(self, core: RoutingCore, name: str, family: Family, instance: Instance, vpn: bool) -> None:
        self.core = core
        self.name = name
        self.family = family
        self.instance = instance
        self.vpn = vpn
        self.master = instance.master
        self._arrival = Arrival(0, b"", 0.0)  # the last one: the next path mostly has the same
        self._ordered: dict[Route, list[Path]] = {}  # of routes with many paths whose order is a total one
        self.prefixes = family in _PREFIXES
        self.replicates = vpn or not instance.master
        self.routes: dict[bytes, Route] = {}
        self.paths = 0
        self.secondary_paths = 0
        self.sources: dict[Source, int] = {}
        self.groups: dict[GroupKey, UpdateGroup] = {}
        self.targets: dict[bytes, dict[Route, None]] = {}
        self.tracking = False
        self._met: AttributeSet | None = None  # the set whose routes were tracked last, and where they are kept
        self._met_routes: list[dict[Route, None]] = []
        self.listener: Callable[[Route], None] | None = None
        """Hears of every route that is processed, before the groups do."""

    # --- paths from sources ------------------------------------------------------------------------------------------

    def update(
        self,
        source: Source,
        shared: AttributeSet,
        routes: Iterable[tuple[bytes, bytes]],
        path_id: int,
        rd: bytes,
        flags: int,
    ) -> None:
        """Add or replace the paths of `source` for these (key, payload) pairs."""
        known = self.routes
        tracking = self.tracking
        mark = self.core.dirty.append
        arrival = self._arrived(path_id, rd)
        added = 0
        for key, payload in routes:
            route = known.get(key)
            if route is None:
                route = known[key] = Route(self, key)
                path = None
            else:
                path = route.find(source, path_id)
            if path is None:
                path = Path(route, source, shared, payload, flags, arrival)
                shared.count += 1
                added += 1
            elif (
                path.shared is shared
                and path.payload == payload
                and path.arrival.rd == rd
                and path.flags | STALE == flags | STALE
            ):
                if path.flags != flags:
                    path.flags = flags
                    for replica in path.replicas:
                        replica.flags = flags
                continue
            else:
                self._unlink(route, path)
                if path.shared is not shared:
                    if tracking:
                        self._untrack(route, path)
                    shared.count += 1
                    self.core.attributes.release(path.shared)
                    path.shared = shared
                path.payload = payload
                path.flags = flags
                path.arrival = arrival
            if route.best is None:
                route.best = path
            else:
                self._insert(route, path)
            if tracking:
                if self._met is not shared:
                    self._meet(shared)
                for tracked in self._met_routes:
                    tracked[route] = None
            if not route.dirty:
                route.dirty = True
                mark(route)
        if added:
            self.paths += added
            self.sources[source] = self.sources.get(source, 0) + added

    def _arrived(self, path_id: int, rd: bytes) -> Arrival:
        """What paths that come now share."""
        last = self._arrival
        now = self.core.now
        if last.modified != now or last.rd != rd or last.path_id != path_id:
            last = self._arrival = Arrival(path_id, rd, now)
        return last

    def withdraw(self, source: Source, keys: Iterable[bytes], path_id: int) -> int:
        """Take away the primary paths of `source` for these keys. Returns how many there were."""
        removed = 0
        for key in keys:
            route = self.routes.get(key)
            if route is not None:
                path = route.find(source, path_id)
                if path is not None:
                    self.remove(path)
                    removed += 1
        return removed

    def remove(self, path: Path) -> None:
        """Take a primary path away; its copies go when the route is processed."""
        route = path.route
        self._detach(route, path)
        left = self.sources[path.source] - 1
        if left:
            self.sources[path.source] = left
        else:
            del self.sources[path.source]
        for replica in path.replicas:
            replica.route.table.remove_replica(replica)
        path.replicas = ()

    # --- copies made by replication ----------------------------------------------------------------------------------

    def add_replica(self, primary: Path, key: bytes, shared: AttributeSet, rd: bytes) -> Replica:
        """A copy of `primary` under `key`. Takes over one reference to `shared`."""
        core = self.core
        route = self.routes.get(key)
        if route is None:
            route = self.routes[key] = Route(self, key)
        path = Replica(route, primary, shared, self._arrived(primary.arrival.path_id, rd))
        if route.best is None:
            route.best = path
            # Copies are not copied: where nobody listens, there is nothing to do about a route with no other path.
            heard = bool(self.groups) or self.listener is not None
        else:
            self._insert(route, path)
            heard = True
        if self.vpn and self.tracking:
            if self._met is not shared:
                self._meet(shared)
            for tracked in self._met_routes:
                tracked[route] = None
        self.paths += 1
        self.secondary_paths += 1
        if heard and not route.dirty:
            core.mark(route)
        return path

    def change_replica(self, path: Replica, shared: AttributeSet) -> None:
        """Bring a copy in line with its primary. Takes over one reference to `shared`."""
        primary = path.primary
        if path.shared is shared and path.payload == primary.payload and path.flags == primary.flags:
            self.core.attributes.release(shared)
            return
        route = path.route
        self._unlink(route, path)
        if self.tracking and self.vpn and path.shared is not shared:
            self._untrack(route, path)
        self.core.attributes.release(path.shared)
        path.shared = shared
        path.payload = primary.payload
        path.flags = primary.flags
        path.arrival = self._arrived(path.arrival.path_id, path.arrival.rd)
        self._insert(route, path)
        if self.tracking and self.vpn:
            self._track(route, path)
        if not route.dirty:
            self.core.mark(route)

    def remove_replica(self, path: Replica) -> None:
        """Take a copy away."""
        self._detach(path.route, path)
        self.secondary_paths -= 1

    # --- the list of paths -------------------------------------------------------------------------------------------

    def _insert(self, route: Route, path: Path) -> None:
        """Put `path` before the first one it beats."""
        ordered = self._ordered.get(route) if self._ordered else None
        if ordered is not None:
            if _transitive(path):
                self._insert_ordered(route, path, ordered)
                return
            del self._ordered[route]
        always = self.core.settings.always_compare_med
        before: Path | None = None
        after = route.best
        steps = 0
        while after is not None and compare(path, after, always) >= 0:
            before = after
            after = after.next
            steps += 1
        path.next = after
        if before is None:
            route.best = path
        else:
            before.next = path
        if steps > MANY_PATHS and all(_transitive(other) for other in route.paths()):
            self._ordered[route] = list(route.paths())

    def _insert_ordered(self, route: Route, path: Path, ordered: list[Path]) -> None:
        """The same with few comparisons: the paths of a route target are as many as agents."""
        always = self.core.settings.always_compare_med
        low, high = 0, len(ordered)
        while low < high:
            middle = (low + high) // 2
            if compare(path, ordered[middle], always) >= 0:
                low = middle + 1
            else:
                high = middle
        path.next = ordered[low] if low < len(ordered) else None
        if low:
            ordered[low - 1].next = path
        else:
            route.best = path
        ordered.insert(low, path)

    def _unlink(self, route: Route, path: Path) -> None:
        ordered = self._ordered.get(route) if self._ordered else None
        if ordered is not None:
            ordered.remove(path)
            if len(ordered) <= MANY_PATHS // 2:
                del self._ordered[route]
        if route.best is path:
            route.best = path.next
        else:
            before = route.best
            while before is not None and before.next is not path:
                before = before.next
            assert before is not None
            before.next = path.next
        path.next = None

    def _detach(self, route: Route, path: Path) -> None:
        self._unlink(route, path)
        if self.tracking and self._is_tracked(path):
            self._untrack(route, path)
        self.core.attributes.release(path.shared)
        self.paths -= 1
        if not route.dirty:
            self.core.mark(route)

    def resort(self, route: Route, path: Path) -> None:
        """Put `path` where it belongs after its flags changed."""
        self._unlink(route, path)
        if route.best is None:
            route.best = path
        else:
            self._insert(route, path)
        if not route.dirty:
            self.core.mark(route)

    def reorder(self) -> None:
        """Order all paths anew, as the rule for MED changed."""
        self._ordered.clear()
        for route in self.routes.values():
            best = route.best
            if best is None or best.next is None:
                continue
            paths = list(route.paths())
            route.best = None
            for path in paths:
                self._insert(route, path)
            if not route.dirty:
                self.core.mark(route)

    # --- which routes carry a route target ---------------------------------------------------------------------------

    def track_targets(self) -> None:
        """From now on, know the routes whose paths carry a route target."""
        if self.tracking:
            return
        self.tracking = True
        for route in self.routes.values():
            for path in route.paths():
                if self._is_tracked(path):
                    self._track(route, path)

    def _is_tracked(self, path: Path) -> bool:
        """Copies in a VRF are found by what they are copies of."""
        return self.vpn or not isinstance(path, Replica)

    def _track(self, route: Route, path: Path) -> None:
        if self._met is not path.shared:
            self._meet(path.shared)
        for tracked in self._met_routes:
            tracked[route] = None

    def _meet(self, shared: AttributeSet) -> None:
        """Look up where the routes with the targets of a set are kept: at least one is added to each right away."""
        self._met = shared
        self._met_routes = [self.targets.setdefault(target, {}) for target in shared.targets]
        if self.targets:
            self.core.targeted[self] = None

    def _untrack(self, route: Route, path: Path) -> None:
        """Forget what only `path`, which is no longer in the list, carried."""
        for target in path.shared.targets:
            if any(target in other.shared.targets for other in route.paths() if self._is_tracked(other)):
                continue
            routes = self.targets[target]
            del routes[route]
            if not routes:
                del self.targets[target]
                self._met = None
        if not self.targets:
            self.core.targeted.pop(self, None)

    def __repr__(self) -> str:
        return f"<table {self.name}, {len(self.routes)} routes>"
