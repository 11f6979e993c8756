"""Which configuration each agent has and what it must be sent: a walk of the graph per agent, and the difference to the
last (reference/xmpp.md 3).

A change concerns few agents: a node those that have it, a link those for which it leads on, or that have both its ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from twisted.logger import Logger

from contrail_emulator.config.graph import Changes, Graph, Link, Node, Origin
from contrail_emulator.config.schema import Schema, SchemaError
from contrail_emulator.config.schema.xml import to_xml

from .agent_filter import FOLLOWED
from .agent_view import AgentView, LinkKey, NodeKey, key_of
from .link_index import LinkIndex

VIRTUAL_ROUTER = "virtual-router"
VIRTUAL_MACHINE = "virtual-machine"
MACHINE_LINK = "virtual-router-virtual-machine"
_NOBODY: frozenset[AgentView] = frozenset()


class AgentConfig:
    """Keeps every subscribed agent's configuration equal to its walk of the graph; sends differences only."""

    log = Logger()

    def __init__(self, graph: Graph, schema: Schema) -> None:
        self._graph = graph
        self._schema = schema
        self._views: dict[str, AgentView] = {}
        self._interested: dict[Node, set[AgentView]] = {}
        self._rendered: dict[Node, tuple[Mapping[str, Any], tuple[bytes, ...]]] = {}
        self._index = LinkIndex()
        self._unsubscribe = graph.subscribe(self._changed)

    def stop(self) -> None:
        """Lets go of the graph."""
        self._unsubscribe()

    # What agents ask for

    def connect(self, name: str, send: Callable[[bytes], bool]) -> AgentView:
        """An agent's session came up; it has nothing until it subscribes."""
        return AgentView(name, send)

    def subscribe_router(self, view: AgentView, router: str) -> bool:
        """The agent asks for its virtual router's configuration. False for a repeated or foreign subscription."""
        if view.router is not None or router in self._views:
            view.duplicates += 1
            return False
        view.router = router
        self._views[router] = view
        self._walk_again(view)
        return True

    def subscribe_machine(self, view: AgentView, machine: str) -> bool:
        """The agent runs a machine, known to configuration yet or not. False for a repeated subscription."""
        if view.router is None or machine in view.machines:
            view.duplicates += 1
            return False
        view.machines.add(machine)
        self._graph.link(MACHINE_LINK, (VIRTUAL_ROUTER, view.router), (VIRTUAL_MACHINE, machine), origin=Origin.XMPP)
        return True

    def unsubscribe_machine(self, view: AgentView, machine: str) -> bool:
        """The agent's machine is gone. False when it was not subscribed."""
        if view.router is None or machine not in view.machines:
            view.duplicates += 1
            return False
        view.machines.remove(machine)
        self._graph.unlink(MACHINE_LINK, (VIRTUAL_ROUTER, view.router), (VIRTUAL_MACHINE, machine), origin=Origin.XMPP)
        return True

    def disconnect(self, view: AgentView) -> None:
        """The session is gone, and all the agent subscribed to: configuration is never retained (xmpp.md 1.10)."""
        if view.router is None or self._views.get(view.router) is not view:
            return
        del self._views[view.router]
        for node in view.interest:
            self._forget(node, view)
        view.interest = set()
        with self._graph.batch():
            for machine in view.machines:
                self._graph.unlink(
                    MACHINE_LINK, (VIRTUAL_ROUTER, view.router), (VIRTUAL_MACHINE, machine), origin=Origin.XMPP
                )
        view.machines = set()

    def unblocked(self, view: AgentView) -> None:
        """The agent reads again: what changed meanwhile goes out, in its latest state only."""
        if view.blocked:
            view.blocked = False
            self._send_difference(view)

    # What configuration does

    def _changed(self, changes: Changes) -> None:
        self._index.changed(changes)
        walk: dict[AgentView, None] = {}
        touched: dict[AgentView, list[Node]] = {}
        for node in changes.updated:
            if node.type == VIRTUAL_ROUTER and node.name in self._views:
                walk[self._views[node.name]] = None
            for view in self._interested.get(node, ()):
                if (key_of(node) in view.sent_nodes) is node.present:
                    touched.setdefault(view, []).append(node)
                else:
                    walk[view] = None
        for node in changes.deleted:
            walk.update(dict.fromkeys(self._interested.get(node, ())))
            self._rendered.pop(node, None)
        for link in (*changes.linked, *changes.unlinked):
            walk.update(dict.fromkeys(self._concerned(link)))
        for view in walk:
            self._walk_again(view)
        for view, nodes in touched.items():
            if view not in walk and not view.blocked:
                view.send_changed([node for node in nodes if node.present], self._render)

    def _concerned(self, link: Link) -> Iterator[AgentView]:
        """Whom a link that came or went leads on to more, or to whom it is itself to be sent."""
        left = self._interested.get(link.left, _NOBODY)
        right = self._interested.get(link.right, _NOBODY)
        if link.name in FOLLOWED.get(link.left.type, ()):
            yield from left
        if link.name in FOLLOWED.get(link.right.type, ()):
            yield from right
        yield from left & right

    def _walk_again(self, view: AgentView) -> None:
        interest = self._walk(view)
        for node in view.interest - interest:
            self._forget(node, view)
        for node in interest - view.interest:
            self._interested.setdefault(node, set()).add(view)
        view.interest = interest
        view.walks += 1
        if not view.blocked:
            self._send_difference(view)

    def _forget(self, node: Node, view: AgentView) -> None:
        views = self._interested[node]
        views.discard(view)
        if not views:
            del self._interested[node]
            self._rendered.pop(node, None)

    def _walk(self, view: AgentView) -> set[Node]:
        """Every node the agent should have: those reached from its virtual router by the links that are followed."""
        start = self._graph.get(VIRTUAL_ROUTER, view.router or "")
        if start is None:
            return set()
        seen = {start}
        queue = [start]
        while queue:
            node = queue.pop()
            followed = FOLLOWED[node.type]
            for name in node.link_names():
                if name not in followed:
                    continue
                for link in node.links(name):
                    other = link.other(node)
                    if other not in seen and other.type in FOLLOWED:
                        seen.add(other)
                        queue.append(other)
        return seen

    def _send_difference(self, view: AgentView) -> None:
        """What is there of the agent's nodes, and every link both of whose ends it has, whatever its name (3.3)."""
        present = {node: None for node in view.interest if node.present}
        nodes: dict[NodeKey, Node] = {key_of(node): node for node in present}
        links: set[LinkKey] = set()
        for link in self._index.among(present.keys()):
            left, right = key_of(link.left), key_of(link.right)
            links.add((link.name, left, right) if left <= right else (link.name, right, left))
        view.send_difference(nodes, links, self._render)

    def _render(self, node: Node) -> tuple[bytes, ...]:
        """The node's property elements, rendered once for all agents that have it."""
        known = self._rendered.get(node)
        if known is not None and known[0] is node.properties:
            return known[1]
        elements: list[bytes] = []
        for name, value in node.properties.items():
            try:
                elements += to_xml(node.type, name, value, self._schema)
            except SchemaError as error:
                self.log.warn("{type} {name}: not sent to agents: {error}", type=node.type, name=node.name, error=error)
        rendered = tuple(elements)
        self._rendered[node] = (node.properties, rendered)
        return rendered
