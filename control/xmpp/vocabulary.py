"""A bound on the names a peer may bring: libxml2 keeps every element, attribute and namespace name it has ever seen."""

import re
from typing import Final

DEFAULT_ROOM: Final = 1 << 20
"""Bytes of names beyond the dialect's own. All names of Contrail's configuration take some 50 KiB."""

MAX_NAME: Final = 100
"""Longer attribute names than the dialect has are looked at the slow way."""
_NAMES: Final = """
iq message pubsub event items item retract entry subscribe unsubscribe options instance-id no-ribout publish
collection associate dissociate nlri af safi address next-hops next-hop mac label vni l3-label
tunnel-encapsulation-list tunnel-encapsulation virtual-network tag-list tag local-sequence-number version
mobility sequence-number security-group-list security-group community-tag-list community-tag local-preference
med load-balance load-balance-fields load-balance-field-list load-balance-decision sub-protocol ethernet-tag
group source flags olist leaf-olist replicator-address etree-leaf edge-replication-not-supported
assisted-replication-supported source-label source-address route-type config update delete node link metadata
name dns virtual-dns zone class type data ttl priority response query
from to id sticky seqno code transid xmlns http://jabber.org/protocol/pubsub
"""
DIALECT: Final = frozenset(name.encode() for name in _NAMES.split())

_ELEMENT: Final = re.compile(rb"<([^\s/>!?]+)")
_ATTRIBUTE: Final = re.compile(rb"([^\s<>=\"'/]+)\s*=\s*(?:\"([^\"]*)|'([^']*))")
_BLANKS: Final = b" \t\r\n"


class Vocabulary:
    """The names seen so far, and the room left for others."""

    __slots__ = ("_seen", "room")

    def __init__(self, room: int = DEFAULT_ROOM) -> None:
        self._seen: set[bytes] = set()
        self.room = room

    def admit(self, text: bytes) -> bool:
        """Whether `text` may be parsed: its names are known, or there was room for them."""
        new = _names(text) - DIALECT
        if new:
            new -= self._seen
        if not new:
            return True
        size = sum(map(len, new))
        if size > self.room:
            return False
        self.room -= size
        self._seen |= new
        return True


def _names(text: bytes) -> set[bytes]:
    """Names of elements and attributes, and values of namespace declarations. Character data may add to it: no harm."""
    names = _plain_attributes(text)
    if names is None:
        names = set()
        for match in _ATTRIBUTE.finditer(text):
            names.add(match[1])
            if match[1].startswith(b"xmlns"):
                names.add(match[2] or match[3] or b"")
    lines = set(text.split(b"\n"))  # a control node's items repeat nearly all of theirs
    return names.union(_ELEMENT.findall(b"\n".join(lines)))


def _plain_attributes(text: bytes) -> set[bytes] | None:
    """Attributes written `name="value"`; None when any is written in another way."""
    pieces = text.split(b"=")
    names = set()
    for at in range(len(pieces) - 1):
        piece, behind = pieces[at], pieces[at + 1]
        if not piece or piece[-1] in _BLANKS or not behind.startswith(b'"'):
            return None
        name = piece[-MAX_NAME:].rsplit(None, 1)[-1]
        if len(name) == MAX_NAME:
            return None
        names.add(name)
        if name.startswith(b"xmlns"):
            value, quote, _ = behind[1:].partition(b'"')
            if not quote:
                return None
            names.add(value)
    return names
