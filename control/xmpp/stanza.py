"""One stanza: `<iq>` or `<message>`, parsed as a document of its own (reference/xmpp.md 0.4, 1.3)."""

import re
from enum import Enum
from typing import Final

from lxml import etree

from .vocabulary import DEFAULT_ROOM, Vocabulary


class Kind(Enum):
    """What the root element of a stanza is."""

    IQ = "iq"
    MESSAGE = "message"


class StanzaError(Exception):
    """The text is not one well-formed stanza; the session it came on is closed (reference/xmpp.md 6)."""


class Stanza:
    """A parsed stanza. `type`, `from_`, `to` and `id` are empty where the attribute is absent."""

    __slots__ = ("element", "from_", "id", "kind", "raw", "to", "type")

    def __init__(self, kind: Kind, element: etree._Element, raw: bytes) -> None:
        self.kind: Final = kind
        self.element: Final = element
        self.raw: Final = raw
        self.type: Final[str] = element.get("type", "")
        self.from_: Final[str] = element.get("from", "")
        self.to: Final[str] = element.get("to", "")
        self.id: Final[str] = element.get("id", "")

    def addressed(self, keyword: str) -> bool:
        """Whether a consumer registered for `keyword` gets this stanza: the keyword occurs anywhere in `to` (1.1)."""
        return keyword in self.to

    def __repr__(self) -> str:
        return f"<Stanza {self.kind.value} to={self.to!r} id={self.id!r}, {len(self.raw)} bytes>"


_DECLARATION: Final = re.compile(rb"<\?.*?\?>", re.DOTALL)
_START: Final = re.compile(rb"<(?:iq|message)(?=[\s>])")


def _parser() -> etree.XMLParser:
    return etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
        remove_blank_text=True,
        collect_ids=False,
        encoding="utf-8",
    )


_PARSER: Final = _parser()


def local_name(tag: object) -> str:
    """The name of an element without its namespace: the real receivers know no namespaces (reference/xmpp.md 2.3)."""
    text = str(tag)
    return text[text.rfind("}") + 1 :]


class StanzaParser:
    """Parses what peers send: as `parse`, and with a bound on the names they may bring (see `vocabulary`)."""

    __slots__ = ("_vocabulary",)

    def __init__(self, room: int = DEFAULT_ROOM) -> None:
        self._vocabulary = Vocabulary(room)

    def parse(self, raw: bytes) -> Stanza:
        """Raises StanzaError."""
        if not self._vocabulary.admit(raw):
            raise StanzaError("more unknown element and attribute names than there is room for")
        return parse(raw)


def parse(raw: bytes) -> Stanza:
    """Parse one frame. What precedes the root (a declaration, a comment, an unknown element) must be well formed too.

    Raises StanzaError; never anything else, whatever the bytes.
    """
    if b"!" in raw and (b"<!DOCTYPE" in raw or b"<!ENTITY" in raw):
        raise StanzaError("a document type declaration is not allowed in a stanza")
    found = _START.search(raw)
    if found is None:
        raise StanzaError("neither <iq> nor <message>")
    start = found.start()
    if start:
        _check_prefix(raw[:start])
    root = document(raw[start:])
    name = local_name(root.tag)
    if name == "iq":
        return Stanza(Kind.IQ, root, raw)
    if name == "message":
        return Stanza(Kind.MESSAGE, root, raw)
    raise StanzaError(f"<{name}> is not a stanza")


def _check_prefix(prefix: bytes) -> None:
    """Raise unless what precedes the stanza would parse together with it."""
    rest = _DECLARATION.sub(b"", prefix).strip()
    if rest:
        document(b"<prefix>" + rest + b"</prefix>")


def document(raw: bytes) -> etree._Element:
    """The root of `raw` parsed as one document. Raises StanzaError, never anything else."""
    try:
        return etree.fromstring(raw, _PARSER)
    except etree.XMLSyntaxError as error:
        raise StanzaError(f"malformed XML: {error.msg}") from None
    except ValueError as error:  # lxml refuses some inputs before the parser sees them
        raise StanzaError(f"malformed XML: {error}") from None
