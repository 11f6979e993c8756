"""The fast way to read a control node's items: by their text, what several of them share being read once.

All items of one message share one attribute set (reference/xmpp.md 2.4), so behind the nlri their text is the same. The
stanza was parsed before, so it is well formed; what has not exactly the layout expected here goes the slow way, with
the same result (tests hold the two together).
"""

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from . import item_rest
from .family import ItemFamily
from .item_reader import ItemError, read_enet, read_unicast
from .item_rules import check_notified_key, check_notified_rest, read_notified
from .items import EnetEntry, Entry, UnicastEntry
from .pubsub import Items
from .stanza import StanzaError, document

MEMO: Final = 512
LONGEST: Final = 16 * 1024
"""Bytes: what a control node writes behind an nlri is far shorter. More is read each time: what is kept has a bound."""
_START: Final = re.compile(rb'\s*<message [^<>]*>\s*<event [^<>]*>\s*<items node="[^"<>&]*">')
_ITEM: Final = rb'\s*<item id="([^"<>&\t\r\n]*)">\s*<entry>\s*<nlri>\s*'
_TEXT: Final = rb">([^<>&\r]*)</"
_NUMBER: Final = rb">([0-9]{1,10})</"
_UNICAST: Final = re.compile(
    _ITEM + rb"<af" + _NUMBER + rb"af>\s*<safi" + _NUMBER + rb"safi>\s*<address" + _TEXT + rb"address>\s*</nlri>"
)
_ENET: Final = re.compile(
    _ITEM
    + rb"<af>[0-9]{1,10}</af>\s*<safi>[0-9]{1,10}</safi>\s*<ethernet-tag"
    + _NUMBER
    + rb"ethernet-tag>\s*<mac"
    + _TEXT
    + rb"mac>\s*<address"
    + _TEXT
    + rb"address>\s*<group"
    + _TEXT
    + rb"group>\s*<source"
    + _TEXT
    + rb"source>\s*<flags"
    + _NUMBER
    + rb"flags>\s*</nlri>"
)
_CLOSE: Final = re.compile(rb"</entry>\s*</item>")
_END: Final = re.compile(rb"\s*</items>\s*</event>\s*</message>\s*")

Read = tuple[str, Entry | ItemError]
Rest = tuple[tuple[Any, ...], str | None]
"""Fields behind the nlri, and what drops the item because of them."""


class _NotPlain(Exception):
    """The text has not the layout of the fast way."""


def notified_entries(form: Items, family: ItemFamily) -> Iterator[Read]:
    """(id, entry or the error that drops it) of each item, in order; as `read_notified` for each of `form.items`."""
    if family in (ItemFamily.ERM_VPN, ItemFamily.MVPN):
        return _slowly(form, family)
    try:
        return iter(_quickly(form.raw, family))
    except _NotPlain:
        return _slowly(form, family)


def _slowly(form: Items, family: ItemFamily) -> Iterator[Read]:
    for ident, element in form.items:
        try:
            yield ident, read_notified(family, element)
        except ItemError as error:
            yield ident, error


def _quickly(raw: bytes, family: ItemFamily) -> list[Read]:
    start = _START.match(raw)
    if start is None or b"!" in raw or b"?" in raw:  # may be a comment, CDATA or an instruction
        raise _NotPlain
    evpn = family is ItemFamily.E_VPN
    pattern, read_rest = (_ENET, _enet_rest) if evpn else (_UNICAST, _unicast_rest)
    found: list[Read] = []
    rest, read = b"</entry>", None  # of the item before; the first has none
    at = start.end()
    while (head := pattern.match(raw, at)) is not None:
        behind = head.end()
        if not raw.startswith(rest, behind):
            rest, read = raw[behind : raw.find(b"</entry>", behind)], None
        close = _CLOSE.match(raw, behind + len(rest))
        if close is None:
            raise _NotPlain
        try:
            if read is None:
                read = (read_rest if len(rest) <= LONGEST else read_rest.__wrapped__)(rest)
            fields, fault = read
            entry = _enet(head, fields) if evpn else UnicastEntry(family, head[4].decode(), *fields)
            check_notified_key(entry)
            if fault is not None:
                raise ItemError(fault)
        except ItemError as error:
            found.append((head[1].decode(), error))
        else:
            found.append((head[1].decode(), entry))
        at = close.end()
    if _END.fullmatch(raw, at) is None:
        raise _NotPlain
    return found


def _enet(head: re.Match[bytes], fields: tuple[Any, ...]) -> EnetEntry:
    _, tag, mac, address, group, source, flags = head.groups()
    return EnetEntry(
        mac.decode(), address.decode(), int(tag), group.decode(), source.decode(), int(flags), *fields
    )


@lru_cache(MEMO)
def _unicast_rest(text: bytes) -> Rest:
    """What is behind the address. Raises ItemError for what cannot be read, _NotPlain."""
    fields: tuple[Any, ...] = item_rest.read_unicast(text) or read_unicast(_parsed(text))[1:]
    return fields, _fault(UnicastEntry(ItemFamily.INET, "", *fields))


@lru_cache(MEMO)
def _enet_rest(text: bytes) -> Rest:
    fields: tuple[Any, ...] = item_rest.read_enet(text) or read_enet(_parsed(text))[6:]
    return fields, _fault(EnetEntry("", "", 0, "", "", 0, *fields))


def _fault(entry: Entry) -> str | None:
    """What drops the item, unless its key does: that is looked at first, and ends the message."""
    try:
        check_notified_rest(entry)
    except ItemError as error:
        return error.text
    return None


def _parsed(text: bytes) -> Any:
    if b"<nlri" in text or b"<entry" in text:
        raise _NotPlain
    try:
        return document(b"<entry>" + text + b"</entry>")
    except StanzaError:
        raise _NotPlain from None
