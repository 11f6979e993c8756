"""The routing core: tables and instances, and the queue of changed routes from which everything else follows."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.control.bgp import community
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family

from .attribute_set import AttributeTable
from .evpn import EvpnManager
from .export import BgpExport, XmppExport
from .group_key import Encoder, GroupKey, Member, Tally
from .groups import Exporter, UpdateGroup
from .instance import MASTER_INSTANCE, MASTER_NETWORK, Instance, InstanceSettings
from .members import Membership
from .multicast import LabelBlocks, TreeManager
from .path import LLGR_STALE, STALE, Path, Replica
from .replication import Replicator
from .route_targets import RouteTargets
from .rows import Row, group_row, instance_row, route_rows, table_row, target_row
from .source import Source
from .table import INSTANCE_TABLES, MASTER_TABLES, VPN_FAMILIES, Route, Table

STEP = 256
"""Routes processed between two looks at the deadline."""

BATCH = 4 * STEP
"""Routes processed before groups send: the more, the better messages are packed."""

Job = Generator[None, None, None]
"""Background work that yields now and then."""

_MANAGED: Final = (Family.E_VPN, Family.ERM_VPN)


class Later(Protocol):
    """Work that is worth doing once for many changes."""

    def run(self) -> None:
        """Do it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoreSettings:
    """What routing must know of its node. `router_id` is unsigned, `cluster_id` 0 without route reflection;
    `local_autonomous_system` is the AS used towards peers, 0 for the same as `autonomous_system`."""

    autonomous_system: int
    router_id: int
    local_autonomous_system: int = 0
    cluster_id: int = 0
    always_compare_med: bool = False
    mvpn: bool = False

    @property
    def peering_as(self) -> int:
        return self.local_autonomous_system or self.autonomous_system


class RoutingCore:
    """Tables, instances, replication and update groups of one control node.

    Changes only mark routes; `flush` does the work, in slices. `on_dirty` is called once when there is work after there
    was none; whoever drives the core then calls `flush` until it returns False. `now` stamps paths for introspect:
    whoever drives the core sets it.
    """

    def __init__(
        self,
        settings: CoreSettings,
        encoders: Mapping[str, Encoder],
        behaviour: Behaviour = CONTRAIL,
        on_dirty: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.behaviour = behaviour
        self.now = 0.0
        self.generation = 1
        """Of everything that policies and plans depend on; what was derived before is stale."""
        self.attributes = AttributeTable(behaviour.sticky_mac_loses)
        self.dirty: deque[Route] = deque()
        self.tables: dict[str, Table] = {}
        self.targeted: dict[Table, None] = {}
        """Those with a route that carries a route target: few of very many while configuration comes in."""
        self.instances: dict[str, Instance] = {}
        self.replicator = Replicator(self)
        self.managers: dict[Table, EvpnManager | TreeManager] = {}
        """Who answers agents' broadcast and multicast routes, by table."""
        self.label_blocks = LabelBlocks()
        self._later: dict[Later, None] = {}
        self._encoders = encoders
        self._exporters: Mapping[str, Exporter] = {"bgp": BgpExport(self), "xmpp": XmppExport(self)}
        self._on_dirty = on_dirty
        self._scheduled = False
        self._active: dict[UpdateGroup, None] = {}
        self._jobs: deque[Job] = deque()
        self._policies: dict[tuple[GroupKey, Family], int] = {}
        self._virtual_networks: dict[int, dict[Instance, None]] = {}
        self.master = self._create(
            InstanceSettings(
                name=MASTER_INSTANCE, virtual_network=MASTER_NETWORK, virtual_network_index=1, is_master=True
            )
        )
        self.route_targets = RouteTargets(self)
        self.master.tables[Family.ROUTE_TARGET].listener = self.route_targets.changed

    def reconfigure(self, settings: CoreSettings) -> None:
        """Take over another cluster id or rule for MED. ValueError for anything else: that needs another core."""
        before = self.settings
        if replace(before, cluster_id=settings.cluster_id, always_compare_med=settings.always_compare_med) != settings:
            raise ValueError(f"{settings} instead of {before}")
        self.settings = settings
        self.generation += 1
        if settings.always_compare_med != before.always_compare_med:
            for table in self.tables.values():
                table.reorder()

    # --- instances ---------------------------------------------------------------------------------------------------

    def add_instance(self, settings: InstanceSettings) -> Instance:
        """Create an instance with its tables. The master exists already: adding it gives it its settings.

        ValueError when an instance of this name exists.
        """
        if settings.is_master:
            self._detach(self.master)
            self.master.configure(settings, self.settings.router_id, self.settings.autonomous_system)
            self._attach(self.master)
            return self.master
        if settings.name in self.instances:
            raise ValueError(f"instance {settings.name} exists")
        instance = self._create(settings)
        self._track_targets(*instance.tables.values())
        self._touch_targets(instance.imports | set(instance.exports))
        self.route_targets.configured(instance, instance.imports)
        return instance

    def _track_targets(self, *tables: Table) -> None:
        """Know the routes of each target: needed once there is an instance, or a peer that filters."""
        for table in (*self.master.tables.values(), *tables):
            if table.replicates:
                table.track_targets()

    def _create(self, settings: InstanceSettings) -> Instance:
        instance = Instance(settings)
        instance.configure(settings, self.settings.router_id, self.settings.autonomous_system)
        self.instances[settings.name] = instance
        names = MASTER_TABLES if settings.is_master else INSTANCE_TABLES
        for family, suffix in names.items():
            name = suffix if settings.is_master else f"{settings.name}.{suffix}"
            vpn = settings.is_master and family in VPN_FAMILIES
            table = Table(self, name, family, instance, vpn)
            instance.tables[family] = self.tables[name] = table
            if not settings.is_master and family in _MANAGED:
                manager = (
                    EvpnManager(self, table) if family is Family.E_VPN else TreeManager(self, table, self.label_blocks)
                )
                self.managers[table] = manager
                table.listener = manager.changed
        self._attach(instance)
        return instance

    def _attach(self, instance: Instance) -> None:
        self.replicator.add(instance)
        index = instance.settings.virtual_network_index
        if index:
            self._virtual_networks.setdefault(index, {})[instance] = None
        self.generation += 1

    def _detach(self, instance: Instance) -> None:
        self.replicator.remove(instance)
        index = instance.settings.virtual_network_index
        if index:
            members = self._virtual_networks[index]
            del members[instance]
            if not members:
                del self._virtual_networks[index]
        self.generation += 1

    def update_instance(self, settings: InstanceSettings) -> None:
        """Take over new settings of an instance; only what they concern is replicated anew. KeyError without it."""
        instance = self.instances[settings.name]
        if settings == instance.settings:
            return
        before = instance.settings
        imports, exports = instance.imports, instance.exports
        self._detach(instance)
        instance.configure(settings, self.settings.router_id, self.settings.autonomous_system)
        self._attach(instance)
        own = exports != instance.exports or before.index != settings.index
        touched = (imports ^ instance.imports) | (set(exports) ^ set(instance.exports))
        if before.pbb_evpn_enable != settings.pbb_evpn_enable:
            own = True
        if before.virtual_network_index != settings.virtual_network_index:
            own = True
            touched |= instance.imports | set(instance.exports)
        if own:
            self._touch_instance(instance)
        self._touch_targets(touched)
        self.route_targets.configured(instance, imports)

    def delete_instance(self, name: str) -> None:
        """Delete an instance with all routes in it, and their copies elsewhere. KeyError without it."""
        instance = self.instances.pop(name)
        self.route_targets.deleted(instance)
        self._detach(instance)
        for table in instance.tables.values():
            for group in list(table.groups.values()):
                for membership in group.members:
                    self.leave(membership)
            for route in list(table.routes.values()):
                for path in list(route.paths()):
                    if isinstance(path, Replica):
                        primary = path.primary
                        primary.replicas = tuple(replica for replica in primary.replicas if replica is not path)
                        table.remove_replica(path)
                    else:
                        table.remove(path)
            del self.tables[table.name]
            self.targeted.pop(table, None)
            table.listener = None
            manager = self.managers.pop(table, None)
            if manager is not None:
                manager.close()
        self.attributes.forget_memos()
        self.replicator.forget_plans()
        if instance.settings.virtual_network_index:  # of these targets, the network may now be known
            self._touch_targets(instance.imports & set(instance.exports))

    def _touch_instance(self, instance: Instance) -> None:
        """Replicate an instance's own routes anew."""
        for table in instance.tables.values():
            if not table.sources:
                continue
            for route in table.routes.values():
                if not route.dirty and any(not isinstance(path, Replica) for path in route.paths()):
                    self.mark(route)

    def _touch_targets(self, targets: Iterable[bytes]) -> None:
        """Replicate anew what carries, or is exported with, one of these targets."""
        instances: dict[Instance, None] = {}
        tables = list(self.targeted)
        for target in targets:
            instances.update(self.replicator.exporters.get(target, {}))
            for table in tables:
                for route in table.targets.get(target, ()):
                    if not route.dirty:
                        self.mark(route)
        for instance in instances:
            self._touch_instance(instance)

    def subscribe(self, instance_name: str, source: Source) -> None:
        """An agent subscribed to an instance: ask BGP peers for its import targets. KeyError without the instance."""
        self.route_targets.subscribe(self.instances[instance_name], source)

    def unsubscribe(self, instance_name: str, source: Source) -> None:
        """It unsubscribed, or the instance is gone."""
        instance = self.instances.get(instance_name)
        if instance is not None:
            self.route_targets.unsubscribe(instance, source)

    def virtual_network_name(self, autonomous_system: int, index: int) -> str:
        """The network an origin-vn names, or `unresolved`."""
        if autonomous_system == self.settings.autonomous_system or index >= 8000000:
            for instance in self._virtual_networks.get(index, ()):
                return instance.settings.virtual_network
        return "unresolved"

    # --- what introspect shows ---------------------------------------------------------------------------------------

    def rows(
        self,
        table_name: str,
        *,
        prefix: str | None = None,
        longer: bool = False,
        shorter: bool = False,
        pattern: str | None = None,
        source: str | None = None,
        protocol: str | None = None,
        longest: bool = False,
    ) -> Iterator[Row]:
        """Routes of a table, see `rows.route_rows`. KeyError without the table."""
        table = self.tables[table_name]
        return route_rows(self, table, prefix, longer, shorter, pattern, source, protocol, longest)

    def table_rows(self) -> list[Row]:
        return [table_row(table) for table in self.tables.values()]

    def instance_rows(self) -> list[Row]:
        return [instance_row(instance) for instance in self.instances.values()]

    def group_rows(self) -> list[Row]:
        return [group_row(group) for table in self.tables.values() for group in table.groups.values()]

    def target_rows(self) -> list[Row]:
        targets = sorted({*self.replicator.importers, *self.replicator.exporters})
        return [target_row(self, target) for target in targets]

    # --- paths -------------------------------------------------------------------------------------------------------

    def update(
        self,
        table_name: str,
        source: Source,
        key: bytes,
        attributes: Attributes,
        payload: bytes = b"",
        *,
        path_id: int = 0,
        rd: bytes = b"",
        flags: int = 0,
    ) -> None:
        """Add or replace one path. `rd` is the source RD of an agent's route (8 bytes). KeyError without the table."""
        self.update_many(table_name, source, attributes, ((key, payload),), path_id=path_id, rd=rd, flags=flags)

    def update_many(
        self,
        table_name: str,
        source: Source,
        attributes: Attributes,
        routes: Iterable[tuple[bytes, bytes]],
        *,
        path_id: int = 0,
        rd: bytes = b"",
        flags: int = 0,
    ) -> None:
        """Add or replace the paths of one UPDATE: (key, payload) pairs that share their attributes."""
        table = self.tables[table_name]
        shared = self.attributes.acquire(attributes)
        table.update(source, shared, routes, path_id, rd, flags)
        self.attributes.release(shared)
        if self.dirty and not self._scheduled:
            self._schedule()

    def withdraw(self, table_name: str, source: Source, key: bytes, *, path_id: int = 0) -> bool:
        """Take one path away. False when there was none."""
        return self.withdraw_many(table_name, source, (key,), path_id=path_id) == 1

    def withdraw_many(self, table_name: str, source: Source, keys: Iterable[bytes], *, path_id: int = 0) -> int:
        """Take paths away. Returns how many there were."""
        return self.tables[table_name].withdraw(source, keys, path_id)

    def withdraw_source(self, source: Source, table_name: str | None = None) -> None:
        """Take away all paths of a source, in one table or in all; in all, its subscriptions go too."""
        if table_name is None:
            self.route_targets.unsubscribe_all(source)
        for path in self._paths_of(source, table_name):
            path.route.table.remove(path)

    def _paths_of(self, source: Source, table_name: str | None) -> list[Path]:
        tables = self.tables.values() if table_name is None else (self.tables[table_name],)
        return [
            path
            for table in tables
            if source in table.sources
            for route in table.routes.values()
            for path in route.paths()
            if path.source is source and not isinstance(path, Replica)
        ]

    # --- graceful restart --------------------------------------------------------------------------------------------

    def mark_stale(self, source: Source, table_name: str | None = None) -> None:
        """Mark a source's paths stale: they stay usable, and are advertised unchanged, until swept or updated."""
        for path in self._paths_of(source, table_name):
            path.flags |= STALE
            for replica in path.replicas:
                replica.flags |= STALE

    def mark_llgr_stale(self, source: Source, table_name: str | None = None) -> None:
        """The restart time is over and the long-lived one begins: stale paths lose against all others (RFC 9494)."""
        for path in self._paths_of(source, table_name):
            if not path.flags & STALE:
                continue
            table = path.route.table
            if community.NO_LLGR in path.attributes.communities:
                table.remove(path)
            else:
                path.flags |= LLGR_STALE
                table.resort(path.route, path)

    def sweep_stale(self, source: Source, table_name: str | None = None) -> None:
        """Take away the paths of a source that are still stale."""
        for path in self._paths_of(source, table_name):
            if path.flags & STALE:
                path.route.table.remove(path)

    # --- update groups -----------------------------------------------------------------------------------------------

    def join(
        self,
        table_name: str,
        key: GroupKey,
        member: Member,
        *,
        source: Source | None = None,
        on_joined: Callable[[Membership], None] | None = None,
        filtered: bool = False,
        tally: Tally | None = None,
    ) -> Membership:
        """Make `member` hear a table. `source` is the same peer as an originator of paths, for split horizon;
        `on_joined` is called when all that there was at the time of joining has been delivered.
        `filtered`: the peer negotiated route-target, so of a VPN table it gets what it asks for (it is to join
        `ROUTE_TARGET_WAIT` seconds after the session came up, or at its End-of-RIB of that family). `tally` counts the
        routes it is told."""
        table = self.tables[table_name]
        group = table.groups.get(key)
        if group is None:
            policy = self._policies.setdefault((key, table.family), len(self._policies) + 1)
            encoder = self._encoders[key.encoding]
            exporter = self._exporters[key.encoding]
            bits = self.route_targets.bits
            group = UpdateGroup(table, key, policy, encoder, exporter, self.settle, self._activate, bits)
            table.groups[key] = group
        filtered = filtered and table.vpn
        if filtered and not table.tracking:
            self._track_targets()
        return group.join(member, source, on_joined, filtered, tally)

    def leave(self, membership: Membership) -> None:
        """A member hears nothing from now on."""
        group = membership.group
        if group is None:
            return
        routes = group.leave(membership)
        bits = membership.bit
        if not group.members.all:
            del group.table.groups[group.key]
            bits = -1
        self._jobs.append(_forget(group, bits, routes))
        self._schedule()

    def _activate(self, group: UpdateGroup) -> None:
        self._active[group] = None
        self._schedule()

    # --- the queue ---------------------------------------------------------------------------------------------------

    def mark(self, route: Route) -> None:
        """Queue a route for processing. Callers check `route.dirty` first."""
        route.dirty = True
        self.dirty.append(route)
        if not self._scheduled:
            self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._on_dirty()

    def settle(self, route: Route) -> None:
        """Process one route: its copies, then what groups say of it."""
        if not route.dirty:
            return
        route.dirty = False
        table = route.table
        if table.replicates and len(self.instances) > 1:
            self.replicator.replicate(route)
        if table.listener is not None:
            table.listener(route)
        for group in table.groups.values():
            group.changed(route)
        if route.best is None and route.advert is None and not route.dirty:
            table.routes.pop(route.key, None)

    def later(self, work: Later) -> None:
        """Have `work.run()` called when the routes that are marked now are done."""
        self._later[work] = None
        self._schedule()

    @property
    def idle(self) -> bool:
        """Nothing to do, blocked members aside."""
        return not (self.dirty or self._active or self._jobs or self._later)

    def flush(self, max_items: int = 1 << 30, deadline: Callable[[], bool] = lambda: False) -> bool:
        """Do work until about `max_items` routes were processed or `deadline()` says stop. True while work remains."""
        dirty = self.dirty
        left = max_items
        unsent = 0
        while not self.idle:
            step = min(STEP, len(dirty))
            for _ in range(step):
                self.settle(dirty.popleft())
            if not dirty and self._later:
                works, self._later = self._later, {}
                for work in works:
                    work.run()
            unsent += step
            left -= STEP
            enough = left <= 0 or deadline()
            if enough or not dirty or unsent >= BATCH:
                self._work()
                unsent = 0
            if enough:
                break
        self._scheduled = not self.idle
        return self._scheduled

    def _work(self) -> None:
        """One slice for each group that has something to send, and one of background work."""
        for group in list(self._active):
            if not group.work():
                del self._active[group]
        if self._jobs:
            job = self._jobs[0]
            if next(job, self) is self:
                self._jobs.popleft()


def _forget(group: UpdateGroup, bits: int, routes: Iterable[Route]) -> Job:
    for number, route in enumerate(routes):
        group.forget(bits, route)
        if not number % STEP:
            yield
    if bits > 0:
        group.members.release(bits)
