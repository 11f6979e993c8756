"""Configuration from the control node to an agent, and the agent's subscriptions to it (reference/xmpp.md 3.1, 3.2).

Property elements are the caller's: bytes when written (`config.schema` renders them), lxml elements when read.
"""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from lxml import etree

from .names import CONFIG, CONTROL_NODE_JID, PUBSUB_NAMESPACE
from .pubsub import Subscribe, Unsubscribe
from .stanza import Kind, Stanza, local_name
from .text import escape

MAX_UNITS: Final = 16
"""Units per message: a node counts 1, a link 2 (reference/xmpp.md 5)."""
UPDATE: Final = "update"
DELETE: Final = "delete"


class NodeName(NamedTuple):
    """Type (`virtual-network`) and fully qualified name, colons between its parts."""

    type: str
    name: str


class ConfigNode(NamedTuple):
    """A node; in an update `properties` replace all it had, in a delete they are empty."""

    type: str
    name: str
    properties: tuple[bytes, ...] = ()
    """Rendered property elements, when written."""
    elements: tuple[etree._Element, ...] = ()
    """Property elements, when read."""

    @property
    def units(self) -> int:
        return 1


class ConfigLink(NamedTuple):
    """A link between two nodes; `metadata` is the link's type."""

    left: NodeName
    right: NodeName
    metadata: str

    @property
    def units(self) -> int:
        return 2


Unit = ConfigNode | ConfigLink


class Change(NamedTuple):
    """One thing done: `operation` is UPDATE or DELETE."""

    operation: str
    unit: Unit


class Block(NamedTuple):
    """What stands in one `update` or `delete` element, in order."""

    operation: str
    units: tuple[Unit, ...]


class ConfigMessage(NamedTuple):
    """A whole stanza: blocks in the order of the queue, a new one where the operation changes."""

    blocks: tuple[Block, ...]

    def changes(self) -> Iterator[Change]:
        """All that is done, in order."""
        for block in self.blocks:
            for unit in block.units:
                yield Change(block.operation, unit)

    @staticmethod
    def of(changes: Iterable[Change]) -> "ConfigMessage":
        """Group neighbours of one operation into blocks."""
        blocks: list[tuple[str, list[Unit]]] = []
        for change in changes:
            if not blocks or blocks[-1][0] != change.operation:
                blocks.append((change.operation, []))
            blocks[-1][1].append(change.unit)
        return ConfigMessage(tuple(Block(operation, tuple(units)) for operation, units in blocks))


def batches(changes: Iterable[Change], limit: int = MAX_UNITS) -> Iterator[ConfigMessage]:
    """Cut a queue of changes into messages of at most `limit` units each."""
    held: list[Change] = []
    units = 0
    for change in changes:
        if held and units + change.unit.units > limit:
            yield ConfigMessage.of(held)
            held, units = [], 0
        held.append(change)
        units += change.unit.units
    if held:
        yield ConfigMessage.of(held)


# --- Writing ----------------------------------------------------------------------------------------------------------


def header(router: str) -> bytes:
    """The only part that differs per receiver: declaration and root. `router` is the full name of the virtual router
    that was subscribed to, which need not be the agent's."""
    to = f"{router}/{CONFIG}"
    return f'<?xml version="1.0"?>\n<iq type="set" from="{CONTROL_NODE_JID}" to="{escape(to)}">\n'.encode()


def body(message: ConfigMessage) -> bytes:
    """Everything after the header, tab-indented."""
    parts: list[bytes] = [b"\t<config>\n"]
    for block in message.blocks:
        operation = block.operation.encode()
        parts.append(b"\t\t<%b>\n" % operation)
        for unit in block.units:
            parts.append(_link(unit) if isinstance(unit, ConfigLink) else _node(unit))
        parts.append(b"\t\t</%b>\n" % operation)
    parts.append(b"\t</config>\n</iq>\n")
    return b"".join(parts)


def write(message: ConfigMessage, router: str) -> bytes:
    """The whole stanza for one virtual router."""
    return header(router) + body(message)


def _node(node: ConfigNode) -> bytes:
    head = f'\t\t\t<node type="{escape(node.type)}">\n\t\t\t\t<name>{escape(node.name)}</name>\n'.encode()
    properties = b"".join([b"\t\t\t\t%b\n" % rendered for rendered in node.properties])
    return head + properties + b"\t\t\t</node>\n"


def _link(link: ConfigLink) -> bytes:
    ends = "".join(
        f'\t\t\t\t<node type="{escape(end.type)}">\n\t\t\t\t\t<name>{escape(end.name)}</name>\n\t\t\t\t</node>\n'
        for end in (link.left, link.right)
    )
    return f'\t\t\t<link>\n{ends}\t\t\t\t<metadata type="{escape(link.metadata)}" />\n\t\t\t</link>\n'.encode()


# --- Reading ----------------------------------------------------------------------------------------------------------


class ReadConfig(NamedTuple):
    """What an agent makes of a stanza: the message, and a text for each thing left out."""

    message: ConfigMessage
    faults: tuple[str, ...]


def read(stanza: Stanza) -> ReadConfig | None:
    """Read a stanza addressed to `config` at the agent; None when it is not configuration. Never raises.

    Any `config` element is looked at, other children are skipped. A node whose first child is not `name`, and a link
    whose first two children are not such nodes, are left out with a fault.
    """
    if stanza.kind is not Kind.IQ or stanza.type != "set":
        return None
    faults: list[str] = []
    blocks: list[Block] = []
    seen = False
    for config in stanza.element:
        if local_name(config.tag) != "config":
            continue
        seen = True
        for block in config:
            operation = local_name(block.tag)
            if operation not in (UPDATE, DELETE):
                faults.append(f"<{operation}> in config")
                continue
            units = tuple(unit for element in block if (unit := _read_unit(element, faults)) is not None)
            blocks.append(Block(operation, units))
    return ReadConfig(ConfigMessage(tuple(blocks)), tuple(faults)) if seen else None


def _read_unit(element: etree._Element, faults: list[str]) -> Unit | None:
    name = local_name(element.tag)
    if name == "node":
        return _read_node(element, faults)
    if name == "link":
        return _read_link(element, faults)
    faults.append(f"<{name}> in a block")
    return None


def _read_name(element: etree._Element) -> NodeName | None:
    if len(element) == 0 or local_name(element[0].tag) != "name":
        return None
    kind, name = element.get("type", ""), element[0].text or ""
    return NodeName(kind, name) if kind and name else None


def _read_node(element: etree._Element, faults: list[str]) -> ConfigNode | None:
    name = _read_name(element)
    if name is None:
        faults.append(f"a node of type {element.get('type', '')[:60]!r} whose first child is not its name")
        return None
    return ConfigNode(name.type, name.name, (), tuple(element)[1:])


def _read_link(element: etree._Element, faults: list[str]) -> ConfigLink | None:
    children = list(element)
    if len(children) >= 2 and all(local_name(child.tag) == "node" for child in children[:2]):
        left, right = _read_name(children[0]), _read_name(children[1])
        metadata = next((child.get("type", "") for child in children[2:] if local_name(child.tag) == "metadata"), "")
        if left is not None and right is not None and metadata:
            return ConfigLink(left, right, metadata)
    faults.append("a link without two named nodes and metadata")
    return None


# --- Subscriptions ----------------------------------------------------------------------------------------------------


class VrSubscribe(NamedTuple):
    """An agent asks for its configuration; once per session, never undone."""

    name: str
    """The virtual router's fully qualified name."""

    def to_bytes(self, sender: str) -> bytes:
        """`sender` is the bare agent name."""
        return _subscription("subscribe", f"virtual-router:{self.name}", sender)


class VmSubscribe(NamedTuple):
    """An agent has (`subscribe`), or no longer has, interfaces of a virtual machine."""

    uuid: str
    subscribe: bool = True

    def to_bytes(self, sender: str) -> bytes:
        """`sender` is the bare agent name."""
        action = "subscribe" if self.subscribe else "unsubscribe"
        return _subscription(action, f"virtual-machine:{self.uuid}", sender)


def _subscription(action: str, node: str, sender: str) -> bytes:
    to = f"{CONTROL_NODE_JID}/{CONFIG}"
    return (
        f'<iq type="set" from="{escape(sender)}" to="{to}"><pubsub xmlns="{PUBSUB_NAMESPACE}">'
        f'<{action} node="{escape(node)}"></{action}></pubsub></iq>\n'
    ).encode()


def subscription(form: Subscribe | Unsubscribe) -> VrSubscribe | VmSubscribe | None:
    """What a pubsub form addressed to `config` asks for; None for any other node, which is ignored and counted."""
    kind, _, name = form.node.partition(":")
    if kind == "virtual-router" and name and isinstance(form, Subscribe):
        return VrSubscribe(name)
    if kind == "virtual-machine" and name:
        return VmSubscribe(name, isinstance(form, Subscribe))
    return None
