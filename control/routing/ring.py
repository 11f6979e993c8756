"""The nodes of an update group's ring, and what is collected from them for encoding. `groups` explains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .olist import Olist

if TYPE_CHECKING:
    from .groups import UpdateGroup
    from .table import Route


class Advert:
    """What a group says, has said and is to say about one route."""

    __slots__ = ("attributes", "current", "following", "group", "mask", "next", "payload", "prev", "route", "told")

    def __init__(self, group: UpdateGroup, route: Route) -> None:
        self.group = group
        self.route = route
        self.following: Advert | None = None  # the advert of another group for the same route
        self.prev: Advert | Marker | None = None
        self.next: Advert | Marker | None = None
        self.attributes: Any = None
        self.payload: Any = b""
        self.mask = 0
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
    """Routes still to be compared with what some members have."""

    __slots__ = ("bits", "initial", "position", "routes")

    def __init__(self, bits: int, routes: list[Route], position: int = 0, initial: bool = False) -> None:
        self.bits = bits
        self.routes = routes
        self.position = position
        self.initial = initial


class Reach:
    """Adverts collected for encoding, per attribute sets and receivers.

    `batches` holds (receivers, attributes, routes) with (key, payload) routes of one attribute set for BGP; with
    (key, paths) routes, and no attributes beside them, for agents. `single`: the former.
    """

    __slots__ = ("_attributes", "_index", "_receivers", "_routes", "batches", "olists", "single")

    def __init__(self, group: UpdateGroup) -> None:
        self.batches: list[tuple[int, Any, list[Any]]] = []
        self.olists: dict[int, list[tuple[bytes, Olist]]] = {}
        self._index: dict[int, dict[Any, list[Any]]] = {}
        self.single = group.key.encoding == "bgp"
        self._attributes: Any = None
        self._receivers = 0
        self._routes: list[Any] = []

    def add(self, advert: Advert, receivers: int) -> None:
        attributes = advert.attributes
        if attributes is not self._attributes or receivers != self._receivers:
            if isinstance(attributes, Olist):
                self.olists.setdefault(receivers, []).append((advert.route.key, attributes))
                return
            self._attributes, self._receivers = attributes, receivers
            self._routes = self.routes(attributes, receivers)
        if self.single:
            self._routes.append((advert.route.key, advert.payload))
        else:
            self._routes.append((advert.route.key, tuple(zip(attributes, advert.payload, strict=True))))

    def routes(self, attributes: Any, receivers: int) -> list[Any]:
        """Where the routes with these attributes are collected for these receivers."""
        index = self._index.get(receivers)
        if index is None:
            index = self._index[receivers] = {}
        content = attributes.key if self.single else attributes
        found = index.get(content)
        if found is None:
            found = index[content] = []
            self.batches.append((receivers, attributes, found))
        return found
