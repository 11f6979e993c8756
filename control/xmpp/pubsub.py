"""The pubsub forms: IQs of an agent, messages of a control node, to and from bytes (reference/xmpp.md 1.10, 2.2-4).

Node strings, item ids and entries are texts and bytes here; `items` and `item_id` know what is inside them.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from lxml import etree

from .names import BGP_PEER, CONTROL_NODE_JID, PUBSUB_NAMESPACE
from .stanza import Kind, Stanza, local_name
from .text import escape

END_OF_RIB_NODE: Final = "0/0/EndOfRib"
NO_INSTANCE_ID: Final = -1


def _iq(sender: str, receiver: str, stanza_id: str, body: str) -> bytes:
    ident = f' id="{escape(stanza_id)}"' if stanza_id else ""
    return (
        f'<iq type="set" from="{escape(sender)}" to="{escape(receiver)}"{ident}>\n'
        f'<pubsub xmlns="{PUBSUB_NAMESPACE}">\n{body}</pubsub>\n</iq>\n'
    ).encode()


class Subscribe(NamedTuple):
    """An agent joins a routing instance, or asks for the configuration of a virtual router or machine."""

    node: str
    instance_id: int = NO_INSTANCE_ID
    """Low part of the agent's route distinguisher; -1 when the options are absent."""
    no_ribout: bool = False
    """Routes are accepted from, but none are sent to, the agent."""

    def to_bytes(self, sender: str, receiver: str, stanza_id: str) -> bytes:
        return _iq(sender, receiver, stanza_id, _subscription("subscribe", self))


class Unsubscribe(NamedTuple):
    """An agent leaves what it subscribed to. The agent repeats its options, the control node ignores them."""

    node: str
    instance_id: int = NO_INSTANCE_ID
    no_ribout: bool = False

    def to_bytes(self, sender: str, receiver: str, stanza_id: str) -> bytes:
        return _iq(sender, receiver, stanza_id, _subscription("unsubscribe", self))


def _subscription(action: str, form: Subscribe | Unsubscribe) -> str:
    options = ""
    if form.instance_id != NO_INSTANCE_ID or form.no_ribout:
        no_ribout = "<no-ribout>true</no-ribout>\n" if form.no_ribout else ""
        options = f"<options>\n<instance-id>{form.instance_id}</instance-id>\n{no_ribout}</options>\n"
    return f'<{action} node="{escape(form.node)}">\n{options}</{action}>\n'


class Publish(NamedTuple):
    """The first IQ of a pair: what is published; held until the collection comes."""

    node: str
    entries: tuple[etree._Element, ...] = ()
    """The `entry` element of each item, for `items.read`."""

    @staticmethod
    def write(node: str, entries: Iterable[bytes], sender: str, receiver: str, stanza_id: str) -> bytes:
        """`entries` are rendered by `items`: each one `<entry>…</entry>`."""
        body = b"".join(b"<item>" + entry + b"</item>\n" for entry in entries).decode()
        return _iq(sender, receiver, stanza_id, f'<publish node="{escape(node)}">\n{body}</publish>\n')


class Collection(NamedTuple):
    """The second IQ of a pair: which instance, and whether the item is added or deleted."""

    instance: str
    node: str
    associate: bool

    def to_bytes(self, sender: str, receiver: str, stanza_id: str) -> bytes:
        action = "associate" if self.associate else "dissociate"
        body = f'<collection node="{escape(self.instance)}">\n<{action} node="{escape(self.node)}" />\n</collection>\n'
        return _iq(sender, receiver, stanza_id, body)


class EmptyCollection(NamedTuple):
    """A collection without associate and dissociate: the second half of an agent's End-of-RIB."""

    instance: str = ""


class EndOfRib(NamedTuple):
    """End-of-RIB in any of its forms on the wire; `form` says which one came."""

    form: str
    """`publish` (an IQ pair), `message` (node 0/0/EndOfRib) or `empty` (a message without items)."""


class Items(NamedTuple):
    """Routes from the control node: full replacements."""

    node: str
    element: etree._Element
    """The element `items`."""
    raw: bytes = b""
    """The whole message as it came, for `item_text.notified_entries`."""

    @property
    def items(self) -> tuple[tuple[str, etree._Element], ...]:
        """(id, `entry` element) of each item; looked for when asked, for most readers need `raw` alone."""
        found = self.element.iterchildren("{*}item")
        return tuple([(child.get("id", ""), _entry(child)) for child in found])


class Retract(NamedTuple):
    """Routes withdrawn by the control node."""

    node: str
    ids: tuple[str, ...]


class Unknown(NamedTuple):
    """A stanza that the real receiver ignores; `why` is for a counter and a log line."""

    why: str


PubSub = Subscribe | Unsubscribe | Publish | Collection | EmptyCollection | EndOfRib | Items | Retract | Unknown


def read(stanza: Stanza) -> PubSub:
    """Read a stanza addressed to `bgp-peer` (either side) or a configuration subscription. Never raises."""
    if stanza.kind is Kind.MESSAGE:
        return _read_message(stanza)
    if stanza.type != "set":
        return Unknown(f"iq type {stanza.type!r}")
    pubsub = _child(stanza.element, "pubsub")
    if pubsub is None or len(pubsub) == 0:
        return Unknown("no action in pubsub")
    action = pubsub[0]
    reader = _ACTIONS.get(local_name(action.tag))
    return Unknown(f"action {local_name(action.tag)!r}") if reader is None else reader(action, stanza.element)


def _read_subscribe(action: etree._Element, iq: etree._Element) -> PubSub:
    return Subscribe(action.get("node", ""), *_options(iq))


def _read_unsubscribe(action: etree._Element, iq: etree._Element) -> PubSub:
    return Unsubscribe(action.get("node", ""), *_options(iq))


def _read_publish(action: etree._Element, iq: etree._Element) -> PubSub:
    entries = tuple(_entry(item) for item in action if local_name(item.tag) == "item")
    return Publish(action.get("node", ""), entries)


def _read_collection(action: etree._Element, iq: etree._Element) -> PubSub:
    instance = action.get("node", "")
    for child in action:
        name = local_name(child.tag)
        if name in ("associate", "dissociate"):
            return Collection(instance, child.get("node", ""), name == "associate")
    return EmptyCollection(instance)


_ACTIONS: Final = {
    "subscribe": _read_subscribe,
    "unsubscribe": _read_unsubscribe,
    "publish": _read_publish,
    "collection": _read_collection,
}


def _options(iq: etree._Element) -> tuple[int, bool]:
    """The options stand anywhere in the stanza: the agent nests them, the control node's own mock does not (2.2)."""
    instance_id, no_ribout = NO_INSTANCE_ID, False
    for element in iq.iter():
        if local_name(element.tag) != "options":
            continue
        for child in element:
            name = local_name(child.tag)
            if name == "instance-id":
                instance_id = _decimal(child.text)
            elif name == "no-ribout":
                no_ribout = (child.text or "") == "true"
        break
    return instance_id, no_ribout


def _decimal(text: str | None) -> int:
    digits = (text or "").strip()
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 11 else NO_INSTANCE_ID


def _read_message(stanza: Stanza) -> PubSub:
    event = _child(stanza.element, "event")
    if event is None:
        return Unknown("message without event")
    items = _child(event, "items")
    if items is None:
        return EndOfRib("empty")
    node = items.get("node", "")
    if node == END_OF_RIB_NODE:
        return EndOfRib("message")
    retracts = list(items.iterchildren("{*}retract"))
    if retracts:  # items beside a retract are ignored; so is a retract whose first attribute is not its id (2.4)
        first = [element.items()[:1] for element in retracts]
        return Retract(node, tuple(str(pair[0][1]) for pair in first if pair and pair[0][0] == "id"))
    return Items(node, items, stanza.raw)


def _entry(item: etree._Element) -> etree._Element:
    """The entry of an item; an item without one stands for itself and will lack everything."""
    entry = _child(item, "entry")
    return item if entry is None else entry


def _child(parent: etree._Element, name: str) -> etree._Element | None:
    for child in parent:
        if local_name(child.tag) == name:
            return child
    return None


# --- What a control node sends: one body for all receivers, a header for each -----------------------------------------


def message_header(to: str) -> bytes:
    """The only part of a route message that differs per receiver; `to` is the bare agent name."""
    return f'\n<message from="{CONTROL_NODE_JID}" to="{escape(to)}/{BGP_PEER}">\n'.encode()


_EVENT: Final = f'\t<event xmlns="{PUBSUB_NAMESPACE}">\n'.encode()
_TAIL: Final = b"\t</event>\n</message>\n"
ITEM: Final = b'\t\t\t<item id="'
BEHIND_ID: Final = b'">'
ITEM_END: Final = b"\n\t\t\t</item>\n"


def _node_line(node: str) -> bytes:
    return f'\t\t<items node="{escape(node)}">\n'.encode()


def items_body(node: str, entries: Sequence[tuple[str, bytes]]) -> bytes:
    """Everything after the header, for at most 32 (item id, rendered entry) of one table (reference/xmpp.md 5)."""
    return written_items_body(
        node, [b"%b%b%b%b%b" % (ITEM, escape(ident).encode(), BEHIND_ID, entry, ITEM_END) for ident, entry in entries]
    )


def written_items_body(node: str, items: Sequence[bytes]) -> bytes:
    """Everything after the header, for at most 32 whole `item` elements of one table (see `item_template`)."""
    return b"".join((_EVENT, _node_line(node), *items, b"\t\t</items>\n", _TAIL))


def retract_body(node: str, ids: Sequence[str]) -> bytes:
    """Everything after the header, for at most 256 ids of one table."""
    lines = "".join(f'\t\t\t<retract id="{escape(ident)}" />\n' for ident in ids)
    return b"".join((_EVENT, _node_line(node), lines.encode(), b"\t\t</items>\n", _TAIL))


def end_of_rib_body() -> bytes:
    """The marker a control node sends once per session (1.10)."""
    return _EVENT + f'<items node="{END_OF_RIB_NODE}"></items>\n'.encode() + _TAIL


def empty_event_body() -> bytes:
    """A message without items: what a real agent takes as End-of-RIB (1.10)."""
    return f'<event xmlns="{PUBSUB_NAMESPACE}"></event></message>\n'.encode()


# --- What an agent sends to end its dump ------------------------------------------------------------------------------


def end_of_rib_pair(sender: str, receiver: str) -> bytes:
    """Publish and collection with nothing in them: what a real control node takes as an agent's End-of-RIB (1.10)."""
    return b"".join(
        f'<iq type="set" from="{escape(sender)}" to="{escape(receiver)}">'
        f'<pubsub xmlns="{PUBSUB_NAMESPACE}"><{action}></{action}></pubsub></iq>\n'.encode()
        for action in ("publish", "collection")
    )


def end_of_rib_message(sender: str, receiver: str) -> bytes:
    """The marker a real agent sends; a real control node drops it (1.10)."""
    head = f'\n<message from="{escape(sender)}" to="{escape(receiver)}">\n'.encode()
    return head + end_of_rib_body()
