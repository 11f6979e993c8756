"""Replication: copies of paths between VRF tables and the master's VPN tables by route target (reference/bgp.md 4.2).

Only usable paths of equal cost with the best are copied, and only original ones. What is copied where depends on the
attribute set, the table, and for EVPN the route type; that plan is kept with the attribute set.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family

from . import origin_vn, vpn_keys
from .attribute_set import MISSING, AttributeSet
from .instance import Instance
from .path import ALIASED, INFEASIBLE, Path, Replica
from .selection import compare_preference
from .source import SourceKind
from .table import VPN_OF, Route, Table
from .targets import es_import_target, is_target, read_targets

if TYPE_CHECKING:
    from .core import RoutingCore

_ORIGINATING = (SourceKind.BGP, SourceKind.XMPP, SourceKind.LOCAL, SourceKind.AGGREGATE)
_STRICT = (Family.E_VPN, Family.ERM_VPN)
"""Families that reach a VRF only with that VRF's own origin-vn."""

Plan = tuple[tuple[Table, AttributeSet], ...]


class Replicator:
    """Keeps the copies of every path in line with targets and preference."""

    def __init__(self, core: RoutingCore) -> None:
        self._core = core
        self._es_import = es_import_target(core.settings.autonomous_system)
        self.importers: dict[bytes, dict[Instance, None]] = {}
        """Instances by the targets they import."""
        self.exporters: dict[bytes, dict[Instance, None]] = {}
        """Instances by the targets they export."""
        self._recent: tuple[AttributeSet, Table, SourceKind, int, Plan] | None = None
        """The last plan for plain prefixes, and for what it was made: the next route mostly needs the same."""

    # --- who imports and exports what --------------------------------------------------------------------------------

    def add(self, instance: Instance) -> None:
        for target in instance.imports:
            self.importers.setdefault(target, {})[instance] = None
        for target in instance.exports:
            self.exporters.setdefault(target, {})[instance] = None

    def remove(self, instance: Instance) -> None:
        for index, targets in ((self.importers, instance.imports), (self.exporters, instance.exports)):
            for target in targets:
                members = index[target]
                del members[instance]
                if not members:
                    del index[target]

    def forget_plans(self) -> None:
        """So that no plan keeps a deleted table alive."""
        self._recent = None

    def networks_of(self, target: bytes) -> set[int]:
        """Indexes of the networks whose instances both import and export a target."""
        importers = self.importers.get(target, {})
        return {
            instance.settings.virtual_network_index
            for instance in self.exporters.get(target, ())
            if instance in importers and instance.settings.virtual_network_index
        }

    # --- one route ---------------------------------------------------------------------------------------------------

    def replicate(self, route: Route) -> None:
        """Bring the copies of all primary paths of a route up to date."""
        best = route.best
        if best is None:
            return
        if best.next is None:  # as most routes are
            if not isinstance(best, Replica):
                if not best.flags & (INFEASIBLE | ALIASED):
                    self._copy(route, best)
                elif best.replicas:
                    self._drop(best)
            return
        usable = not best.flags & INFEASIBLE
        always = self._core.settings.always_compare_med
        path: Path | None = best
        while path is not None:
            if not isinstance(path, Replica):
                if (
                    usable
                    and not path.flags & ALIASED
                    and (path is best or compare_preference(best, path, always) == 0)
                ):
                    self._copy(route, path)
                elif path.replicas:
                    self._drop(path)
            path = path.next

    @staticmethod
    def _drop(path: Path) -> None:
        """Take away all copies of a path."""
        for replica in path.replicas:
            replica.route.table.remove_replica(replica)
        path.replicas = ()

    def _copy(self, route: Route, path: Path) -> None:
        table = route.table
        plan = self._plan(table, route.key, path)
        old = path.replicas
        if not plan and not old:
            return
        attributes = self._core.attributes
        if table.vpn:
            vpn_key = b""
            if table.prefixes:
                key, rd = route.key[8:], route.key[:8]
            else:
                key, rd = vpn_keys.to_vrf(table.family, route.key)
        else:
            key = route.key
            rd = path.arrival.rd or table.instance.rd
            vpn_key = rd + key if table.prefixes else vpn_keys.to_vpn(table.family, key, rd)
        replicas: list[Replica] = []
        if not old:
            for target, wanted in plan:
                if wanted.count:
                    wanted.count += 1
                    shared = wanted
                else:
                    shared = attributes.acquire(wanted.attributes)
                replicas.append(target.add_replica(path, vpn_key if target.vpn else key, shared, rd))
            path.replicas = tuple(replicas)
            return
        existing = {replica.route.table: replica for replica in old}
        for target, wanted in plan:
            shared = attributes.acquire_set(wanted)
            target_key = vpn_key if target.vpn else key
            replica = existing.pop(target, None)
            if replica is not None and replica.arrival.rd == rd and replica.route.key == target_key:
                target.change_replica(replica, shared)
            else:
                if replica is not None:
                    target.remove_replica(replica)
                replica = target.add_replica(path, target_key, shared, rd)
            replicas.append(replica)
        for replica in existing.values():
            replica.route.table.remove_replica(replica)
        path.replicas = tuple(replicas)

    def _plan(self, table: Table, key: bytes, path: Path) -> Plan:
        shared = path.shared
        generation = self._core.generation
        if table.prefixes:
            recent = self._recent
            source = path.source.kind
            if (
                recent is not None
                and recent[0] is shared
                and recent[1] is table
                and recent[2] is source
                and recent[3] == generation
            ):
                return recent[4]
            plan = self._kept_plan(table, 0, shared, source)
            self._recent = (shared, table, source, generation, plan)
            return plan
        kind = key[0] if table.family in _STRICT else 0
        if table.family is Family.E_VPN and not vpn_keys.is_replicated(key, table.vpn):
            return ()
        return self._kept_plan(table, kind, shared, path.source.kind)

    def _kept_plan(self, table: Table, kind: int, shared: AttributeSet, source: SourceKind) -> Plan:
        """The plan kept with the attribute set, made when there is none."""
        slot = (table, kind, source)
        found = shared.recall(slot, self._core.generation)
        if found is not MISSING:
            kept: Plan = found
            return kept
        plan = self._from_vpn(table, kind, shared) if table.vpn else self._from_vrf(table, kind, shared, source)
        shared.remember(slot, plan)
        return plan

    # --- where to ----------------------------------------------------------------------------------------------------

    def _importing(self, targets: tuple[bytes, ...]) -> dict[Instance, None]:
        importers = self.importers
        found: dict[Instance, None] = {}
        for target in targets:
            members = importers.get(target)
            if members:
                found.update(members)
        return found

    def _set(self, attributes: Attributes) -> AttributeSet:
        """The entry for attributes that a plan keeps, not counted: `acquire_set` copes with its going."""
        shared = self._core.attributes.acquire(attributes)
        self._core.attributes.release(shared)
        return shared

    def _from_vrf(self, table: Table, kind: int, shared: AttributeSet, source: SourceKind) -> Plan:
        """Into the VPN table as soon as there is a target, and into the VRF tables that import one."""
        instance = table.instance
        strict = table.family in _STRICT
        if table.family is Family.ERM_VPN and kind == 0:
            return ()  # native routes stay with the tree builder
        settings = self._core.settings
        attributes = shared.attributes
        communities = attributes.ext_communities + instance.exports
        index = instance.settings.virtual_network_index
        if (
            index
            and source in _ORIGINATING
            and origin_vn.read(communities, settings.autonomous_system) is None
            and not (self._core.behaviour.as4_origin_vn_lost and settings.autonomous_system > 0xFFFF < index)
        ):
            communities = origin_vn.add(communities, settings.autonomous_system, index)
        targets = read_targets(communities)
        if not targets:
            return ()
        wanted = self._set(attributes.replace(ext_communities=communities))
        plan: list[tuple[Table, AttributeSet]] = []
        vpn = self._core.master.tables.get(VPN_OF[table.family])
        if vpn is not None:
            plan.append((vpn, wanted))
        if not strict or kind == vpn_keys.IP_PREFIX:
            for other in self._importing(targets):
                target = other.tables.get(table.family)
                if target is not None and other is not instance:
                    plan.append((target, wanted))
        return tuple(plan)

    def _from_vpn(self, table: Table, kind: int, shared: AttributeSet) -> Plan:
        """Into the VRF tables that import one of the targets."""
        family = VRF_OF[table.family]
        strict = table.family in _STRICT and not (table.family is Family.E_VPN and kind == vpn_keys.IP_PREFIX)
        importing = self._importing(shared.targets)
        if not importing:
            return ()
        per_segment = table.family is Family.E_VPN and kind == vpn_keys.ETHERNET_AD
        asn = self._core.settings.autonomous_system
        attributes = shared.attributes
        communities = attributes.ext_communities
        origin = origin_vn.read(communities, asn)
        network = 0
        if origin_vn.is_ours(origin, asn):
            assert origin is not None
            network = origin[1]
            common = shared
        else:
            network = origin_vn.derive(shared.targets, self.networks_of)
            if network:
                common = self._set(attributes.replace(ext_communities=origin_vn.add(communities, asn, network)))
            elif origin is not None:
                common = self._set(attributes.replace(ext_communities=origin_vn.remove(communities)))
            else:
                common = shared
        plan: list[tuple[Table, AttributeSet]] = []
        for instance in importing:
            target = instance.tables.get(family)
            if target is None:
                continue
            wanted, index = common, network
            own = instance.settings.virtual_network_index
            if not network and own and not set(instance.exports).isdisjoint(shared.targets):
                index = own
                wanted = self._set(attributes.replace(ext_communities=origin_vn.add(communities, asn, own)))
            segment = per_segment and self._es_import in shared.targets
            if strict and not segment and (not index or index != own):
                continue
            if per_segment:
                kept = tuple(value for value in wanted.attributes.ext_communities if not is_target(value))
                wanted = self._set(wanted.attributes.replace(ext_communities=kept))
            plan.append((target, wanted))
        return tuple(plan)


VRF_OF = {vpn: vrf for vrf, vpn in VPN_OF.items()}
