"""The syntax of item elements: any order, unknown elements ignored, everything optional (reference/xmpp.md 2.3).

Each `read_*` returns the fields of one entry class in its order, so that this page needs none of those classes.
"""

from typing import Final

from lxml import etree

from .next_hop import NextHop, OlistNextHop

_BLANKS: Final = " \t\r\n"
_MAX_DIGITS: Final = 20


class ItemError(Exception):
    """An item is dropped; with `ends_message` (at an agent) the rest of its message too (reference/xmpp.md 6)."""

    def __init__(self, text: str, ends_message: bool = False) -> None:
        super().__init__(text)
        self.text: Final = text
        self.ends_message: Final = ends_message


Fields = dict[str, etree._Element]


def fields(element: etree._Element) -> Fields:
    """The children of `element` by local name; of several with one name the last counts."""
    return {child.tag[child.tag.rfind("}") + 1 :]: child for child in element}


def text(found: Fields, name: str) -> str:
    """Character data of a child, empty when it is absent."""
    element = found.get(name)
    return "" if element is None else element.text or ""


def integer_text(value: str | None, name: str) -> int:
    """An unsigned decimal; trailing blanks are allowed, nothing is 0, any other text makes the item invalid."""
    if not value:
        return 0
    digits = value.rstrip(_BLANKS)
    if digits.isdigit() and digits.isascii() and len(digits) <= _MAX_DIGITS:
        return int(digits)
    if not digits:
        return 0
    raise ItemError(f"{name}: {value[:40]!r} is not an unsigned integer")


def integer(found: Fields, name: str) -> int:
    element = found.get(name)
    return 0 if element is None else integer_text(element.text, name)


def boolean(found: Fields, name: str) -> bool:
    element = found.get(name)
    return element is not None and element.text == "true"


def _members(element: etree._Element | None, name: str) -> list[str]:
    if element is None:
        return []
    return [child.text or "" for child in element if child.tag[child.tag.rfind("}") + 1 :] == name]


def _integers(element: etree._Element | None, name: str) -> tuple[int, ...]:
    return tuple([integer_text(value, name) for value in _members(element, name)])


def _mobility(found: Fields) -> tuple[bool, int]:
    element = found.get("mobility")
    if element is None:
        return False, 0
    return element.get("sticky") == "true", integer_text(element.get("seqno"), "mobility@seqno")


def _encapsulations(found: Fields) -> tuple[str, ...]:
    return tuple(_members(found.get("tunnel-encapsulation-list"), "tunnel-encapsulation"))


def _next_hop(element: etree._Element) -> NextHop:
    found = fields(element)
    return NextHop(
        text(found, "address"),
        integer(found, "label"),
        _encapsulations(found),
        text(found, "virtual-network"),
        _integers(found.get("tag-list"), "tag"),
        text(found, "mac"),
        integer(found, "vni"),
        integer(found, "l3-label"),
        integer(found, "local-sequence-number"),
        integer(found, "af"),
    )


def _next_hops(element: etree._Element | None) -> tuple[NextHop, ...]:
    if element is None:
        return ()
    return tuple([_next_hop(child) for child in element if child.tag[child.tag.rfind("}") + 1 :] == "next-hop"])


def _olist_next_hop(element: etree._Element, numeric: bool) -> OlistNextHop:
    found = fields(element)
    label = str(integer(found, "label")) if numeric else text(found, "label")
    return OlistNextHop(text(found, "address"), label, _encapsulations(found), integer(found, "af"))


def _olist(element: etree._Element | None, numeric: bool) -> tuple[OlistNextHop, ...]:
    if element is None:
        return ()
    hops = [child for child in element if child.tag[child.tag.rfind("}") + 1 :] == "next-hop"]
    return tuple([_olist_next_hop(hop, numeric) for hop in hops])


def nlri(entry: etree._Element) -> Fields:
    """The children of the element `nlri`."""
    found = fields(entry).get("nlri")
    return {} if found is None else fields(found)


def family_numbers(entry: etree._Element) -> tuple[int, int]:
    """(af, safi) as the item's nlri states them."""
    found = nlri(entry)
    return integer(found, "af"), integer(found, "safi")


def read_unicast(entry: etree._Element) -> tuple[object, ...]:
    """The fields of UnicastEntry after `family`."""
    found = fields(entry)
    prefix = fields(found["nlri"]) if "nlri" in found else {}
    sticky, sequence = _mobility(found)
    balance = fields(found["load-balance"]) if "load-balance" in found else {}
    return (
        text(prefix, "address"),
        _next_hops(found.get("next-hops")),
        integer(found, "version"),
        text(found, "virtual-network"),
        sticky,
        sequence,
        integer(found, "sequence-number"),
        _integers(found.get("security-group-list"), "security-group"),
        tuple(_members(found.get("community-tag-list"), "community-tag")),
        integer(found, "local-preference"),
        integer(found, "med"),
        tuple(_members(balance.get("load-balance-fields"), "load-balance-field-list")),
        text(balance, "load-balance-decision") or "field-hash",
        text(found, "sub-protocol") or "interface",
    )


def read_enet(entry: etree._Element) -> tuple[object, ...]:
    """The fields of EnetEntry."""
    found = fields(entry)
    prefix = fields(found["nlri"]) if "nlri" in found else {}
    sticky, sequence = _mobility(found)
    return (
        text(prefix, "mac"),
        text(prefix, "address"),
        integer(prefix, "ethernet-tag"),
        text(prefix, "group"),
        text(prefix, "source"),
        integer(prefix, "flags"),
        _next_hops(found.get("next-hops")),
        _next_hops(found.get("olist")),
        text(found, "virtual-network"),
        sticky,
        sequence,
        integer(found, "sequence-number"),
        _integers(found.get("security-group-list"), "security-group"),
        integer(found, "local-preference"),
        integer(found, "med"),
        boolean(found, "edge-replication-not-supported"),
        boolean(found, "assisted-replication-supported"),
        _next_hops(found.get("leaf-olist")),
        text(found, "replicator-address"),
        boolean(found, "etree-leaf"),
    )


def read_mcast(entry: etree._Element) -> tuple[object, ...]:
    """The fields of McastEntry."""
    found = fields(entry)
    prefix = fields(found["nlri"]) if "nlri" in found else {}
    return (
        text(prefix, "group"),
        text(prefix, "source"),
        integer(prefix, "source-label"),
        text(prefix, "source-address"),
        _olist(found.get("next-hops"), False),
        _olist(found.get("olist"), False),
    )


def read_mvpn(entry: etree._Element) -> tuple[object, ...]:
    """The fields of MvpnEntry."""
    found = fields(entry)
    prefix = fields(found["nlri"]) if "nlri" in found else {}
    hop = found.get("next-hop")
    return (
        text(prefix, "group"),
        text(prefix, "source"),
        integer(prefix, "route-type"),
        OlistNextHop("", "0", (), 0) if hop is None else _olist_next_hop(hop, True),
        _olist(found.get("olist"), True),
    )
