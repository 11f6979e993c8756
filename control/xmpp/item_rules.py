"""What each side accepts of an item: the outcomes of reference/xmpp.md 6, by reader.

The order of checks at a control node is: syntax and nlri (`read_published`), then membership (the caller's), then next
hops (`check_next_hops`, for adds only). An agent checks all at once (`read_notified`).
"""

import ipaddress
import re
from collections.abc import Callable
from typing import Final

from lxml import etree

from . import item_reader
from .family import ItemFamily
from .item_reader import ItemError
from .items import BROADCAST_MAC, ZERO_ADDRESS, ZERO_MAC, EnetEntry, Entry, McastEntry, MvpnEntry, UnicastEntry
from .next_hop import NextHop, OlistNextHop

MAX_LABEL: Final = 0xFFFFFF
_MAC: Final = re.compile(r"(?:[0-9A-Fa-f]{1,2}:){5}[0-9A-Fa-f]{1,2}")
SOURCE_ACTIVE: Final = 5
SOURCE_TREE_JOIN: Final = 7


def read(family: ItemFamily, entry: etree._Element) -> Entry:
    """Syntax only. Raises ItemError (a bad integer)."""
    match family:
        case ItemFamily.E_VPN:
            return EnetEntry.from_xml(entry)
        case ItemFamily.ERM_VPN:
            return McastEntry.from_xml(entry)
        case ItemFamily.MVPN:
            return MvpnEntry.from_xml(entry)
        case _:
            return UnicastEntry.from_xml(entry, family)


def read_published(family: ItemFamily, entry: etree._Element) -> Entry:
    """An agent's item at the control node: syntax and nlri. Raises ItemError; next hops are not looked at.

    A bad group or source of an EVPN item is replaced by 0.0.0.0, as the real control node goes on with it.
    """
    found = read(family, entry)
    numbers = item_reader.family_numbers(entry)
    if numbers != (family.afi, family.safi):
        raise ItemError(f"nlri {numbers[0]}/{numbers[1]} in an item of {family.text}")
    match found:
        case UnicastEntry():
            _prefix(found.address, 6 if family is ItemFamily.INET6 else 4)
            return found
        case EnetEntry():
            return _published_enet(found)
        case McastEntry():
            return found._replace(source=_group_and_source(found.group, found.source or ZERO_ADDRESS))
        case MvpnEntry():
            if found.route_type not in (SOURCE_ACTIVE, SOURCE_TREE_JOIN):
                raise ItemError(f"route-type {found.route_type}: neither 5 nor 7")
            _group_and_source(found.group, found.source)
            return found


def check_next_hops(entry: Entry, master: bool) -> None:
    """A control node's next-hop rules for an item added (`master`: to the master instance). Raises ItemError."""
    match entry:
        case UnicastEntry():
            _unicast_label(entry, _only(entry.next_hops), master)
        case EnetEntry():
            hop = _only(entry.next_hops)
            _label(hop.label)
            if hop.mac and not _MAC.fullmatch(hop.mac):
                raise ItemError(f"next-hop mac {hop.mac[:40]!r}")
            if entry.replicator_address:
                _address(entry.replicator_address, "replicator-address")
        case McastEntry():
            if len(entry.next_hops) != 1:
                raise ItemError(f"{len(entry.next_hops)} next-hops, not one")
            _next_hop_address(entry.next_hops[0])
            if entry.next_hops[0].label_range is None:
                raise ItemError(f"label range {entry.next_hops[0].label[:40]!r}")
        case MvpnEntry():
            if entry.next_hop.address:
                _next_hop_address(entry.next_hop)


def read_notified(family: ItemFamily, entry: etree._Element) -> Entry:
    """A control node's item at the agent. Raises ItemError; a bad prefix, group or EVPN address ends the message."""
    found = read(family, entry)
    match found:
        case UnicastEntry():
            _key(lambda: _prefix(found.address, 6 if family is ItemFamily.INET6 else 4))
            if not found.next_hops:
                raise ItemError("no next-hop")
            _next_hop_addresses(found.next_hops)
        case EnetEntry():
            _key(lambda: _mac(found.mac))
            if found.address:
                _key(lambda: _prefix(found.address, 0))
            if found.group not in ("", ZERO_ADDRESS, "::"):
                _key(lambda: _address(found.group, "group"))
            if not (found.next_hops or found.olist or found.leaf_olist or found.mac.lower() == BROADCAST_MAC):
                raise ItemError("no next-hop")
            _next_hop_addresses(found.next_hops + found.olist + found.leaf_olist)
        case McastEntry():
            _key(lambda: _group_and_source(found.group, found.source))
            _next_hop_addresses(found.olist)
            for hop in found.olist:
                item_reader.integer_text(hop.label, "label")
        case MvpnEntry():
            _key(lambda: _group_and_source(found.group, found.source))
            _next_hop_addresses(found.olist)
    return found


# --- Single rules -----------------------------------------------------------------------------------------------------


def _key(check: Callable[[], object]) -> None:
    """Run a check of the item's key: at an agent its failure ends the message."""
    try:
        check()
    except ItemError as error:
        raise ItemError(error.text, ends_message=True) from None


def _prefix(value: str, version: int) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    """`address/length`; version 0 takes both."""
    address, slash, length = value.partition("/")
    if not slash or not (length.isascii() and length.isdigit()):
        raise ItemError(f"prefix {value[:60]!r}")
    try:
        found = ipaddress.ip_interface(f"{address}/{length}")
    except ValueError:
        raise ItemError(f"prefix {value[:60]!r}") from None
    if version and found.version != version:
        raise ItemError(f"prefix {value[:60]!r} is not of IPv{version}")
    return found


def _address(value: str, name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(value)
    except ValueError:
        raise ItemError(f"{name} {value[:60]!r}") from None


def _mac(value: str) -> None:
    if not _MAC.fullmatch(value):
        raise ItemError(f"mac {value[:40]!r}")


def _group_and_source(group: str, source: str) -> str:
    """Both IPv4 addresses; return the source."""
    for name, value in (("group", group), ("source", source)):
        if _address(value, name).version != 4:
            raise ItemError(f"{name} {value[:60]!r} is not of IPv4")
    return source


def _published_enet(entry: EnetEntry) -> EnetEntry:
    _mac(entry.mac)
    if entry.address:
        prefix = _prefix(entry.address, 0)
        whole = prefix.network.prefixlen == prefix.max_prefixlen
        if entry.mac != ZERO_MAC and not whole and entry.address not in ("0.0.0.0/0", "::/0"):
            raise ItemError(f"address {entry.address[:60]!r} of a MAC route is not a host")
    return entry._replace(group=_or_zero(entry.group), source=_or_zero(entry.source))


def _or_zero(value: str) -> str:
    try:
        return value and str(_address(value, "group or source"))
    except ItemError:
        return ZERO_ADDRESS


def _only(hops: tuple[NextHop, ...]) -> NextHop:
    if len(hops) != 1:
        raise ItemError(f"{len(hops)} next-hops, not one")
    _next_hop_address(hops[0])
    return hops[0]


def _next_hop_address(hop: NextHop | OlistNextHop) -> None:
    if _address(hop.address, "next-hop address").version != 4:
        raise ItemError(f"next-hop address {hop.address[:60]!r} is not of IPv4")
    if hop.address == ZERO_ADDRESS:
        raise ItemError("next-hop address 0.0.0.0")


def _label(label: int) -> None:
    if label > MAX_LABEL:
        raise ItemError(f"label {label}")


def _unicast_label(entry: UnicastEntry, hop: NextHop, master: bool) -> None:
    _label(hop.label)
    wants_label = entry.family is ItemFamily.INET_LABELED or not master
    if wants_label and not hop.label:
        raise ItemError("label 0")
    if hop.label and not wants_label:
        raise ItemError(f"label {hop.label} in the master instance")


def _next_hop_addresses(hops: tuple[NextHop, ...] | tuple[OlistNextHop, ...]) -> None:
    for hop in hops:
        _address(hop.address, "next-hop address")
