"""Update groups: what a table tells peers that are to hear the same.

Members with an equal `GroupKey` share one ring. Its nodes are *adverts*, one per prefix that anyone was or is to be
told about, in the order of their last change, and *markers*, each a set of members that have read up to there. A change
moves the advert to the end; so a prefix that changes ten times while a member is blocked is sent to it once, and the
ring never holds more than the table does. A slice is encoded once for all who read it together.

Each advert knows three sets of members, as bits: `mask`, who should have the route; `told`, who has some version of it;
`current`, who has this version. Readers with `mask & ~current` get the route, readers with `told & ~mask` a withdrawal.

A member that joins stands at the tail, where changes reach it, and beside that a *walk* goes over the routes there were
when it joined. Membership of one route may change without the route (split horizon, route-target filters): a walk over
the routes concerned tells only those it concerns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family

from .attribute_set import AttributeSet
from .delivery import Collected, Delivery
from .group_key import Encoder, GroupKey, Member, Tally
from .members import Members, Membership
from .ring import Advert, Marker, Walk, link_before, ready_beside, unlink
from .source import Source

if TYPE_CHECKING:
    from .table import Route, Table

SLICE = 512
"""Adverts read, or routes walked, before another group gets its turn."""


class Exporter(Protocol):
    """What of a route a group advertises."""

    def __call__(self, group: UpdateGroup, route: Route) -> Export | None:
        """(attributes, payload, mask), or None when nobody in the group is to have the route."""


Export = tuple[Any, Any, int]
"""Attributes and payload, or a tuple of each where several paths of equal cost go to agents, or an Olist and nothing;
and who is to have it, as bits."""


class Slot:
    """What an exporter's answer depends on beside the attribute set.

    `memo` names it in the set's memory. When `added` is not empty, the exporter adds it (`Attributes.reflected`) to a
    set that has LOCAL_PREF and none of the attributes in `unfit` (type codes as bits), and does nothing else to it.
    """

    __slots__ = ("added", "memo", "unfit")

    def __init__(self, memo: tuple[int, bool, int, int], added: bytes, unfit: int) -> None:
        self.memo = memo
        self.added = added
        self.unfit = unfit


class Recent:
    """The last answer of an exporter that depends on nothing but attribute set, source and mark of a path.

    `mask` and `reflected`, the same without the source itself, are everyone's as long as no member filters.
    """

    __slots__ = ("attributes", "generation", "mask", "reflected", "shared", "slot", "source", "stale")

    def __init__(self, source: Source, stale: int, generation: int, slot: Slot, members: Members) -> None:
        self.source = source
        self.stale = stale
        self.generation = generation
        self.slot = slot
        self.shared: AttributeSet | None = None
        self.attributes: Attributes | None = None
        self.mask = members.all
        self.reflected = members.all & ~members.by_source.get(source, 0)


class UpdateGroup:
    """The members of one table that hear the same, and the ring of what they are to hear."""

    def __init__(
        self,
        table: Table,
        key: GroupKey,
        policy: int,
        encoder: Encoder,
        exporter: Exporter,
        settle: Callable[[Route], None],
        on_work: Callable[[UpdateGroup], None],
        target_bits: Callable[[Members, bytes], int],
    ) -> None:
        """`target_bits`: see `Members`."""
        self.table = table
        self.key = key
        self.policy = policy
        """A small number that stands for the key where hashing the key itself would be too slow."""
        self.reflects = key.peer_type == "ibgp" and bool(key.cluster_id) and table.family is not Family.ROUTE_TARGET
        self.carries_trees = table.family is Family.ERM_VPN
        self.carries_lists = key.encoding != "bgp" and table.family in (Family.E_VPN, Family.ERM_VPN)
        self.active = False
        self.members = Members(target_bits)
        self.counters = {"messages": 0, "deliveries": 0, "reach": 0, "unreach": 0, "splits": 0, "merges": 0}
        self.tail = Marker(0, True)
        self._ring = Marker(0, False)  # the sentinel: its next is the oldest node, its prev the newest
        self._ring.prev = self._ring.next = self._ring
        link_before(self.tail, self._ring)
        self._delivery = Delivery(table, key, encoder, self.counters)
        self._export = exporter.__call__  # the method is called faster than the object
        self._settle = settle
        self._on_work = on_work
        self._behind: list[Marker] = []
        self._walks: list[Walk] = []
        self.slots: dict[tuple[Source, int], Slot] = {}
        """For each source and mark of its paths."""
        self.recent: Recent | None = None

    # --- members -----------------------------------------------------------------------------------------------------

    def join(
        self,
        member: Member,
        source: Source | None,
        on_joined: Callable[[Membership], None] | None,
        filtered: bool = False,
        tally: Tally | None = None,
    ) -> Membership:
        """Add a member: it hears every change from now on, and all that there is by and by.

        `filtered`: of a VPN table, only the routes with a target that it asked for. `tally` counts what it is told.
        """
        bit = self.members.new_bit()
        membership = Membership(self, member, bit, source, on_joined, self.tail, tally)
        self.members.add(membership, filtered)
        self._members_changed()
        self.tail.bits |= bit
        for walk in self._walks:
            if walk.initial and not walk.position and not walk.anew:
                walk.bits |= bit
                walk.routes = list(self.table.routes.values())
                break
        else:
            self._walks.append(Walk(bit, list(self.table.routes.values()), initial=True))
        self._wake()
        return membership

    def leave(self, membership: Membership) -> Iterable[Route]:
        """Take a member out, at once. Returns the routes to `forget`, in slices, before its bit is used again."""
        bit = membership.bit
        if membership.group is not self:
            return ()
        membership.group = None
        self.members.remove(membership)
        self._members_changed()
        marker = membership.marker
        marker.bits &= ~bit
        if not marker.bits and marker is not self.tail:
            self._drop_marker(marker)
        for walk in self._walks:
            walk.bits &= ~bit
        self._walks = [walk for walk in self._walks if walk.bits]
        membership.paused.clear()
        return list(self.table.routes.values())

    def forget(self, bits: int, route: Route) -> None:
        """Clear departed members' bits from one route."""
        advert = self.find(route)
        if advert is not None and (advert.told | advert.mask) & bits:
            advert.told &= ~bits
            advert.mask &= ~bits
            advert.current &= ~bits
            if not advert.told and not advert.mask:
                self._remove(advert)

    def forget_interest(self, target: bytes) -> None:
        """Who asked for a target (or for all: empty) changed."""
        self.members.forget_interest(target)
        self.recent = None

    def _members_changed(self) -> None:
        self.slots.clear()
        self.recent = None

    @property
    def markers(self) -> int:
        """How many positions members stand at."""
        return sum(1 for node in self._nodes() if isinstance(node, Marker))

    @property
    def pending(self) -> int:
        """How many adverts some member has not read yet. Counts the ring through."""
        seen = 0
        started = False
        for node in self._nodes():
            if isinstance(node, Marker):
                started = started or bool(node.bits)
            else:
                seen += started
        return seen

    def _nodes(self) -> Iterator[Advert | Marker]:
        node = self._ring.next
        while node is not None and node is not self._ring:
            yield node
            node = node.next

    # --- changes -----------------------------------------------------------------------------------------------------

    def find(self, route: Route) -> Advert | None:
        """What this group holds of a route."""
        advert = route.advert
        while advert is not None and advert.group is not self:
            advert = advert.following
        return advert

    def changed(self, route: Route) -> None:
        """The route, or who may have it, changed."""
        export = self._export(self, route) if route.best is not None else None
        advert = route.advert
        while advert is not None and advert.group is not self:
            advert = advert.following
        if export is None or not export[2]:
            if advert is None or not advert.mask:
                return
            advert.attributes = None
            advert.payload = b""
            advert.mask = advert.current = 0
            if not advert.told & self.members.all:
                self._remove(advert)
                return
        else:
            attributes, payload, mask = export
            if advert is None:
                advert = route.advert = Advert(self, route, attributes, payload, mask)
            else:
                if (
                    advert.mask
                    and advert.payload == payload
                    and (advert.attributes is attributes or advert.attributes == attributes)
                ):
                    if advert.mask == mask:
                        return
                    advert.current &= mask
                else:
                    advert.current = 0
                advert.attributes = attributes
                advert.payload = payload
                advert.mask = mask
        # To the end of the ring: unlink and link_before, without the calls: every change comes by here
        ring = self._ring
        before = advert.prev
        if before is not None:
            after = advert.next
            assert after is not None
            before.next = after
            after.prev = before
        last = ring.prev
        assert last is not None
        last.next = advert
        advert.prev = last
        advert.next = ring
        ring.prev = advert
        if not self.active:
            self._wake()

    def compare(self, routes: list[Route], bits: int) -> None:
        """Tell some members, and only them, what changed for them about `routes`."""
        bits &= self.members.all
        if not routes or not bits:
            return
        last = self._walks[-1] if self._walks else None
        if last is not None and last.bits == bits and not (last.position or last.initial or last.anew):
            last.routes.extend(routes)
        else:
            walk = Walk(bits, list(routes))
            for membership in self.members.of(walk.bits):
                if membership.blocked:
                    self._pause(walk, membership)
            if walk.bits:
                self._walks.append(walk)
                self._wake()

    def refresh(self, membership: Membership) -> None:
        """Tell a member everything again. A request that meets another one, or a join, not yet done is one with it."""
        bit = membership.bit
        walks = membership.paused if membership.blocked else self._walks
        for walk in walks:
            if walk.bits & bit and (walk.initial or walk.anew):
                if walk.bits == bit:
                    walk.begin_anew()
                    return
                walk.bits &= ~bit  # others join with it, who asked for nothing
                walks.append(walk.left_for(bit))
                break
        else:
            walks.append(Walk(bit, []))
        walks[-1].begin_anew()
        if not membership.blocked:
            self._wake()

    # --- the ring ----------------------------------------------------------------------------------------------------

    def _remove(self, advert: Advert) -> None:
        """Nobody has, or is to have, the route."""
        unlink(advert)
        route = advert.route
        if route.advert is advert:
            route.advert = advert.following
        else:
            other = route.advert
            while other is not None and other.following is not advert:
                other = other.following
            assert other is not None
            other.following = advert.following
        if route.advert is None and route.best is None and not route.dirty:
            self.table.routes.pop(route.key, None)

    def _drop_marker(self, marker: Marker) -> None:
        unlink(marker)
        if marker in self._behind:
            self._behind.remove(marker)

    # --- blocked members ---------------------------------------------------------------------------------------------

    def _block(self, membership: Membership) -> None:
        """Give a member that cannot be sent to a marker of its own where it stands, and stop its walks."""
        bit = membership.bit
        membership.blocked = True
        old = membership.marker
        marker = membership.marker = Marker(bit, False)
        link_before(marker, old)
        old.bits &= ~bit
        if not old.bits and old is not self.tail:
            self._drop_marker(old)
        for walk in self._walks:
            self._pause(walk, membership)
        self._walks = [walk for walk in self._walks if walk.bits]
        self.counters["splits"] += 1

    @staticmethod
    def _pause(walk: Walk, membership: Membership) -> None:
        bit = membership.bit
        if walk.bits & bit:
            walk.bits &= ~bit
            membership.paused.append(walk.left_for(bit))

    def unblock(self, membership: Membership) -> None:
        membership.blocked = False
        marker = membership.marker
        marker.ready = True
        beside = ready_beside(marker, self._ring)
        if beside is None:
            self._behind.append(marker)
        else:
            self._merge(marker, beside)
        self._walks.extend(membership.paused)
        membership.paused.clear()
        self._wake()

    # --- sending -----------------------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if not self.active:
            self.active = True
            self._on_work(self)

    def work(self) -> bool:
        """Send one slice to those at the tail, one to those behind, and one of a walk. False when nothing is left."""
        if self.tail.next is not self._ring:
            self._read(self.tail)
        if self._behind:
            self._read(self._behind[-1])
        walked = 0
        while self._walks and walked < SLICE:
            walked += self._walk(self._walks[0])
        self.active = self.tail.next is not self._ring or bool(self._behind) or bool(self._walks)
        return self.active

    def _read(self, marker: Marker) -> None:
        """Send what follows `marker` to its members: a slice, or up to the next marker whose members can be sent to."""
        bits = marker.bits
        ring = self._ring
        collected = Collected()
        left = SLICE
        node = marker.next
        assert node is not None
        met: Marker | None = None
        carries_lists = self.carries_lists
        attributes: Any = None
        receivers = 0
        routes: list[Any] = []
        while node is not ring and left:
            following = node.next
            assert following is not None
            if isinstance(node, Marker):
                if node.ready:
                    met = node
                    break
                node = following
                continue
            advert = node
            left -= 1
            mask = advert.mask
            told = advert.told
            send = mask & ~advert.current & bits
            lose = told & ~mask & bits
            if send:
                if carries_lists:
                    collected.add(advert, send)
                else:
                    if advert.attributes is not attributes or send != receivers:
                        attributes, receivers = advert.attributes, send
                        routes = collected.routes(attributes, send)
                    routes.append((advert.route.key, advert.payload))
                if not told or told == send:
                    advert.told = advert.current = send
                else:
                    advert.told = told = told | send
                    current = advert.current | send
                    advert.current = told if current == told else current
            if lose:
                collected.lose(advert.route.key, lose)
                advert.told &= ~lose
                if not advert.told and not mask:
                    self._remove(advert)
            node = following
        unlink(marker)
        link_before(marker, node)
        if marker is not self.tail and (met is not None or node is ring):
            self._merge(marker, met or self.tail)
        self._deliver(bits, collected)

    def _merge(self, marker: Marker, into: Marker) -> None:
        """The members of `marker` have caught up with those of `into`."""
        for membership in self.members.of(marker.bits):
            membership.marker = into
        into.bits |= marker.bits
        self._drop_marker(marker)
        self.counters["merges"] += 1

    def _walk(self, walk: Walk) -> int:
        """Compare the next slice of a walk's routes with what its members have. Returns how many there were."""
        bits = walk.bits
        collected = Collected()
        if walk.unbegun:
            walk.begin(self.table.routes.values())
        start = walk.position
        end = min(start + SLICE, len(walk.routes))
        for route in walk.routes[start:end]:
            if route.dirty:
                self._settle(route)
            if walk.anew:
                self._take_back(route, bits)
            self._compare_one(route, bits, collected)
        walk.position = end
        done = end == len(walk.routes)
        if done:
            self._walks.remove(walk)
        self._deliver(bits, collected)
        if done and walk.initial:
            for membership in self.members.of(bits & self.members.all):
                membership.has_joined()
        return end - start + 1

    def _take_back(self, route: Route, bits: int) -> None:
        """Some members are to hear of a route again."""
        advert = self.find(route)
        if advert is not None:
            advert.current &= ~bits

    def _compare_one(self, route: Route, bits: int, collected: Collected) -> None:
        advert = self.find(route)
        export = self._export(self, route) if route.best is not None else None
        attributes: Any = None
        payload: Any = b""
        want = 0
        if export is not None:
            attributes, payload, mask = export
            want = mask & bits
        if advert is None:
            if not want:
                return
            advert = route.advert = Advert(self, route, attributes, payload, 0)
            first = self._ring.next
            assert first is not None
            link_before(advert, first)
        elif advert.mask and (advert.payload != payload or advert.attributes != attributes):
            self.changed(route)  # the export policy itself changed: everyone is to hear of it
            return
        elif want:
            advert.attributes = attributes
            advert.payload = payload
        send = want & ~advert.current
        lose = advert.told & bits & ~want
        others = advert.mask & ~bits
        advert.mask = want | others if others else want
        if send:
            collected.add(advert, send)
            advert.told |= send
            advert.current |= send
        if lose:
            collected.lose(route.key, lose)
            advert.told &= ~lose
        advert.current &= advert.mask
        if not advert.told and not advert.mask:
            self._remove(advert)

    def _deliver(self, bits: int, collected: Collected) -> None:
        """Hand what was collected to `bits`."""
        encoded = self._delivery.encode(collected)
        if encoded.messages:
            for membership in self.members.of(bits):
                if not self._delivery.hand_over(encoded, membership) and not membership.blocked:
                    self._block(membership)
