"""The configuration as a graph: nodes, typed links, and changes told in batches.

One graph per process. On the control node and DNS `config.client` feeds it; on an agent, the XMPP configuration
message. The shape is the real control node's (reference/xmpp.md 3.2): a link that has attributes is a node of the
link's own type, named `attr(A,B)`, whose property `value` holds them, and two links of that name to the two ends.
"""

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


class Origin(enum.IntFlag):
    """Who says that a link exists; it lives while anyone does."""

    CONFIG = 1
    XMPP = 2


class Node:
    """One object. `present` is False for a mere end of links: an object that is named but not (yet) there.

    `properties` maps JSON names to JSON values; treat both as read-only. A deleted node keeps its last properties.
    """

    __slots__ = ("_links", "name", "present", "properties", "type")

    def __init__(self, type_name: str, name: str) -> None:
        self.type = type_name
        self.name = name
        self.present = False
        self.properties: dict[str, Any] = {}
        self._links: dict[str, list[Link]] = {}

    def links(self, via: str | None = None) -> Iterator["Link"]:
        """The links of this node, all or those called `via`."""
        if via is not None:
            yield from self._links.get(via, ())
            return
        for links in self._links.values():
            yield from links

    def link_names(self) -> tuple[str, ...]:
        """The names of the links this node has."""
        return tuple(self._links)

    def neighbours(self, type_name: str | None = None, via: str | None = None) -> list["Node"]:
        """The nodes at the other ends, of one type or any, over links of one name or any, each once."""
        found: dict[Node, None] = {}
        for link in self.links(via):
            other = link.other(self)
            if type_name is None or other.type == type_name:
                found[other] = None
        return list(found)

    def neighbour(self, type_name: str | None = None, via: str | None = None) -> "Node | None":
        """The first of `neighbours`, or None."""
        for link in self.links(via):
            other = link.other(self)
            if type_name is None or other.type == type_name:
                return other
        return None

    def degree(self) -> int:
        """How many links this node has."""
        return sum(len(links) for links in self._links.values())

    def __repr__(self) -> str:
        return f"<{self.type} {self.name}>"


class Link:
    """One link between two nodes; it has a name (the metadata name) and no direction that counts."""

    __slots__ = ("left", "name", "origin", "right")

    def __init__(self, name: str, left: Node, right: Node, origin: Origin) -> None:
        self.name = name
        self.left = left
        self.right = right
        self.origin = origin

    def other(self, node: Node) -> Node:
        """The end that is not `node`."""
        return self.right if node is self.left else self.left

    def joins(self, left: Node, right: Node) -> bool:
        """Does it join these two, either way round?"""
        return (self.left is left and self.right is right) or (self.left is right and self.right is left)

    def __repr__(self) -> str:
        return f"<{self.name} {self.left!r} -- {self.right!r}>"


@dataclass(frozen=True, slots=True)
class Changes:
    """What one batch changed, net: what came and went within it is not here.

    `updated`: nodes that are new or whose properties changed, with the names of those properties. `deleted`: nodes that
    are gone. `linked` and `unlinked`: links that came and went.
    """

    updated: dict[Node, frozenset[str]]
    deleted: tuple[Node, ...]
    linked: tuple[Link, ...]
    unlinked: tuple[Link, ...]

    def touched(self) -> dict[Node, None]:
        """Every node that changed itself or gained or lost a link, in order, each once."""
        nodes: dict[Node, None] = dict.fromkeys(self.updated)
        nodes.update(dict.fromkeys(self.deleted))
        for link in (*self.linked, *self.unlinked):
            nodes[link.left] = nodes[link.right] = None
        return nodes

    def __bool__(self) -> bool:
        return bool(self.updated or self.deleted or self.linked or self.unlinked)


Subscriber = Callable[[Changes], None]


def attribute_node_name(left: str, right: str) -> str:
    """`attr(A,B)`, the two names in the database's key order."""
    first, second = sorted((left, right))
    return f"attr({first},{second})"


class Graph:
    """Nodes by (type, name). Change it inside `with graph.batch():` to have subscribers told once, at the end."""

    def __init__(self) -> None:
        self._nodes: dict[str, dict[str, Node]] = {}
        self._subscribers: list[Subscriber] = []
        self._depth = 0
        self._flushing = False
        self._updated: dict[Node, set[str]] = {}
        self._deleted: dict[Node, None] = {}
        self._linked: dict[Link, None] = {}
        self._unlinked: dict[Link, None] = {}
        self._born: set[Node] = set()

    # -- reading

    def get(self, type_name: str, name: str) -> Node | None:
        """The node, or None. A node that is only named by links is given too: see `Node.present`."""
        return self._nodes.get(type_name, {}).get(name)

    def nodes(self, type_name: str | None = None) -> Iterator[Node]:
        """All nodes, or those of one type."""
        if type_name is not None:
            yield from self._nodes.get(type_name, {}).values()
            return
        for nodes in self._nodes.values():
            yield from nodes.values()

    def types(self) -> tuple[str, ...]:
        """The types that have nodes."""
        return tuple(self._nodes)

    def find_link(self, name: str, left: Node, right: Node) -> Link | None:
        """The link of that name between two nodes (for one with attributes: between an end and its node), or None."""
        here, there = left._links.get(name, ()), right._links.get(name, ())
        for link in here if len(here) <= len(there) else there:
            if link.joins(left, right):
                return link
        return None

    def attribute(self, link: str, left: Node, right: Node) -> Any:
        """The attribute of the link called `link` between two nodes, or None when there is no such link."""
        node = self.get(link, attribute_node_name(left.name, right.name))
        return node.properties.get("value") if node is not None else None

    def __len__(self) -> int:
        return sum(len(nodes) for nodes in self._nodes.values())

    # -- changing

    def put(self, type_name: str, name: str, properties: dict[str, Any]) -> Node:
        """Make or change a node; its properties become exactly `properties`."""
        with self.batch():
            node = self._ensure(type_name, name)
            if not node.present:
                node.present = True
                self._mark(node, set(properties))
            else:
                old = node.properties
                names = {key for key in old.keys() | properties.keys() if old.get(key) != properties.get(key)}
                if not names:
                    return node
                self._mark(node, names)
            node.properties = dict(properties)
        return node

    def remove(self, type_name: str, name: str) -> bool:
        """The object is gone. The node stays, not present and bare, while links name it."""
        node = self.get(type_name, name)
        if node is None or not node.present:
            return False
        with self.batch():
            node.present = False
            names = set(node.properties)
            if node._links:
                node.properties = {}
                self._mark(node, names)
            else:
                self._drop(node)
        return True

    def link(
        self,
        name: str,
        left: tuple[str, str],
        right: tuple[str, str],
        attribute: dict[str, Any] | None = None,
        origin: Origin = Origin.CONFIG,
    ) -> None:
        """Link two nodes, each (type, name), made if need be. With `attribute`, through a node of the link's type."""
        with self.batch():
            first, second = self._ensure(*left), self._ensure(*right)
            if attribute is None:
                self._join(name, first, second, origin)
                return
            middle = self.put(name, attribute_node_name(left[1], right[1]), {"value": attribute})
            self._join(name, middle, first, origin)
            self._join(name, middle, second, origin)

    def unlink(self, name: str, left: tuple[str, str], right: tuple[str, str], origin: Origin = Origin.CONFIG) -> bool:
        """Take away a link, with its attribute node if it has one. False when there was none."""
        first, second = self.get(*left), self.get(*right)
        if first is None or second is None:
            return False
        middle = self.get(name, attribute_node_name(left[1], right[1]))
        with self.batch():
            if self._part(name, first, second, origin):  # nodes of other types may have these names and an attribute
                return True
            if middle is None:
                return False
            parted = [self._part(name, middle, end, origin) for end in (first, second)]
            if middle.degree() == 0:
                self.remove(name, middle.name)
            self._forget_if_bare(middle)
            return any(parted)

    def clear(self, origin: Origin = Origin.CONFIG) -> None:
        """Forget every node and the links of one origin."""
        with self.batch():
            for node in list(self.nodes()):
                for link in list(node.links()):
                    self._part(link.name, link.left, link.right, origin)
            for node in list(self.nodes()):
                self.remove(node.type, node.name)

    # -- telling

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have `subscriber` called with each batch of changes; gives back what ends that. What is there is not told."""
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            if subscriber in self._subscribers:
                self._subscribers.remove(subscriber)

        return unsubscribe

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Changes made inside are told once, when the outermost batch ends; those made by subscribers come after."""
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0 and not self._flushing:
                self._flush()

    def _flush(self) -> None:
        self._flushing = True
        try:
            while changes := self._take():
                for subscriber in tuple(self._subscribers):
                    subscriber(changes)
        finally:
            self._flushing = False

    def _take(self) -> Changes:
        changes = Changes(
            {node: frozenset(names) for node, names in self._updated.items()},
            tuple(self._deleted),
            tuple(self._linked),
            tuple(self._unlinked),
        )
        self._updated, self._deleted, self._linked, self._unlinked, self._born = {}, {}, {}, {}, set()
        return changes

    # -- inside

    def _ensure(self, type_name: str, name: str) -> Node:
        nodes = self._nodes.setdefault(type_name, {})
        node = nodes.get(name)
        if node is None:
            node = nodes[name] = Node(type_name, name)
            self._born.add(node)
            self._mark(node, set())
        return node

    def _mark(self, node: Node, names: set[str]) -> None:
        self._updated.setdefault(node, set()).update(names)

    def _drop(self, node: Node) -> None:
        nodes = self._nodes[node.type]
        del nodes[node.name]
        if not nodes:
            del self._nodes[node.type]
        self._updated.pop(node, None)
        if node in self._born:
            self._born.discard(node)
        else:
            self._deleted[node] = None

    def _forget_if_bare(self, node: Node) -> None:
        if not node.present and not node._links and self.get(node.type, node.name) is node:
            self._drop(node)

    def _join(self, name: str, left: Node, right: Node, origin: Origin) -> None:
        link = self.find_link(name, left, right)
        if link is not None:
            link.origin |= origin
            return
        link = Link(name, left, right, origin)
        left._links.setdefault(name, []).append(link)
        if right is not left:
            right._links.setdefault(name, []).append(link)
        self._linked[link] = None

    def _part(self, name: str, left: Node, right: Node, origin: Origin) -> bool:
        link = self.find_link(name, left, right)
        if link is None or not link.origin & origin:
            return False
        link.origin &= ~origin
        if link.origin:
            return True
        for node in {left: None, right: None}:
            links = node._links[name]
            links.remove(link)
            if not links:
                del node._links[name]
        if link in self._linked:
            del self._linked[link]
        else:
            self._unlinked[link] = None
        self._forget_if_bare(left)
        self._forget_if_bare(right)
        return True
