"""Received items -> paths in the routing tables (reference/agent.md 4, reference/xmpp.md 2.4)."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address

from lxml import etree

from contrail_emulator.base.behaviour import Behaviour
from contrail_emulator.control.xmpp import item_id, item_rules
from contrail_emulator.control.xmpp.family import ItemFamily, split_node
from contrail_emulator.control.xmpp.item_reader import ItemError
from contrail_emulator.control.xmpp.items import EnetEntry, Entry, McastEntry, UnicastEntry
from contrail_emulator.control.xmpp.next_hop import NextHop
from contrail_emulator.control.xmpp.pubsub import Items, Retract

from ..oper.json_read import mac
from ..oper.oper import Oper
from ..oper.path import PREFERENCE_LOW, Attributes, Hop, Path, Peer, PeerKind
from ..oper.prefix import Prefix, host, parse
from ..oper.resolve import encaps
from ..oper.vrf import BROADCAST_MAC, NO_ADDRESS, EvpnKey, RouteKey, Table, Vrf

_TABLES = {
    ItemFamily.INET: Table.INET,
    ItemFamily.INET_LABELED: Table.INET,
    ItemFamily.INET6: Table.INET6,
    ItemFamily.E_VPN: Table.EVPN,
    ItemFamily.ERM_VPN: Table.MULTICAST,
}
TREE_PEER = Peer(PeerKind.MULTICAST_FABRIC_TREE_BUILDER)


class Importer:
    """One control node's routes. `counters` says what was taken and what was left, and why."""

    __slots__ = ("_behaviour", "_oper", "counters", "peer")

    def __init__(self, oper: Oper, peer: Peer, behaviour: Behaviour) -> None:
        self._oper = oper
        self._behaviour = behaviour
        self.peer = peer
        self.counters: Counter[str] = Counter()

    def items(self, form: Items, sequence: int, builder: bool, tree_sequence: int) -> None:
        """Take every item; a bad one is counted and left out, in profile `contrail` with the rest of its message."""
        place = self._place(form.node, builder)
        if place is None:
            return
        family, table, vrf = place
        for _, element in form.items:
            try:
                self._item(vrf, table, family, element, tree_sequence if table is Table.MULTICAST else sequence)
            except ItemError as error:
                self.counters["bad items"] += 1
                if error.ends_message and self._behaviour.agent_drops_rest_of_message:
                    return

    def retract(self, form: Retract, builder: bool) -> None:
        place = self._place(form.node, builder)
        if place is None:
            return
        _, table, vrf = place
        for ident in form.ids:
            key = _retracted(table, ident)
            if key is None:
                self.counters["bad retracts"] += 1
                continue
            self.counters["retracts"] += 1
            self._oper.rib.withdraw(vrf, table, key, self._peer_of(table))

    def _place(self, node: str, builder: bool) -> tuple[ItemFamily, Table, Vrf] | None:
        family, instance = split_node(node)
        table = _TABLES.get(family) if family is not None else None
        if family is None or table is None:
            self.counters["unknown family"] += 1
            return None
        vrf = self._oper.rib.vrfs.get(instance)
        if vrf is None:
            self.counters["unknown VRF"] += 1
            return None
        if table is Table.MULTICAST and not builder:
            self.counters["not the tree builder"] += 1
            return None
        return family, table, vrf

    def _item(self, vrf: Vrf, table: Table, family: ItemFamily, element: etree._Element, sequence: int) -> None:
        entry = item_rules.read_notified(family, element)
        key = _key(entry)
        if key is None:
            self.counters["ignored items"] += 1
            return
        path = self._path(entry, table, sequence)
        self.counters["items"] += 1
        self._oper.heard(vrf, table, key, path)
        self._oper.rib.update(vrf, table, key, path)

    def _peer_of(self, table: Table) -> Peer:
        return TREE_PEER if table is Table.MULTICAST else self.peer

    def _path(self, entry: Entry, table: Table, sequence: int) -> Path:
        peer = self._peer_of(table)
        match entry:
            case UnicastEntry():
                hops = tuple(_hop(hop, hop.virtual_network) for hop in entry.next_hops)
                vns = tuple(dict.fromkeys(hop.vn for hop in hops if hop.vn)) or (entry.virtual_network,)
                attributes = Attributes(
                    vns,
                    tuple(sorted(entry.security_groups)),
                    tuple(dict.fromkeys(tag for hop in entry.next_hops for tag in hop.tags)),
                    entry.community_tags,
                    entry.local_preference or PREFERENCE_LOW,
                    entry.effective_sequence,
                )
                return Path(peer, attributes, hops, sequence=sequence)
            case EnetEntry():
                listed = (*entry.olist, *entry.leaf_olist) or entry.next_hops
                attributes = Attributes(
                    (entry.virtual_network,) if entry.virtual_network else (),
                    tuple(sorted(entry.security_groups)),
                    preference=entry.local_preference or PREFERENCE_LOW,
                    sequence=entry.effective_sequence,
                )
                return Path(
                    peer, attributes, tuple(_hop(hop, entry.virtual_network) for hop in listed), sequence=sequence
                )
            case McastEntry():
                hops = tuple(
                    Hop(int(IPv4Address(hop.address)), int(hop.label or 0), encaps(hop.encapsulations))
                    for hop in entry.olist
                    if ":" not in hop.address
                )
                return Path(peer, Attributes(), hops, sequence=sequence, label=entry.source_label)
            case _:
                return Path(peer, Attributes(), sequence=sequence)


def _hop(hop: NextHop, vn: str) -> Hop:
    try:
        address = int(IPv4Address(hop.address))
    except ValueError as error:
        raise ItemError(f"next-hop address {hop.address[:60]!r} is not of IPv4") from error
    return Hop(address, hop.label, encaps(hop.encapsulations), vn)


def _key(entry: Entry) -> RouteKey | None:
    match entry:
        case UnicastEntry():
            return parse(entry.address)
        case EnetEntry():
            if entry.group not in ("", "0.0.0.0", "::"):
                return None
            return _evpn_key(entry.ethernet_tag, entry.mac, entry.address)
        case McastEntry():
            return host(entry.group)
        case _:
            return None


def _evpn_key(tag: int, mac_text: str, address: str) -> EvpnKey | None:
    raw = mac(":".join(part.zfill(2) for part in mac_text.split(":")))
    if not raw:
        return None
    if raw == BROADCAST_MAC or not address:
        return EvpnKey(tag, raw, NO_ADDRESS)
    return EvpnKey(tag, raw, parse(address))


def _retracted(table: Table, ident: str) -> RouteKey | None:
    try:
        if table is Table.EVPN:
            key = item_id.read_enet_id(ident)
            return _evpn_key(key.ethernet_tag, key.mac, key.address) if key is not None else None
        if table is Table.MULTICAST:
            group = item_id.read_group_id(ident)
            return host(group.group) if group is not None else None
        found: Prefix = parse(ident)
    except ValueError:
        return None
    wanted = 4 if table is Table.INET else 6
    return found if found.version == wanted else None
