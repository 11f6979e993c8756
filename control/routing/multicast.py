"""Multicast trees of one VRF: edge replication, reference/bgp.md 4.8.

Level 0 is the tree over the agents of this control node, level 1 the tree over control nodes. Both depend on nothing
but the set of their nodes. A native route says where an agent is and from which range it gives labels, as an Edge
Discovery of one edge: `Edge(address, ((first, last),))`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from contrail_emulator.control.bgp import ext_community
from contrail_emulator.control.bgp.attributes import Attributes, Edge, ForwardingEdge

from .ermvpn_key import GLOBAL_TREE, LOCAL_TREE, NATIVE, ErmVpnKey, tree_key
from .groups import Export, UpdateGroup
from .olist import Olist, OlistEntry
from .path import INFEASIBLE
from .source import Source, SourceKind
from .table import Route, Table

if TYPE_CHECKING:
    from .core import RoutingCore

DEGREE = 4
"""Children of a node in the tree over agents; one less in the tree over control nodes."""

BlockKey = tuple[bytes, int, int]


class LabelBlocks:
    """Labels in use of every range that agents gave us: the address, the first and the last label name a range."""

    def __init__(self) -> None:
        self._used: dict[BlockKey, set[int]] = {}

    def allocate(self, block: BlockKey) -> int:
        """The lowest free label of a range, 0 when none is left."""
        used = self._used.setdefault(block, set())
        for label in range(block[1], block[2] + 1):
            if label not in used:
                used.add(label)
                return label
        if not used:
            del self._used[block]
        return 0

    def release(self, block: BlockKey, label: int) -> None:
        used = self._used[block]
        used.remove(label)
        if not used:
            del self._used[block]

    def __len__(self) -> int:
        return len(self._used)


class Forwarder:
    """A node of a tree: an agent, or a control node represented by one of its agents."""

    __slots__ = ("address", "block", "encapsulations", "label", "links", "route", "router_id")

    def __init__(self, route: Route, router_id: bytes, edge: Edge, attributes: Attributes) -> None:
        self.route = route
        self.router_id = router_id
        self.address = edge.address
        self.block: BlockKey = (edge.address, *edge.labels[0])
        self.encapsulations = ext_community.encapsulations(attributes.ext_communities)
        self.label = 0
        self.links: list[Forwarder] = []

    def same(self, other: Forwarder) -> bool:
        return self.block == other.block and self.encapsulations == other.encapsulations


def link(nodes: Sequence[Forwarder], degree: int) -> None:
    """Arrange nodes, in their order, in a tree where each has up to `degree` children, breadth first."""
    for node in nodes:
        node.links = []
    for index in range(1, len(nodes)):
        parent = nodes[(index - 1) // degree]
        nodes[index].links.append(parent)
        parent.links.append(nodes[index])


def _communities(encapsulations: Sequence[str]) -> tuple[bytes, ...]:
    return tuple(ext_community.encapsulation(name) for name in encapsulations)


class Group:
    """The two trees of one (source, group)."""

    def __init__(self, manager: TreeManager, source: bytes, group: bytes) -> None:
        self.manager = manager
        self.source = source
        self.group = group
        self.agents: dict[Route, Forwarder] = {}
        self.nodes: dict[Route, Forwarder] = {}
        self.result: Route | None = None
        self.forest: Forwarder | None = None
        self.agents_changed = False
        self.nodes_changed = False
        self._built: set[bytes] = set()

    @property
    def empty(self) -> bool:
        return not self.agents and not self.nodes and self.result is None and not self._built

    def run(self) -> None:
        """Rebuild what changed."""
        if self.manager.groups.get((self.source, self.group)) is not self:
            return  # the instance was deleted while this waited
        if self.agents_changed:
            self.agents_changed = False
            self._build_local()
        if self.nodes_changed:
            self.nodes_changed = False
            self._build_global()
        if self.empty:
            self.manager.groups.pop((self.source, self.group), None)

    def _build_local(self) -> None:
        manager = self.manager
        ordered = sorted(self.agents.values(), key=lambda node: node.route.key)
        usable: list[Forwarder] = []
        for node in ordered:
            if not node.label:
                node.label = manager.blocks.allocate(node.block)
            if node.label:
                usable.append(node)
            else:
                node.links = []
        link(usable, DEGREE)
        for node in ordered:
            manager.mark(node.route)
        self.forest = usable[-1] if usable else None
        key = tree_key(LOCAL_TREE, manager.router_id, self.source, self.group)
        if self.forest is None:
            manager.withdraw(key)
            return
        edge = Edge(self.forest.address, ((self.forest.label, self.forest.label),))
        attributes = Attributes.make(
            next_hop=manager.router_id,
            edge_discovery=(edge,) * (DEGREE - 1),
            ext_communities=_communities(self.forest.encapsulations),
            local_pref=100,
        )
        manager.originate(key, attributes, ErmVpnKey.read(self.forest.route.key).rd)
        self.nodes_changed = True

    def _build_global(self) -> None:
        """Only the control node that owns the first local tree builds the tree over all of them."""
        manager = self.manager
        ordered = sorted(self.nodes.values(), key=lambda node: node.route.key)
        built: set[bytes] = set()
        if ordered and ordered[0].router_id == manager.router_id and self.forest is not None:
            for node in ordered:
                node.label = node.block[1]
            link(ordered, DEGREE - 1)
            distinguisher = ErmVpnKey.read(self.forest.route.key).rd
            for node in ordered:
                if not node.links:
                    continue
                key = tree_key(GLOBAL_TREE, node.router_id, self.source, self.group)
                edges = tuple(
                    ForwardingEdge(node.address, node.label, other.address, other.label) for other in node.links
                )
                attributes = Attributes.make(
                    next_hop=manager.router_id,
                    edge_forwarding=edges,
                    ext_communities=_communities(node.encapsulations),
                    local_pref=100,
                )
                manager.originate(key, attributes, distinguisher)
                built.add(key)
        for key in self._built - built:
            manager.withdraw(key)
        self._built = built

    def entries(self, node: Forwarder) -> tuple[OlistEntry, ...]:
        """Whom an agent sends copies to: its neighbours in the local tree, and across for the forest node."""
        entries = [OlistEntry(other.address, other.label, other.encapsulations) for other in node.links]
        best = self.result.best if self.result is not None else None
        if node is self.forest and best is not None and not best.flags & INFEASIBLE:
            encapsulations = ext_community.encapsulations(best.attributes.ext_communities)
            entries.extend(
                OlistEntry(edge.out_address, edge.out_label, encapsulations)
                for edge in best.attributes.edge_forwarding
                if edge.in_address == node.address
            )
        return tuple(entries)


class TreeManager:
    """The trees of one VRF. Hears of every changed route of its erm-vpn table, and exports native routes' lists."""

    def __init__(self, core: RoutingCore, table: Table, blocks: LabelBlocks) -> None:
        self._core = core
        self._table = table
        self._source = Source(SourceKind.LOCAL, "multicast")
        self.blocks = blocks
        self.groups: dict[tuple[bytes, bytes], Group] = {}

    @property
    def router_id(self) -> bytes:
        return self._core.settings.router_id.to_bytes(4, "big")

    # --- routes in ---------------------------------------------------------------------------------------------------

    def changed(self, route: Route) -> None:
        """A route of the table changed."""
        key = ErmVpnKey.read(route.key)
        best = route.best
        usable = best is not None and not best.flags & INFEASIBLE
        slot = (key.source, key.group)
        group = self.groups.get(slot)
        if group is None:
            if not usable:
                return
            group = self.groups[slot] = Group(self, key.source, key.group)
        if key.type == GLOBAL_TREE:
            if key.router_id == self.router_id:
                group.result = route if usable else None
                if group.forest is not None:
                    self.mark(group.forest.route)
                self._core.later(group)
            return
        nodes = group.agents if key.type == NATIVE else group.nodes
        node: Forwarder | None = None
        if usable:
            assert best is not None
            edges = best.attributes.edge_discovery
            if edges and edges[0].labels:
                node = Forwarder(route, key.router_id, edges[0], best.attributes)
        old = nodes.get(route)
        if old is not None and node is not None and old.same(node):
            return
        if old is not None:
            del nodes[route]
            if key.type == NATIVE and old.label:
                self.blocks.release(old.block, old.label)
        if node is not None:
            nodes[route] = node
        if old is None and node is None:
            return
        if key.type == NATIVE:
            group.agents_changed = True
        group.nodes_changed = True
        self._core.later(group)

    # --- routes out --------------------------------------------------------------------------------------------------

    def originate(self, key: bytes, attributes: Attributes, distinguisher: bytes) -> None:
        shared = self._core.attributes.acquire(attributes)
        self._table.update(self._source, shared, ((key, b""),), 0, distinguisher, 0)
        self._core.attributes.release(shared)

    def withdraw(self, key: bytes) -> None:
        self._table.withdraw(self._source, (key,), 0)

    def mark(self, route: Route) -> None:
        """Look at the list of a native route again."""
        if not route.dirty:
            self._core.mark(route)

    def export(self, group: UpdateGroup, route: Route) -> Export | None:
        """The list of a native route, to its publisher alone."""
        best = route.best
        if best is None or route.key[0] != NATIVE:
            return None
        key = ErmVpnKey.read(route.key)
        trees = self.groups.get((key.source, key.group))
        node = trees.agents.get(route) if trees is not None else None
        if trees is None or node is None or not node.label:
            return None
        entries = trees.entries(node)
        if not entries:
            return None
        olist = Olist(best.attributes, best.payload, entries, (), node.label)
        return olist, b"", group.members.by_source.get(best.source, 0)

    def close(self) -> None:
        """The table is gone: give the labels back."""
        for group in self.groups.values():
            for node in group.agents.values():
                if node.label:
                    self.blocks.release(node.block, node.label)
        self.groups.clear()
