"""What each side accepts of an item: the outcomes of reference/xmpp.md 6, by reader.

The order of checks at a control node is: syntax and nlri (`read_published`), then membership (the caller's), then next
hops (`check_next_hops`, for adds only). An agent checks all at once (`read_notified`).
"""

import re
from socket import AF_INET, AF_INET6, AddressFamily, inet_pton
from typing import Final

from lxml import etree

from . import item_reader
from .family import ItemFamily
from .item_reader import ItemError
from .items import ZERO_ADDRESS, EnetEntry, Entry, McastEntry, MvpnEntry, UnicastEntry
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
    check_notified_key(found)
    check_notified_rest(found)
    return found


def check_notified_key(entry: Entry) -> None:
    """What names the route, at the agent. Raises an ItemError that ends the message."""
    try:
        match entry:
            case UnicastEntry():
                _prefix(entry.address, 6 if entry.family is ItemFamily.INET6 else 4)
            case EnetEntry():
                _mac(entry.mac)
                if entry.address:
                    _prefix(entry.address, 0)
                if entry.group not in ("", ZERO_ADDRESS, "::"):
                    _address(entry.group, "group")
            case McastEntry() | MvpnEntry():
                _group_and_source(entry.group, entry.source)
    except ItemError as error:
        raise ItemError(error.text, ends_message=True) from None


def check_notified_rest(entry: Entry) -> None:
    """What the route leads to, at the agent. Raises ItemError."""
    match entry:
        case UnicastEntry():
            if not entry.next_hops:
                raise ItemError("no next-hop")
            _next_hop_addresses(entry.next_hops)
        case EnetEntry():
            hops = entry.next_hops + entry.olist + entry.leaf_olist
            if not hops:
                raise ItemError("no next-hop")
            _next_hop_addresses(hops)
        case McastEntry():
            _next_hop_addresses(entry.olist)
            for hop in entry.olist:
                item_reader.integer_text(hop.label, "label")
        case MvpnEntry():
            _next_hop_addresses(entry.olist)


# --- Single rules -----------------------------------------------------------------------------------------------------


def _prefix(value: str, version: int) -> tuple[int, bool]:
    """`address/length`; version 0 takes both. Return (version, whether it is one host)."""
    address, slash, digits = value.partition("/")
    found = 4 if _is_address(address, AF_INET) else 6 if _is_address(address, AF_INET6) else 0
    longest = 32 if found == 4 else 128
    if not (slash and found and len(digits) <= 3 and digits.isascii() and digits.isdigit() and int(digits) <= longest):
        raise ItemError(f"prefix {value[:60]!r}")
    if version and found != version:
        raise ItemError(f"prefix {value[:60]!r} is not of IPv{version}")
    return found, int(digits) == longest


def _is_address(value: str, family: AddressFamily) -> bool:
    try:
        inet_pton(family, value)
    except (OSError, ValueError):  # ValueError: a null byte, or what cannot be encoded
        return False
    return True


def _address(value: str, name: str) -> int:
    """The version of an address."""
    if _is_address(value, AF_INET):
        return 4
    if _is_address(value, AF_INET6):
        return 6
    raise ItemError(f"{name} {value[:60]!r}")


def _mac(value: str) -> None:
    if not _MAC.fullmatch(value):
        raise ItemError(f"mac {value[:40]!r}")


def _group_and_source(group: str, source: str) -> str:
    """Both IPv4 addresses; return the source."""
    for name, value in (("group", group), ("source", source)):
        if _address(value, name) != 4:
            raise ItemError(f"{name} {value[:60]!r} is not of IPv4")
    return source


def _published_enet(entry: EnetEntry) -> EnetEntry:
    _mac(entry.mac)
    if entry.address:
        _, host = _prefix(entry.address, 0)
        type_2 = not entry.group and not _is_zero_mac(entry.mac)
        if type_2 and not host and entry.address not in ("0.0.0.0/0", "::/0"):
            raise ItemError(f"address {entry.address[:60]!r} of a MAC route is not a host")
    return entry._replace(group=_or_zero(entry.group), source=_or_zero(entry.source))


def _is_zero_mac(mac: str) -> bool:
    return not mac.strip("0:")


def _or_zero(value: str) -> str:
    return value if not value or _is_address(value, AF_INET) or _is_address(value, AF_INET6) else ZERO_ADDRESS


def _only(hops: tuple[NextHop, ...]) -> NextHop:
    if len(hops) != 1:
        raise ItemError(f"{len(hops)} next-hops, not one")
    _next_hop_address(hops[0])
    return hops[0]


def _next_hop_address(hop: NextHop | OlistNextHop) -> None:
    if _address(hop.address, "next-hop address") != 4:
        raise ItemError(f"next-hop address {hop.address[:60]!r} is not of IPv4")
    if hop.address == ZERO_ADDRESS:
        raise ItemError("next-hop address 0.0.0.0")
    if hop.af not in (1, 2):
        raise ItemError(f"next-hop af {hop.af}")


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
