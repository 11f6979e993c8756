"""What an agent's multicast item becomes in a table: a native erm-vpn route, an MVPN join or source, an EVPN selective
multicast route (reference/xmpp.md 2.3, bgp.md 2.3, 4.8-4.10).

MVPN routes and selective multicast routes are kept and shown but not usable: what would make them so, the way to the
source and the root of the tree, is not resolved here (paths are flagged as a real control node flags them meanwhile).
"""

from __future__ import annotations

from ipaddress import ip_address

from contrail_emulator.control.bgp import rd
from contrail_emulator.control.bgp.attributes import Attributes, Edge
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import Flag
from contrail_emulator.control.routing.ermvpn_key import NATIVE, ErmVpnKey
from contrail_emulator.control.xmpp.item_reader import ItemError
from contrail_emulator.control.xmpp.item_rules import SOURCE_TREE_JOIN
from contrail_emulator.control.xmpp.items import EnetEntry, McastEntry, MvpnEntry

from .item import DEFAULT_LOCAL_PREFERENCE, MAX_MPLS_LABEL, ItemRoute, Publisher, encapsulation_values

SELECTIVE_MULTICAST = 6
SELECTIVE_FLAGS = b"\x02"
_NO_ROUTER = bytes(4)
_ADDRESS_BITS = b"\x20"


def mcast_key(entry: McastEntry, publisher: Publisher) -> bytes:
    """The native route of an agent; its RD is `<agent>:<instance id>` (reference/bgp.md 4.1)."""
    distinguisher = rd.make_ipv4(publisher.address, publisher.instance_id & 0xFFFF)
    return ErmVpnKey(NATIVE, distinguisher, _NO_ROUTER, _packed(entry.source), _packed(entry.group)).write()


def mcast_route(entry: McastEntry, publisher: Publisher) -> ItemRoute:
    """A route of an ERMVPN item that passed `item_rules.check_next_hops`: where the agent is and which labels it gives.

    Raises:
        ItemError: a label range that goes beyond 20 bits.
    """
    key = mcast_key(entry, publisher)
    hop = entry.next_hops[0]
    labels = hop.label_range
    if labels is None or labels[1] > MAX_MPLS_LABEL:
        raise ItemError(f"label range {hop.label[:40]!r}")
    address = _packed(hop.address)
    encapsulations, flags = encapsulation_values(hop.encapsulations)
    attributes = Attributes.make(
        origin=0,
        next_hop=address,
        local_pref=DEFAULT_LOCAL_PREFERENCE,
        ext_communities=tuple(sorted(set(encapsulations))),
        edge_discovery=(Edge(address, (labels,)),),
    )
    return ItemRoute(Family.ERM_VPN, key, attributes, b"", key[2:10], flags)


def mvpn_key(entry: MvpnEntry, publisher: Publisher) -> bytes:
    """A source tree join (7) or a source active route (5), without an RD."""
    where = _ADDRESS_BITS + _packed(entry.source) + _ADDRESS_BITS + _packed(entry.group)
    if entry.route_type == SOURCE_TREE_JOIN:
        where = publisher.autonomous_system.to_bytes(4, "big") + where
    body = rd.ZERO + where
    return bytes((entry.route_type, len(body))) + body


def mvpn_route(entry: MvpnEntry, publisher: Publisher) -> ItemRoute:
    """A route of an MVPN item. Its path waits for the way to the source."""
    hop = _packed(entry.next_hop.address) if entry.next_hop.address else publisher.address
    attributes = Attributes.make(origin=0, next_hop=hop, local_pref=DEFAULT_LOCAL_PREFERENCE)
    return ItemRoute(
        Family.INET_MVPN, mvpn_key(entry, publisher), attributes, b"", b"", int(Flag.RESOLVE_NEXTHOP)
    )


def selective_key(entry: EnetEntry) -> bytes:
    """An EVPN route of type 6; RD and originator are zero until `with_instance_rd` fills them in.

    Raises:
        ItemError: an Ethernet tag above 32 bits.
    """
    if entry.ethernet_tag > 0xFFFFFFFF:
        raise ItemError(f"ethernet-tag {entry.ethernet_tag} is more than 32 bits can hold")
    source, group = _packed(entry.source or "0.0.0.0"), _packed(entry.group)
    sender = bytes((8 * len(source),)) + source if any(source) else b"\0"
    head = bytes((SELECTIVE_MULTICAST,)) + rd.ZERO + entry.ethernet_tag.to_bytes(4, "big")
    return head + sender + bytes((8 * len(group),)) + group + _ADDRESS_BITS + _NO_ROUTER


def is_selective(family: Family, key: bytes) -> bool:
    return family is Family.E_VPN and key[0] == SELECTIVE_MULTICAST


def with_instance_rd(key: bytes, instance_rd: bytes) -> bytes:
    """The key of a selective multicast route as the control node itself originates it, `<router-id>:<index>`."""
    return key[:1] + instance_rd + key[9:-4] + instance_rd[2:6]


def selective_route(entry: EnetEntry) -> ItemRoute:
    """A selective multicast item. Its path waits for the root of a tree of the group.

    Raises:
        ItemError: see `selective_key`.
    """
    hop = entry.next_hops[0]
    encapsulations, flags = encapsulation_values(hop.encapsulations)
    attributes = Attributes.make(
        origin=0,
        next_hop=_packed(hop.address),
        local_pref=DEFAULT_LOCAL_PREFERENCE,
        ext_communities=tuple(sorted(set(encapsulations))),
    )
    flags |= int(Flag.CHECK_GLOBAL_ERM_VPN_ROUTE)
    return ItemRoute(Family.E_VPN, selective_key(entry), attributes, SELECTIVE_FLAGS, rd.ZERO, flags)


def _packed(text: str) -> bytes:
    return ip_address(text).packed
