"""Which configuration each agent has and what it must be sent: a walk of the graph per agent, and the difference to the last
(reference/xmpp.md 3)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from twisted.logger import Logger

from contrail_emulator.config.graph import Changes, Graph, Node, Origin
from contrail_emulator.config.schema import Schema, SchemaError
from contrail_emulator.config.schema.xml import to_xml
from contrail_emulator.control.xmpp import config_message
from contrail_emulator.control.xmpp.config_message import Change, ConfigLink, ConfigNode, NodeName

from .agent_filter import FOLLOWED

VIRTUAL_ROUTER = "virtual-router"
VIRTUAL_MACHINE = "virtual-machine"
MACHINE_LINK = "virtual-router-virtual-machine"
NodeKey = tuple[str, str]
LinkKey = tuple[str, NodeKey, NodeKey]


class AgentView:
    """One agent's configuration: what it subscribed to, what it should have and what it was sent.

    `send` takes a stanza and says whether more may follow; after a False the difference waits for `AgentConfig.unblocked`.
    """

    __slots__ = ("blocked", "duplicates", "interest", "machines", "name", "router", "send", "sent_links", "sent_nodes")

    def __init__(self, name: str, send: Callable[[bytes], bool]) -> None:
        self.name = name
        self.send = send
        self.router: str | None = None
        self.machines: set[str] = set()
        self.interest: set[Node] = set()
        self.sent_nodes: dict[NodeKey, Mapping[str, Any]] = {}
        self.sent_links: set[LinkKey] = set()
        self.blocked = False
        self.duplicates = 0
        """Subscriptions that were ignored: repeated, unknown or out of order."""


class AgentConfig:
    """Keeps every subscribed agent's configuration equal to its walk of the graph; sends differences only."""

    log = Logger()

    def __init__(self, graph: Graph, schema: Schema) -> None:
        self._graph = graph
        self._schema = schema
        self._views: dict[str, AgentView] = {}
        self._interested: dict[Node, set[AgentView]] = {}
        self._rendered: dict[Node, tuple[Mapping[str, Any], tuple[bytes, ...]]] = {}
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
        self._refresh(view)
        return True

    def subscribe_machine(self, view: AgentView, machine: str) -> bool:
        """The agent runs a machine; also one that configuration does not know yet. False for a repeated subscription."""
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
        """The session is gone, and with it all the agent subscribed to: configuration is never retained (xmpp.md 1.10)."""
        if view.router is None:
            return
        self._views.pop(view.router, None)
        for node in view.interest:
            self._forget(node, view)
        view.interest = set()
        with self._graph.batch():
            for machine in view.machines:
                self._graph.unlink(
                    MACHINE_LINK, (VIRTUAL_ROUTER, view.router), (VIRTUAL_MACHINE, machine), origin=Origin.XMPP
                )

    def unblocked(self, view: AgentView) -> None:
        """The agent reads again: what changed meanwhile goes out, in its latest state only."""
        if view.blocked:
            view.blocked = False
            self._send_difference(view)

    # What configuration does

    def _changed(self, changes: Changes) -> None:
        affected: dict[AgentView, None] = {}
        for node in changes.touched():
            affected.update(dict.fromkeys(self._interested.get(node, ())))
            if node.type == VIRTUAL_ROUTER and node.name in self._views:
                affected[self._views[node.name]] = None
        for node in changes.deleted:
            self._rendered.pop(node, None)
        for view in affected:
            self._refresh(view)

    def _refresh(self, view: AgentView) -> None:
        interest = self._walk(view)
        for node in view.interest - interest:
            self._forget(node, view)
        for node in interest - view.interest:
            self._interested.setdefault(node, set()).add(view)
        view.interest = interest
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
        for message in config_message.batches(list(self._difference(view))):
            if not view.send(config_message.write(message, view.name)):
                view.blocked = True

    def _difference(self, view: AgentView) -> Iterator[Change]:
        """Updates first, nodes before the links that use them; then deletes, links before nodes."""
        nodes = {(node.type, node.name): node for node in view.interest if node.present}
        links = set(_links(nodes))
        for key in sorted(nodes):
            if view.sent_nodes.get(key) != nodes[key].properties:
                yield Change(config_message.UPDATE, ConfigNode(*key, self._render(nodes[key])))
        for link in sorted(links - view.sent_links):
            yield Change(config_message.UPDATE, _wire(link))
        for link in sorted(view.sent_links - links):
            yield Change(config_message.DELETE, _wire(link))
        for key in sorted(view.sent_nodes.keys() - nodes.keys()):
            yield Change(config_message.DELETE, ConfigNode(*key))
        view.sent_nodes = {key: node.properties for key, node in nodes.items()}
        view.sent_links = links

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


def _links(nodes: Mapping[NodeKey, Node]) -> Iterator[LinkKey]:
    """Every link both of whose ends the agent has, whatever its name (reference/xmpp.md 3.3)."""
    for key, node in nodes.items():
        for link in node.links():
            other = link.other(node)
            other_key = (other.type, other.name)
            if key <= other_key and other_key in nodes:
                yield link.name, key, other_key


def _wire(link: LinkKey) -> ConfigLink:
    name, left, right = link
    return ConfigLink(NodeName(*left), NodeName(*right), name)
