"""What stands behind the nlri of an item, read by its text: elements in the order of the schema, each written whole
(reference/xmpp.md 2.3, 2.4).

The text was parsed before, so it is well formed; anything but the plain layout (references, comments, other elements,
another order, numbers that are none) gives None, and whoever asks parses it again.
"""

import re
from functools import lru_cache
from typing import Any, Final

from .next_hop import NextHop

MEMO: Final = 512
LONGEST: Final = 1024
"""Bytes of a list that is kept."""

_CHARACTERS: Final = rb"[^<>&\r]*"
_DIGITS: Final = rb"[0-9]{1,10}"


def _element(name: bytes, content: bytes) -> bytes:
    return rb"\s*<%b>(%b)</%b>" % (name, content, name)


def _number(name: bytes) -> bytes:
    return _element(name, _DIGITS)


def _text(name: bytes) -> bytes:
    return rb"\s*<%b(?:\s*/>|>(%b)</%b>)" % (name, _CHARACTERS, name)


def _list(name: bytes, member: bytes, content: bytes) -> bytes:
    return rb"\s*<%b(?:\s*/>|>((?:\s*<%b>%b</%b>)*)\s*</%b>)" % (name, member, content, member, name)


_ENCAPSULATIONS: Final = _list(b"tunnel-encapsulation-list", b"tunnel-encapsulation", _CHARACTERS)
_TAGS: Final = _list(b"tag-list", b"tag", _DIGITS)
_SECURITY_GROUPS: Final = _list(b"security-group-list", b"security-group", _DIGITS)
_MOBILITY: Final = rb'\s*<mobility sticky="([a-z]*)" seqno="([0-9]{1,10})"\s*/>'
_HOP_START: Final = rb"\s*<next-hop>" + _number(b"af") + _text(b"address") + _text(b"mac") + _number(b"label")
_HOP_END: Final = _number(b"local-sequence-number") + rb"\s*</next-hop>\s*"

_UNICAST_HOP: Final = re.compile(
    _HOP_START + _number(b"vni") + _ENCAPSULATIONS + _text(b"virtual-network") + _TAGS + _HOP_END
)
_ENET_HOP: Final = re.compile(_HOP_START + _number(b"l3-label") + _ENCAPSULATIONS + _TAGS + _HOP_END)
_UNICAST_BEHIND: Final = re.compile(
    rb"</next-hops>"
    + _number(b"version")
    + _text(b"virtual-network")
    + _MOBILITY
    + _number(b"sequence-number")
    + _SECURITY_GROUPS
    + _list(b"community-tag-list", b"community-tag", _CHARACTERS)
    + _number(b"local-preference")
    + _number(b"med")
    + rb"\s*<load-balance>"
    + _list(b"load-balance-fields", b"load-balance-field-list", _CHARACTERS)
    + _text(b"load-balance-decision")
    + rb"\s*</load-balance>"
    + _text(b"sub-protocol")
    + rb"\s*"
)
_ENET_BETWEEN: Final = re.compile(
    _text(b"virtual-network")
    + _MOBILITY
    + _number(b"sequence-number")
    + _SECURITY_GROUPS
    + _number(b"local-preference")
    + _number(b"med")
    + _text(b"edge-replication-not-supported")
    + _text(b"assisted-replication-supported")
)
_ENET_BEHIND: Final = re.compile(_text(b"replicator-address") + _text(b"etree-leaf") + rb"\s*")
_HOPS: Final = re.compile(rb"\s*<next-hops>\s*")
_LISTS: Final = (b"next-hops", b"olist", b"leaf-olist")
_EMPTY: Final = {name: re.compile(rb"\s*<%b\s*/>" % name) for name in _LISTS}
_START: Final = {name: re.compile(rb"\s*<%b>\s*" % name) for name in _LISTS}
_MEMBER: Final = re.compile(rb">([^<>]*)</")


def read_unicast(text: bytes) -> tuple[Any, ...] | None:
    """The fields of UnicastEntry behind `address`; an item has next hops."""
    start = _HOPS.match(text)
    if start is None:
        return None
    hops, at = _unicast_hops(text, start.end())
    found = _UNICAST_BEHIND.fullmatch(text, at)
    if found is None:
        return None
    version, network, sticky, mobility, sequence, groups, tags, preference, med, fields, decision, protocol = (
        found.groups()
    )
    return (
        hops,
        int(version),
        _word(network),
        sticky == b"true",
        int(mobility),
        int(sequence),
        _numbers(groups),
        _words(tags),
        int(preference),
        int(med),
        _words(fields),
        _word(decision) or "field-hash",
        _word(protocol) or "interface",
    )


def read_enet(text: bytes) -> tuple[Any, ...] | None:
    """The fields of EnetEntry behind `flags`."""
    hops, at = _enet_list(text, 0, b"next-hops")
    olist, at = _enet_list(text, at, b"olist")
    between = _ENET_BETWEEN.match(text, at)
    if between is None:
        return None
    network, sticky, mobility, sequence, groups, preference, med, edge, assisted = between.groups()
    leaves, at = _enet_list(text, between.end(), b"leaf-olist")
    behind = _ENET_BEHIND.fullmatch(text, at)
    if behind is None:
        return None
    return (
        hops,
        olist,
        _word(network),
        sticky == b"true",
        int(mobility),
        int(sequence),
        _numbers(groups),
        int(preference),
        int(med),
        edge == b"true",
        assisted == b"true",
        leaves,
        _word(behind[1]),
        behind[2] == b"true",
    )


def _unicast_hops(text: bytes, at: int) -> tuple[tuple[NextHop, ...], int]:
    """The next hops at `at`, and where something else stands."""
    found = []
    while (hop := _UNICAST_HOP.match(text, at)) is not None:
        at = hop.end()
        af, address, mac, label, vni, encapsulations, network, tags, number = hop.groups()
        found.append(
            NextHop(
                _word(address), int(label), _words(encapsulations), _word(network), _numbers(tags), _word(mac),
                int(vni), 0, int(number), int(af),
            )
        )  # fmt: skip
    return tuple(found), at


def _enet_list(text: bytes, at: int, name: bytes) -> tuple[tuple[NextHop, ...], int]:
    """The next hops of the list `name` at `at`, and the place behind it; where it has another layout, the place where
    nothing that may follow stands."""
    empty = _EMPTY[name].match(text, at)
    if empty is not None:
        return (), empty.end()
    start = _START[name].match(text, at)
    if start is None:
        return (), len(text)
    at = start.end()
    found = []
    while (hop := _ENET_HOP.match(text, at)) is not None:
        at = hop.end()
        af, address, mac, label, l3_label, encapsulations, tags, number = hop.groups()
        found.append(
            NextHop(
                _word(address), int(label), _words(encapsulations), "", _numbers(tags), _word(mac), 0, int(l3_label),
                int(number), int(af),
            )
        )  # fmt: skip
    end = b"</%b>" % name
    return tuple(found), at + len(end) if text.startswith(end, at) else len(text)


def _word(text: bytes | None) -> str:
    return text.decode() if text else ""


def _words(text: bytes | None) -> tuple[str, ...]:
    return () if not text else _all_words(text) if len(text) <= LONGEST else _all_words.__wrapped__(text)


def _numbers(text: bytes | None) -> tuple[int, ...]:
    return () if not text else _all_numbers(text) if len(text) <= LONGEST else _all_numbers.__wrapped__(text)


@lru_cache(MEMO)
def _all_words(text: bytes) -> tuple[str, ...]:
    return tuple([word.decode() for word in _MEMBER.findall(text)])


@lru_cache(MEMO)
def _all_numbers(text: bytes) -> tuple[int, ...]:
    return tuple([int(digits) for digits in _MEMBER.findall(text)])
