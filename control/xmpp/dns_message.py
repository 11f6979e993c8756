"""DNS records between an agent and the DNS front end, on a channel of their own (reference/xmpp.md 4)."""

from enum import IntEnum
from typing import Final, NamedTuple

from lxml import etree

from .names import DNS_JID, DNS_PEER
from .stanza import Kind, Stanza, local_name
from .text import escape

MAX_ENTRIES: Final = 20
ABSENT: Final = 0xFFFFFFFF
"""`ttl` or `priority` that is not written."""


class DnsClass(IntEnum):
    """The class field says what is done: IN adds; NONE and ANY delete when the ttl is 0."""

    IN = 1
    NONE = 254
    ANY = 255


class DnsMessageError(Exception):
    """The message is rejected as a whole."""


class DnsEntry(NamedTuple):
    """One record. `type` is the RR type (255: all); empty `data` in a delete means all."""

    dns_class: int
    type: int
    name: str
    data: str = ""
    ttl: int = ABSENT
    priority: int = ABSENT

    @property
    def is_delete(self) -> bool:
        return self.dns_class in (DnsClass.NONE, DnsClass.ANY) and self.ttl == 0


class DnsUpdate(NamedTuple):
    """Records of one zone of one virtual DNS server; `response_code` is None in the request."""

    transaction_id: int
    virtual_dns: str
    zone: str
    entries: tuple[DnsEntry, ...] = ()
    response_code: int | None = None

    def to_bytes(self, sender: str, receiver: str = f"{DNS_JID}/{DNS_PEER}") -> bytes:
        """`sender` is `<agent name>/dns` in a request. Raises ValueError for more than 20 entries."""
        if len(self.entries) > MAX_ENTRIES:
            raise ValueError(f"{len(self.entries)} entries, more than {MAX_ENTRIES}")
        records = "".join([_record(entry) for entry in self.entries])
        names = f"<virtual-dns>{escape(self.virtual_dns)}</virtual-dns><zone>{escape(self.zone)}</zone>"
        kind = "set" if self.response_code is None else "result"
        inner = f"<update>{names}{records}</update>"
        return _iq(kind, sender, receiver, self.transaction_id, self.response_code, inner)


class DnsQuery(NamedTuple):
    """A query form: encodable and decodable, used by neither real side."""

    transaction_id: int
    virtual_dns: str
    entries: tuple[DnsEntry, ...] = ()
    response_code: int | None = None

    def to_bytes(self, sender: str, receiver: str = f"{DNS_JID}/{DNS_PEER}") -> bytes:
        """As DnsUpdate.to_bytes."""
        if len(self.entries) > MAX_ENTRIES:
            raise ValueError(f"{len(self.entries)} entries, more than {MAX_ENTRIES}")
        records = "".join([_record(entry) for entry in self.entries])
        kind = "get" if self.response_code is None else "result"
        inner = f"<query><virtual-dns>{escape(self.virtual_dns)}</virtual-dns>{records}</query>"
        return _iq(kind, sender, receiver, self.transaction_id, self.response_code, inner)


def next_transaction_id(last: int) -> int:
    """The 16-bit counter of an agent, which skips 0."""
    return last % 0xFFFF + 1


def _record(entry: DnsEntry) -> str:
    data = f"<data>{escape(entry.data)}</data>" if entry.data else ""
    ttl = f"<ttl>{entry.ttl}</ttl>" if entry.ttl != ABSENT else ""
    priority = f"<priority>{entry.priority}</priority>" if entry.priority != ABSENT else ""
    return (
        f"<entry><class>{int(entry.dns_class)}</class><type>{entry.type}</type><name>{escape(entry.name)}</name>"
        f"{data}{ttl}{priority}</entry>"
    )


def _iq(kind: str, sender: str, receiver: str, transaction_id: int, response_code: int | None, inner: str) -> bytes:
    if response_code is not None:
        inner = f'<response code="{response_code}">{inner}</response>'
    return (
        '<?xml version="1.0"?>\n'
        f'<iq type="{kind}" from="{escape(sender)}" to="{escape(receiver)}" id="{transaction_id}">\n'
        f'<dns transid="{transaction_id}">{inner}</dns>\n</iq>\n'
    ).encode()


def read(stanza: Stanza) -> DnsUpdate | DnsQuery | None:
    """Read a stanza addressed to `dns-peer`; None when there is no DNS in it. Raises DnsMessageError."""
    if stanza.kind is not Kind.IQ:
        return None
    dns = next((child for child in stanza.element if local_name(child.tag) == "dns"), None)
    if dns is None or len(dns) == 0:
        return None
    transaction_id = _number(dns.get("transid"), "transid")
    action, code = dns[0], None
    if local_name(action.tag) == "response":
        code = _number(action.get("code"), "code")
        if len(action) == 0:
            return None
        action = action[0]
    kind = local_name(action.tag)
    if kind == "update":
        return _read_update(action, transaction_id, code)
    if kind == "query":
        return _read_query(action, transaction_id, code)
    raise DnsMessageError(f"<{kind}> in dns")


def _read_update(action: etree._Element, transaction_id: int, code: int | None) -> DnsUpdate:
    virtual_dns, zone, entries = "", "", []
    for child in action:
        match local_name(child.tag):
            case "virtual-dns":
                virtual_dns = child.text or ""
            case "zone":
                zone = child.text or ""
            case "entry":
                entries.append(_read_record(child))
            case other:
                raise DnsMessageError(f"<{other}> in update")
    return DnsUpdate(transaction_id, virtual_dns, zone, tuple(entries), code)


def _read_query(action: etree._Element, transaction_id: int, code: int | None) -> DnsQuery:
    virtual_dns, entries = "", []
    for child in action:
        match local_name(child.tag):
            case "virtual-dns":
                virtual_dns = child.text or ""
            case "entry":
                entries.append(_read_record(child))
            case other:
                raise DnsMessageError(f"<{other}> in query")
    return DnsQuery(transaction_id, virtual_dns, tuple(entries), code)


def _read_record(element: etree._Element) -> DnsEntry:
    numbers = {"class": 0, "type": 0, "ttl": ABSENT, "priority": ABSENT}
    texts = {"name": "", "data": ""}
    for child in element:
        name = local_name(child.tag)
        if name in numbers:
            numbers[name] = _number(child.text, name)
        elif name in texts:
            texts[name] = child.text or ""
        else:
            raise DnsMessageError(f"<{name}> in entry")
    return DnsEntry(
        numbers["class"], numbers["type"], texts["name"], texts["data"], numbers["ttl"], numbers["priority"]
    )


def _number(text: str | None, name: str) -> int:
    digits = (text or "").strip()
    if not digits.isascii() or not digits.isdigit() or len(digits) > 10 or int(digits) > ABSENT:
        raise DnsMessageError(f"{name}: {digits[:40]!r} is not an unsigned integer")
    return int(digits)
