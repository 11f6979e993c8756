"""The links among a set of nodes, found without walking every link of a node that thousands share.

A virtual network has a link to each of its interfaces; an agent has a few of those. So a node with few links is asked
for them; a node with many is looked up by the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

from contrail_emulator.config.graph import Changes, Link, Node

FEW = 64


class LinkIndex:
    """Remembers, for nodes that have more than `few` links, which lead where. Must hear of every change (`changed`)."""

    def __init__(self, few: int = FEW) -> None:
        self._few = few
        self._hubs: dict[Node, dict[Node, list[Link]]] = {}

    def changed(self, changes: Changes) -> None:
        """Keep up with the graph."""
        if not self._hubs:
            return
        for node in changes.deleted:
            self._hubs.pop(node, None)
        for link in changes.unlinked:
            for node in (link.left, link.right):
                ends = self._hubs.get(node)
                if ends is not None:
                    left = [other for other in ends.get(link.other(node), ()) if other is not link]
                    if left:
                        ends[link.other(node)] = left
                    else:
                        ends.pop(link.other(node), None)
        for link in changes.linked:
            for node in (link.left, link.right):
                ends = self._hubs.get(node)
                if ends is not None:
                    known = ends.setdefault(link.other(node), [])
                    if link not in known:  # the index may have been made after the link
                        known.append(link)

    def among(self, nodes: Collection[Node]) -> Iterator[Link]:
        """Every link both of whose ends are in the set `nodes`; some of them twice."""
        hubs: list[Node] = []
        for node in nodes:
            if node.degree() > self._few:
                hubs.append(node)
                continue
            for link in node.links():
                if link.other(node) in nodes:
                    yield link
        for position, hub in enumerate(hubs):
            yield from self._between(hub, hubs[position:])

    def _between(self, hub: Node, others: Iterable[Node]) -> Iterator[Link]:
        ends = self._hubs.get(hub)
        if ends is None:
            ends = self._hubs[hub] = {}
            for link in hub.links():
                ends.setdefault(link.other(hub), []).append(link)
        for other in others:
            yield from ends.get(other, ())
