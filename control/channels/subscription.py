"""One instance an agent subscribed to, with the routes it publishes there (reference/xmpp.md 2.2, 6).

While the instance does not exist, routes wait in `parked`. Over a restart that is helped, the subscription is stale
until the agent repeats it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from contrail_emulator.control.bgp import rd
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.graceful_restart import NEVER_STALE
from contrail_emulator.control.routing import Flag, GroupKey, Member, Membership, RoutingCore, Source

from .item import ItemRoute
from .multicast_item import is_selective, with_instance_rd

XMPP_GROUP = GroupKey(encoding="xmpp", peer_type="xmpp")
DELIVERED = (Family.INET, Family.INET6, Family.INET_LABELED, Family.E_VPN, Family.ERM_VPN)
"""What agents hear of. A subscription also covers MVPN, of which there is nothing to tell (see `multicast_item`)."""
STALE_MARKS = int(Flag.STALE | Flag.LLGR_STALE)
Slot = tuple[Family, bytes]


class Subscription:
    """`instance_id` is the low part of the agent's RDs; with `no_ribout` the agent tells but hears nothing."""

    __slots__ = (
        "_core",
        "_routes",
        "_source",
        "active",
        "instance",
        "instance_id",
        "memberships",
        "no_ribout",
        "parked",
        "stale",
    )

    def __init__(self, core: RoutingCore, source: Source, instance: str, instance_id: int, no_ribout: bool) -> None:
        self.instance = instance
        self.instance_id = instance_id
        self.no_ribout = no_ribout
        self.active = False
        self.stale = False
        self.memberships: list[Membership] = []
        self.parked: dict[Slot, ItemRoute] = {}
        self._routes: set[Slot] = set()
        self._core = core
        self._source = source

    @property
    def waiting(self) -> bool:
        """The instance does not exist, or what is in it was not told yet."""
        return not self.active or not all(membership.joined for membership in self.memberships)

    @property
    def state(self) -> str:
        """For introspect."""
        if self.stale:
            return "stale"
        return "subscribed" if self.active else "pending"

    @property
    def count(self) -> int:
        """Routes the agent has here, parked ones included."""
        return len(self._routes) + len(self.parked)

    # Coming and going

    def activate(self, member: Member | None) -> None:
        """The instance exists: ask for its routes, put in what waited; `member` (if any) is to hear it."""
        if not self.active:
            self.active = True
            self._core.subscribe(self.instance, self._source)
        if member is not None and not self.no_ribout and not self.memberships:
            tables = self._core.instances[self.instance].tables
            self.memberships = [
                self._core.join(tables[family].name, XMPP_GROUP, member, source=self._source)
                for family in DELIVERED
                if family in tables and not tables[family].vpn
            ]
        parked, self.parked = self.parked, {}
        for route in parked.values():
            self._install(route)

    def park(self) -> None:
        """The instance goes: take its routes out, and keep for when it comes back what the present session said."""
        if self.active:
            self.parked = {(route.family, route.key): route for route in self._present()}
            self._deactivate()

    def end(self) -> None:
        """The agent is not subscribed any more."""
        self._deactivate()
        self.parked.clear()

    def suspend(self) -> None:
        """The session is gone: tell nobody, keep the routes as stale, but for trees (reference/bgp.md 1.9)."""
        self.stale = True
        self.parked.clear()
        self._leave()
        for family, key in [slot for slot in self._routes if slot[0] in NEVER_STALE]:
            self._routes.discard((family, key))
            self._core.withdraw(self._table(family), self._source, key)
        for table in self._used_tables():
            self._core.mark_stale(self._source, table)

    def long_lived_stale(self) -> None:
        """Stale routes lose against all others from now on."""
        for table in self._used_tables():
            self._core.mark_llgr_stale(self._source, table)
        self._routes = {slot for slot in self._routes if self._holds(slot)}

    def sweep(self) -> None:
        """What was not published again goes."""
        for table in self._used_tables():
            self._core.sweep_stale(self._source, table)
        self._routes = {slot for slot in self._routes if self._holds(slot)}

    def _used_tables(self) -> list[str]:
        """Tables with routes of the agent's own: of its route targets the core takes care."""
        return [self._table(family) for family in dict.fromkeys(family for family, _ in self._routes)]

    def restore(self, instance_id: int, no_ribout: bool) -> None:
        """The agent repeated the subscription."""
        self.stale = False
        self.instance_id = instance_id
        self.no_ribout = no_ribout

    def unblocked(self) -> None:
        """The agent reads again."""
        for membership in self.memberships:
            membership.unblocked()

    def _deactivate(self) -> None:
        self._leave()
        for family, key in self._routes:
            self._core.withdraw(self._table(family), self._source, key)
        self._routes.clear()
        if self.active:
            self._core.unsubscribe(self.instance, self._source)
        self.active = False

    def _leave(self) -> None:
        for membership in self.memberships:
            self._core.leave(membership)
        self.memberships = []

    # Routes

    def add(self, route: ItemRoute) -> bool:
        """A route published. False when the instance has no table for it."""
        if not self.active:
            self.parked[route.family, route.key] = route
            return True
        return self._install(route)

    def delete(self, family: Family, key: bytes) -> bool:
        """A route withdrawn. False when there was none."""
        if not self.active:
            return self.parked.pop((family, key), None) is not None
        key = self._own_key(family, key)
        if (family, key) not in self._routes:
            return False
        self._routes.discard((family, key))
        return self._core.withdraw(self._table(family), self._source, key)

    def _install(self, route: ItemRoute) -> bool:
        table = self._core.instances[self.instance].tables.get(route.family)
        if table is None or table.vpn:
            return False
        key = self._own_key(route.family, route.key)
        distinguisher = key[1:9] if key is not route.key else route.rd
        self._routes.add((route.family, key))
        self._core.update(
            table.name, self._source, key, route.attributes, route.payload, rd=distinguisher, flags=route.flags
        )
        return True

    def _own_key(self, family: Family, key: bytes) -> bytes:
        """Selective multicast routes are the control node's own, with the instance's RD (reference/bgp.md 4.1)."""
        if is_selective(family, key):
            return with_instance_rd(key, self._core.instances[self.instance].rd)
        return key

    def _table(self, family: Family) -> str:
        return self._core.instances[self.instance].tables[family].name

    def _holds(self, slot: Slot) -> bool:
        family, key = slot
        route = self._core.tables[self._table(family)].routes.get(key)
        return route is not None and route.find(self._source, 0) is not None

    def _present(self) -> Iterator[ItemRoute]:
        """The routes in the tables that are not stale, as they were published."""
        for family, key in self._routes:
            route = self._core.tables[self._table(family)].routes.get(key)
            path = route.find(self._source, 0) if route is not None else None
            if path is None or path.flags & STALE_MARKS:
                continue
            found = ItemRoute(family, key, path.attributes, path.payload, path.rd, path.flags)
            if is_selective(family, key):
                found = dataclasses.replace(found, key=with_instance_rd(key, rd.ZERO))
            yield found
