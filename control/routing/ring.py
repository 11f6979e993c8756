"""The nodes of an update group's ring, and walks over the table beside it. `groups` explains them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .groups import UpdateGroup
    from .table import Route


class Advert:
    """What a group says, has said and is to say about one route. `following`: the advert of another group for it."""

    __slots__ = ("attributes", "current", "following", "group", "mask", "next", "payload", "prev", "route", "told")

    def __init__(self, group: UpdateGroup, route: Route, attributes: Any, payload: Any, mask: int) -> None:
        """It comes before the adverts that the route has: make it `route.advert`."""
        self.group = group
        self.route = route
        self.following: Advert | None = route.advert
        self.prev: Advert | Marker | None = None
        self.next: Advert | Marker | None = None
        self.attributes = attributes
        self.payload = payload
        self.mask = mask
        self.told = 0
        self.current = 0


class Marker:
    """Members that have read the ring up to here: all of them can be sent to, or all are blocked."""

    __slots__ = ("bits", "next", "prev", "ready")

    def __init__(self, bits: int, ready: bool) -> None:
        self.bits = bits
        self.ready = ready
        self.prev: Advert | Marker | None = None
        self.next: Advert | Marker | None = None


def link_before(node: Advert | Marker, after: Advert | Marker) -> None:
    """Put a node that is in no ring before `after`."""
    before = after.prev
    assert before is not None
    before.next = node
    node.prev = before
    node.next = after
    after.prev = node


def unlink(node: Advert | Marker) -> None:
    """Take a node out, if it is in."""
    before, after = node.prev, node.next
    if before is not None and after is not None:
        before.next = after
        after.prev = before
        node.prev = node.next = None


def ready_beside(marker: Marker, sentinel: Marker) -> Marker | None:
    """Another marker at the same position whose members can be sent to: together they go on, encoded once."""
    node = marker.next
    while isinstance(node, Marker) and node is not sentinel:
        if node.ready:
            return node
        node = node.next
    node = marker.prev
    while isinstance(node, Marker) and node is not sentinel:
        if node.ready:
            return node
        node = node.prev
    return None


class Walk:
    """Routes still to be compared with what some members have: those from `position` on.

    `initial`: of members that join. `anew`: for one member that asked for everything again. The rest of the table is
    then looked up when the walk begins (`unbegun`), so that asking costs nothing however often it happens.
    """

    __slots__ = ("anew", "bits", "initial", "position", "routes", "unbegun")

    def __init__(self, bits: int, routes: list[Route], position: int = 0, initial: bool = False) -> None:
        self.bits = bits
        self.routes = routes
        self.position = position
        self.initial = initial
        self.anew = False
        self.unbegun = False

    def left_for(self, bit: int) -> Walk:
        """What is left of the walk, for one of its members."""
        walk = Walk(bit, self.routes, self.position, self.initial)
        walk.anew = self.anew
        walk.unbegun = self.unbegun
        return walk

    def begin_anew(self) -> None:
        """Everything again, the routes that are left first: who asks time and again still hears of all."""
        if not self.unbegun:
            self.routes = self.routes[self.position :]
            self.position = 0
            self.anew = self.unbegun = True

    def begin(self, table: Iterable[Route]) -> None:
        """`table`: every route there is now."""
        self.routes = list(dict.fromkeys((*self.routes, *table)))
        self.unbegun = False
