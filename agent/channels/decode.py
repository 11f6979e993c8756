"""Items of one message -> keys and contents of paths, the same for every agent that gets the message.

A control node sends one body to all agents of a group: agents of one process may share a `Decoder`, which remembers the
last bodies, so that a route is read once and its attributes exist once.
"""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import AddressValueError, IPv4Address
from typing import NamedTuple

from contrail_emulator.control.xmpp import item_id, item_text
from contrail_emulator.control.xmpp.family import ItemFamily, split_node
from contrail_emulator.control.xmpp.item_reader import ItemError
from contrail_emulator.control.xmpp.items import EnetEntry, Entry, McastEntry, UnicastEntry
from contrail_emulator.control.xmpp.next_hop import NextHop
from contrail_emulator.control.xmpp.pubsub import Items

from ..oper.json_read import mac
from ..oper.path import PREFERENCE_LOW, Attributes, Hop
from ..oper.prefix import host, parse
from ..oper.resolve import encaps
from ..oper.vrf import BROADCAST_MAC, NO_ADDRESS, EvpnKey, RouteKey, Table

TABLES = {
    ItemFamily.INET: Table.INET,
    ItemFamily.INET_LABELED: Table.INET,
    ItemFamily.INET6: Table.INET6,
    ItemFamily.E_VPN: Table.EVPN,
    ItemFamily.ERM_VPN: Table.MULTICAST,
}
DEFAULT_LIMIT = 64
MAX_MPLS_LABEL = 0xFFFFF
MAX_VNI = 0xFFFFFF


class Content(NamedTuple):
    """One item: what becomes a path. `label` is a multicast tree's, 0 elsewhere."""

    key: RouteKey
    attributes: Attributes
    hops: tuple[Hop, ...] = ()
    label: int = 0


class Decoded(NamedTuple):
    """A message.

    `table` None: a family that agents do not use. A content is None where an item was bad; `ends` is the number of
    contents a strict agent takes before it gives the message up, `ignored` that of items without meaning here.
    """

    table: Table | None
    instance: str
    contents: tuple[Content | None, ...] = ()
    ends: int = 0
    ignored: int = 0


class Decoder:
    """`limit` bodies are remembered; 0 remembers none."""

    __slots__ = ("_limit", "_seen", "hits")

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self._limit = limit
        self._seen: OrderedDict[bytes, Decoded] = OrderedDict()
        self.hits = 0

    def decode(self, form: Items, raw: bytes) -> Decoded:
        """`raw` is the stanza; what follows its header is what is remembered. Never raises."""
        if not self._limit:
            return decode(form)
        body = raw[raw.find(b"<items") :]
        found = self._seen.get(body)
        if found is None:
            found = self._seen[body] = decode(form)
            if len(self._seen) > self._limit:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(body)
            self.hits += 1
        return found


def decode(form: Items) -> Decoded:
    family, instance = split_node(form.node)
    table = TABLES.get(family) if family is not None else None
    if family is None or table is None:
        return Decoded(None, instance)
    contents: list[Content | None] = []
    ends, ignored = None, 0
    for _, found in item_text.notified_entries(form, family):
        try:
            content = _content(found)
        except ItemError as error:
            if error.ends_message:
                ends = len(contents) if ends is None else ends
            contents.append(None)
            continue
        if content is None:
            ignored += 1
        else:
            contents.append(content)
    return Decoded(table, instance, tuple(contents), len(contents) if ends is None else ends, ignored)


def _content(entry: Entry | ItemError) -> Content | None:
    """None for what agents do not use. Raises ItemError."""
    match entry:
        case ItemError():
            raise entry
        case UnicastEntry():
            return _unicast(entry)
        case EnetEntry():
            return _enet(entry)
        case McastEntry():
            hops = tuple(
                Hop(_ipv4(hop.address), _label(int(hop.label or 0), MAX_MPLS_LABEL), encaps(hop.encapsulations))
                for hop in entry.olist
            )
            return Content(host(entry.group), Attributes(), hops, _label(entry.source_label, MAX_MPLS_LABEL))
        case _:
            return None


def _unicast(entry: UnicastEntry) -> Content:
    hops = tuple(_hop(hop, hop.virtual_network) for hop in entry.next_hops)
    attributes = Attributes(
        tuple(dict.fromkeys(hop.vn for hop in hops if hop.vn)) or (entry.virtual_network,),
        tuple(sorted(entry.security_groups)),
        tuple(dict.fromkeys(tag for hop in entry.next_hops for tag in hop.tags)),
        entry.community_tags,
        entry.local_preference or PREFERENCE_LOW,
        entry.effective_sequence,
    )
    return Content(parse(entry.address), attributes, hops)


def _enet(entry: EnetEntry) -> Content | None:
    if entry.group not in ("", "0.0.0.0", "::"):
        return None
    key = evpn_key(entry.ethernet_tag, entry.mac, entry.address)
    if key is None:
        return None
    attributes = Attributes(
        (entry.virtual_network,) if entry.virtual_network else (),
        tuple(sorted(entry.security_groups)),
        preference=entry.local_preference or PREFERENCE_LOW,
        sequence=entry.effective_sequence,
    )
    listed = (*entry.olist, *entry.leaf_olist) or entry.next_hops
    return Content(key, attributes, tuple(_hop(hop, entry.virtual_network) for hop in listed))


def _hop(hop: NextHop, vn: str) -> Hop:
    return Hop(_ipv4(hop.address), _label(hop.label, MAX_VNI), encaps(hop.encapsulations), vn)


def _label(value: int, limit: int) -> int:
    """A number that no packet can carry is no label."""
    if value > limit:
        raise ItemError(f"label {value} is more than {limit}")
    return value


def _ipv4(text: str) -> int:
    try:
        return int(IPv4Address(text))
    except AddressValueError as error:
        raise ItemError(f"next-hop address {text[:60]!r} is not of IPv4") from error


def evpn_key(tag: int, mac_text: str, address: str) -> EvpnKey | None:
    """Raises ValueError for a bad address."""
    raw = mac(":".join(part.zfill(2) for part in mac_text.split(":")))
    if not raw:
        return None
    if raw == BROADCAST_MAC or not address:
        return EvpnKey(tag, raw, NO_ADDRESS)
    return EvpnKey(tag, raw, parse(address))


def retracted(table: Table, ident: str) -> RouteKey | None:
    """The key an id names; None for an id that names nothing."""
    try:
        if table is Table.EVPN:
            key = item_id.read_enet_id(ident)
            return evpn_key(key.ethernet_tag, key.mac, key.address) if key is not None else None
        if table is Table.MULTICAST:
            group = item_id.read_group_id(ident)
            found = host(group.group if group is not None else "")
        elif "/" not in ident:
            return None
        else:
            found = parse(ident)
    except ValueError:
        return None
    return found if found.version == (6 if table is Table.INET6 else 4) else None
