"""Route-target filtering, RFC 4684: what we ask peers for, and what peers ask us for (reference/bgp.md 4.6)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family

from .instance import Instance
from .members import Members
from .path import INFEASIBLE
from .source import Source, SourceKind
from .table import MASTER_TABLES, Route
from .targets import import_target

if TYPE_CHECKING:
    from .core import RoutingCore

ROUTE_TARGET_WAIT = 30.0
"""Seconds to wait for a peer's End-of-RIB of route-target before it joins the VPN tables all the same."""

ANY = b""
"""Stands for the default route target, `0:target:0:0`: a peer that asks for everything."""

_FULL_LENGTH = 96
_TABLE = MASTER_TABLES[Family.ROUTE_TARGET]


def target_key(autonomous_system: int, target: bytes) -> bytes:
    """The key in `bgp.rtarget.0` of a target asked for by a node of this AS."""
    return bytes((_FULL_LENGTH,)) + autonomous_system.to_bytes(4, "big") + target


class RouteTargets:
    """Our own route-target routes, and which peers are interested in which target.

    An agent's subscription to an instance publishes the instance's import targets with the agent as source; an instance
    with `always_subscribe` publishes them locally, with the instance's index as path id.
    """

    def __init__(self, core: RoutingCore) -> None:
        self._core = core
        self._local = Source(SourceKind.LOCAL, "route-target")
        self._subscribers: dict[Instance, dict[Source, int]] = {}
        self._published: dict[tuple[Source, int, bytes], int] = {}
        self._interest: dict[bytes, dict[Source, int]] = {}
        self._askers: dict[bytes, frozenset[Source]] = {}
        self._attributes: Attributes | None = None
        if core.settings.mvpn:
            self._publish(self._local, 0, import_target(core.settings.router_id, 0))

    # --- what we ask for ---------------------------------------------------------------------------------------------

    def subscribe(self, instance: Instance, source: Source, path_id: int = 0) -> None:
        """An agent wants the routes of an instance."""
        subscribers = self._subscribers.setdefault(instance, {})
        if source not in subscribers:
            subscribers[source] = path_id
            self._change(source, path_id, (), instance.imports)

    def unsubscribe(self, instance: Instance, source: Source) -> None:
        """It wants them no longer."""
        subscribers = self._subscribers.get(instance, {})
        if source in subscribers:
            self._change(source, subscribers.pop(source), instance.imports, ())
            if not subscribers:
                del self._subscribers[instance]

    def unsubscribe_all(self, source: Source) -> None:
        """The agent is gone."""
        for instance in [instance for instance, sources in self._subscribers.items() if source in sources]:
            self.unsubscribe(instance, source)

    def configured(self, instance: Instance, before: frozenset[bytes]) -> None:
        """The import targets of an instance were `before`, or its `always_subscribe` changed."""
        for source, path_id in list(self._subscribers.get(instance, {}).items()):
            if source is not self._local:
                self._change(source, path_id, before, instance.imports)
        subscribed = self._subscribers.get(instance, {}).get(self._local)
        if subscribed is not None:
            self._change(self._local, subscribed, before, instance.imports)
        if instance.settings.always_subscribe:
            self.subscribe(instance, self._local, instance.settings.index)
        else:
            self.unsubscribe(instance, self._local)

    def deleted(self, instance: Instance) -> None:
        """The instance is no more; its subscribers have nothing to unsubscribe from."""
        for source in list(self._subscribers.get(instance, {})):
            self.unsubscribe(instance, source)

    def subscribers(self, instance: Instance) -> tuple[Source, ...]:
        return tuple(source for source in self._subscribers.get(instance, {}) if source is not self._local)

    def _change(self, source: Source, path_id: int, before: Iterable[bytes], after: Iterable[bytes]) -> None:
        old, new = frozenset(before), frozenset(after)
        for target in sorted(new - old):
            self._publish(source, path_id, target)
        for target in sorted(old - new):
            slot = (source, path_id, target)
            count = self._published[slot] - 1
            if count:
                self._published[slot] = count
            else:
                del self._published[slot]
                key = target_key(self._core.settings.peering_as, target)
                self._core.withdraw(_TABLE, source, key, path_id=path_id)

    def _publish(self, source: Source, path_id: int, target: bytes) -> None:
        slot = (source, path_id, target)
        count = self._published.get(slot, 0)
        self._published[slot] = count + 1
        if count:
            return
        settings = self._core.settings
        if self._attributes is None:
            self._attributes = Attributes.make(local_pref=100, next_hop=settings.router_id.to_bytes(4, "big"))
        self._core.update(_TABLE, source, target_key(settings.peering_as, target), self._attributes, path_id=path_id)

    # --- what peers ask for ------------------------------------------------------------------------------------------

    def changed(self, route: Route) -> None:
        """A route of `bgp.rtarget.0` changed: see whose interest came or went.

        All iBGP peers with a usable path count; of the eBGP ones those in the neighbour AS of the best eBGP path.
        """
        target = route.key[5:] if len(route.key) > 1 else ANY
        askers: set[Source] = set()
        neighbor_as = None
        for path in route.paths():
            source = path.source
            if path.flags & INFEASIBLE or source.kind is not SourceKind.BGP:
                continue
            if source.ebgp:
                if neighbor_as is None:
                    neighbor_as = source.autonomous_system
                if source.autonomous_system != neighbor_as:
                    continue
            askers.add(source)
        before = self._askers.get(route.key, frozenset())
        if askers == before:
            return
        if askers:
            self._askers[route.key] = frozenset(askers)
        else:
            del self._askers[route.key]
        interest = self._interest.setdefault(target, {})
        moved: list[Source] = []
        for source in askers - before:
            interest[source] = interest.get(source, 0) + 1
            if interest[source] == 1:
                moved.append(source)
        for source in before - askers:
            interest[source] -= 1
            if not interest[source]:
                del interest[source]
                moved.append(source)
        if not interest:
            del self._interest[target]
        if moved:
            self._tell_groups(target, moved)

    def _tell_groups(self, target: bytes, sources: Iterable[Source]) -> None:
        for table in self._core.master.tables.values():
            if not table.vpn:
                continue
            routes: list[Route] | None = None
            for group in table.groups.values():
                members = group.members
                if not members.filtered:
                    continue
                group.forget_interest(target)
                bits = 0
                for source in sources:
                    bits |= members.by_source.get(source, 0)
                bits &= members.filtered
                if bits:
                    if routes is None:
                        routes = list(table.routes.values() if target == ANY else table.targets.get(target, ()))
                    group.compare(routes, bits)

    def bits(self, members: Members, target: bytes) -> int:
        """The bits of members that asked for a target (ANY: for everything)."""
        bits = 0
        for source in self._interest.get(target, ()):
            bits |= members.by_source.get(source, 0)
        return bits

    def interested(self, target: bytes) -> tuple[Source, ...]:
        """For introspect: the peers that asked for a target."""
        return tuple(self._interest.get(target, ()))
