"""One agent's configuration at the control node: what it subscribed to, what it should have and what it was sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from contrail_emulator.config.graph import Node
from contrail_emulator.control.xmpp import config_message
from contrail_emulator.control.xmpp.config_message import Change, ConfigLink, ConfigNode, NodeName

NodeKey = tuple[str, str]
LinkKey = tuple[str, NodeKey, NodeKey]
Render = Callable[[Node], tuple[bytes, ...]]


def key_of(node: Node) -> NodeKey:
    """What names a node on the wire."""
    return node.type, node.name


class AgentView:
    """`send` takes a stanza and says whether more may follow; after a False nothing is sent until `blocked` is cleared.

    `interest` are the nodes the agent is to have, `router` the virtual router it asked for. `duplicates` counts
    subscriptions that were ignored: repeated, unknown or out of order.
    """

    __slots__ = (
        "blocked", "duplicates", "interest", "machines", "name", "router", "send", "sent_links", "sent_nodes", "walks",
    )  # fmt: skip

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
        self.walks = 0

    def is_new(self, node: Node) -> bool:
        """Whether the agent lacks the node, or its present properties."""
        sent = self.sent_nodes.get(key_of(node))
        return sent is not node.properties and sent != node.properties

    def send_changed(self, nodes: list[Node], render: Render) -> None:
        """Send again nodes whose properties changed, and nothing else."""
        changed = [node for node in nodes if self.is_new(node)]
        for node in changed:
            self.sent_nodes[key_of(node)] = node.properties
        self._send(Change(config_message.UPDATE, ConfigNode(*key_of(node), render(node))) for node in changed)

    def send_difference(self, nodes: dict[NodeKey, Node], links: set[LinkKey], render: Render) -> None:
        """Make what the agent has equal to these nodes and links."""
        changes = list(self._difference(nodes, links, render))
        self.sent_nodes = {key: node.properties for key, node in nodes.items()}
        self.sent_links = links
        self._send(iter(changes))

    def _difference(self, nodes: dict[NodeKey, Node], links: set[LinkKey], render: Render) -> Iterator[Change]:
        """Updates first, nodes before the links that use them; then deletes, links before nodes."""
        for key in sorted(key for key, node in nodes.items() if self.is_new(node)):
            yield Change(config_message.UPDATE, ConfigNode(*key, render(nodes[key])))
        for link in sorted(links - self.sent_links):
            yield Change(config_message.UPDATE, _wire(link))
        for link in sorted(self.sent_links - links):
            yield Change(config_message.DELETE, _wire(link))
        for key in sorted(self.sent_nodes.keys() - nodes.keys()):
            yield Change(config_message.DELETE, ConfigNode(*key))

    def _send(self, changes: Iterator[Change]) -> None:
        for message in config_message.batches(changes):
            if not self.send(config_message.write(message, self.router or "")):
                self.blocked = True


def _wire(link: LinkKey) -> ConfigLink:
    name, left, right = link
    return ConfigLink(NodeName(*left), NodeName(*right), name)
