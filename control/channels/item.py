"""What an agent's item becomes in a table: a key, a path attribute set and a payload (reference/xmpp.md 2.3, bgp.md 4.1).

Everything an item says beside its prefix travels as BGP attributes, mostly extended communities, as in the real control node.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_interface

from contrail_emulator.control.bgp import community, ext_community, rd
from contrail_emulator.control.bgp.attributes import Attributes, PmsiTunnel
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.label import label_bytes
from contrail_emulator.control.routing import Flag
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.item_reader import ItemError
from contrail_emulator.control.xmpp.items import EnetEntry, NextHop, UnicastEntry

MAX_MPLS_LABEL = 0xFFFFF
ZERO_ESI = bytes(10)
BROADCAST_MAC = b"\xff" * 6
DEFAULT_LOCAL_PREFERENCE = 100
PMSI_INGRESS_REPLICATION = 6
PMSI_ASSISTED_REPLICATION = 252
PMSI_EDGE_REPLICATION = 0x80
PMSI_AR_REPLICATOR = 0x08
PMSI_AR_LEAF = 0x10
PMSI_LEAF_INFO = 0x01

FAMILIES = {
    ItemFamily.INET: Family.INET,
    ItemFamily.INET6: Family.INET6,
    ItemFamily.INET_LABELED: Family.INET_LABELED,
    ItemFamily.E_VPN: Family.E_VPN,
}
HASH_FIELDS = {
    "l3-source-address": 0x80,
    "l3-destination-address": 0x40,
    "l4-protocol": 0x20,
    "l4-source-port": 0x10,
    "l4-destination-port": 0x08,
}


@dataclass(frozen=True, slots=True)
class Publisher:
    """The agent behind an item: its TCP source address, the instance id it announced, and our global AS number.

    `master` is true for routes of the master instance, which carry no extended communities.
    """

    address: bytes
    instance_id: int
    autonomous_system: int
    master: bool = False


@dataclass(frozen=True, slots=True)
class ItemRoute:
    """A route as `RoutingCore.update` takes it; `rd` is the path's source RD."""

    family: Family
    key: bytes
    attributes: Attributes
    payload: bytes
    rd: bytes
    flags: int = 0


def prefix_key(text: str) -> bytes:
    """length(1) prefix, host bits zero, of a printed prefix."""
    network = ip_interface(text).network
    length = network.prefixlen
    return bytes((length,)) + network.network_address.packed[: (length + 7) // 8]


def unicast_key(entry: UnicastEntry) -> bytes:
    return prefix_key(entry.address)


def unicast_route(entry: UnicastEntry, publisher: Publisher) -> ItemRoute:
    """A route of an inet, inet6 or labelled item that passed `item_rules.check_next_hops`.

    Raises:
        ItemError: a label that fits no encapsulation given.
    """
    hop = entry.next_hops[0]
    address = ip_address(hop.address)
    encapsulations, flags = _encapsulations(hop)
    communities: tuple[bytes, ...] = ()
    if not publisher.master:
        communities = tuple(
            sorted(
                {
                    *encapsulations,
                    *_groups_and_tags(entry.security_groups, hop.tags, publisher.autonomous_system),
                    *_mobility(entry.sticky, entry.effective_sequence),
                    *_router_mac(hop),
                    *_load_balance(entry),
                }
            )
        )
    attributes = Attributes.make(
        origin=0,
        next_hop=address.packed,
        local_pref=entry.local_preference or DEFAULT_LOCAL_PREFERENCE,
        med=entry.med or med_of(entry.local_preference) or None,
        communities=tuple(sorted(set(_communities(entry.community_tags)))),
        ext_communities=communities,
    )
    payload = _label(hop.label, "vxlan" in hop.encapsulations)
    distinguisher = _rd(address, publisher) if not publisher.master else b""
    return ItemRoute(FAMILIES[entry.family], unicast_key(entry), attributes, payload, distinguisher, flags)


def enet_key(entry: EnetEntry, publisher: Publisher) -> bytes:
    """The key in the instance's EVPN table: type 2 for a MAC, 5 for a prefix; only a broadcast MAC keeps an RD.

    Raises:
        ItemError: an address that is neither a host route nor empty beside a MAC, or a group: type 6 items are not taken here.
    """
    if entry.group:
        raise ItemError("a group in an ordinary EVPN item")
    mac = mac_bytes(entry.mac)
    tag = entry.ethernet_tag.to_bytes(4, "big")
    if mac == bytes(6):
        interface = ip_interface(entry.address)
        network = interface.network
        return b"\x05" + rd.ZERO + tag + bytes((network.prefixlen,)) + network.network_address.packed
    if mac == BROADCAST_MAC:
        distinguisher = rd.make_ipv4(publisher.address, publisher.instance_id & 0xFFFF)
        return b"\x02" + distinguisher + tag + mac + b"\0"
    return b"\x02" + rd.ZERO + tag + mac + _host(entry.address)


def enet_route(entry: EnetEntry, publisher: Publisher) -> ItemRoute:
    """A route of an EVPN item that passed `item_rules.check_next_hops`.

    Raises:
        ItemError: see `enet_key`; a label that fits no encapsulation given.
    """
    key = enet_key(entry, publisher)
    hop = entry.next_hops[0]
    address = ip_address(hop.address)
    encapsulations, flags = _encapsulations(hop)
    communities = {
        *encapsulations,
        *_groups_and_tags(entry.security_groups, hop.tags, publisher.autonomous_system),
        *_mobility(entry.sticky, entry.effective_sequence),
        *_router_mac(hop),
    }
    vxlan = "vxlan" in hop.encapsulations
    label = _label(hop.label, vxlan)
    broadcast = mac_bytes(entry.mac) == BROADCAST_MAC
    if entry.etree_leaf and not broadcast:
        communities.add(ext_community.etree(True, 0))
    attributes = Attributes.make(
        origin=0,
        next_hop=address.packed,
        local_pref=entry.local_preference or DEFAULT_LOCAL_PREFERENCE,
        med=entry.med or med_of(entry.local_preference) or None,
        ext_communities=tuple(sorted(communities)),
        pmsi=_pmsi(entry, address, hop, vxlan) if broadcast else None,
    )
    if key[0] == 5:
        gateway = bytes(16 if len(key) > 18 else 4)
        payload = ZERO_ESI + gateway + label
    else:
        payload = ZERO_ESI + label + (_label(hop.l3_label, vxlan) if hop.l3_label else b"")
    distinguisher = key[1:9] if broadcast else _rd(address, publisher)
    return ItemRoute(Family.E_VPN, key, attributes, payload, distinguisher, flags)


def med_of(local_preference: int) -> int:
    """The MED a control node derives where an item has none (reference/bgp.md 4.7)."""
    match local_preference:
        case 0:
            return 0
        case 100:
            return 200
        case 200:
            return 100
    return 0xFFFFFFFF - local_preference


def mac_bytes(text: str) -> bytes:
    """Six bytes of a printed MAC; leading zeros of a byte may be missing."""
    return bytes(int(part, 16) for part in text.split(":"))


def _rd(address: IPv4Address | IPv6Address, publisher: Publisher) -> bytes:
    """`<vRouter next hop>:<the agent's instance id>` (reference/bgp.md 4.1)."""
    packed = address.packed if len(address.packed) == 4 else publisher.address
    return rd.make_ipv4(packed, publisher.instance_id & 0xFFFF)


def _label(value: int, vxlan: bool) -> bytes:
    if value > (0xFFFFFF if vxlan else MAX_MPLS_LABEL):
        raise ItemError(f"label {value} is more than 20 bits can hold")
    return label_bytes(value, vxlan)


def _encapsulations(hop: NextHop) -> tuple[list[bytes], int]:
    known = [ext_community.encapsulation(name) for name in hop.encapsulations if name in ext_community.ENCAPSULATIONS]
    return known, int(Flag.NO_TUNNEL_ENCAP) if hop.encapsulations and not known else 0


def _groups_and_tags(groups: tuple[int, ...], tags: tuple[int, ...], asn: int) -> Iterator[bytes]:
    """Security groups and tags with our AS number; a pair of communities each when that has four bytes (bgp.md 3.3)."""
    for values, subtype in ((groups, ext_community.SECURITY_GROUP), (tags, ext_community.TAG)):
        if asn > 0xFFFF:
            yield from ext_community.paired(subtype, asn, values)
        else:
            yield from (ext_community.as_specific(ext_community.PRIVATE_AS2, subtype, asn, value) for value in values)


def _mobility(sticky: bool, sequence: int) -> Iterator[bytes]:
    if sticky or sequence:
        yield ext_community.mac_mobility(sticky, sequence)


def _router_mac(hop: NextHop) -> Iterator[bytes]:
    if hop.mac:
        mac = mac_bytes(hop.mac)
        if any(mac):
            yield ext_community.router_mac(mac)


def _load_balance(entry: UnicastEntry) -> Iterator[bytes]:
    fields = sum({HASH_FIELDS[name] for name in entry.load_balance_fields if name in HASH_FIELDS})
    source_bias = entry.load_balance_decision == "source-bias"
    if source_bias or fields not in (0, ext_community.ALL_HASH_FIELDS):
        yield ext_community.load_balance(fields or ext_community.ALL_HASH_FIELDS, source_bias)


def _communities(tags: tuple[str, ...]) -> Iterator[int]:
    for text in tags:
        try:
            yield community.parse(text)
        except ValueError:
            continue  # a control node skips what it can't read


def _pmsi(entry: EnetEntry, address: IPv4Address | IPv6Address, hop: NextHop, vxlan: bool) -> PmsiTunnel:
    """The tunnel of a broadcast item: ingress replication, or assisted replication of a leaf (reference/xmpp.md 2.3)."""
    if entry.replicator_address:
        kind, flags, identifier = PMSI_ASSISTED_REPLICATION, PMSI_AR_LEAF, ip_address(entry.replicator_address).packed
    else:
        kind, flags, identifier = PMSI_INGRESS_REPLICATION, 0, address.packed
        if entry.assisted_replication_supported:
            flags |= PMSI_AR_REPLICATOR | PMSI_LEAF_INFO
        if not entry.edge_replication_not_supported:
            flags |= PMSI_EDGE_REPLICATION
    return PmsiTunnel(flags, kind, _label(hop.label, vxlan), identifier)


def _host(text: str) -> bytes:
    """iplen(1, bits) IP of a host route; no address at all for an empty text or the default route."""
    if not text:
        return b"\0"
    interface = ip_interface(text)
    if int(interface.ip) == 0:
        return b"\0"
    if interface.network.prefixlen != interface.max_prefixlen:
        raise ItemError(f"address {text!r}: a MAC route takes a host address")
    return bytes((interface.max_prefixlen,)) + interface.ip.packed
