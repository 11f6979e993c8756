"""What an agent's unicast or EVPN item becomes in a table: a key, a path attribute set and a payload
(reference/xmpp.md 2.3, bgp.md 4.1).

Everything an item says beside its prefix travels as BGP attributes, mostly extended communities, as in the real control
node. Multicast items are in `multicast_item`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.control.bgp import community, ext_community, rd
from contrail_emulator.control.bgp.attributes import Attributes, PmsiTunnel, pmsi
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

FAMILIES = {
    ItemFamily.INET: Family.INET,
    ItemFamily.INET6: Family.INET6,
    ItemFamily.INET_LABELED: Family.INET_LABELED,
    ItemFamily.E_VPN: Family.E_VPN,
}
ITEM_ENCAPSULATIONS = frozenset(("gre", "vxlan", "nvgre", "mpls", "vxlan-gpe", "udp", "native"))
"""What an item may name (reference/xmpp.md 2.3)."""
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

    `master` is true for routes of the master instance, which carry no extended communities; such a route has an RD only
    when its item names a primary instance, whose id is `instance_id` then, else 0. `cluster_seed` is rd-cluster-seed.
    """

    address: bytes
    instance_id: int
    autonomous_system: int
    master: bool = False
    behaviour: Behaviour = CONTRAIL
    cluster_seed: int = 0


@dataclass(frozen=True, slots=True)
class ItemRoute:
    """A route as `RoutingCore.update` takes it; `rd` is the path's source RD, empty when it has none."""

    family: Family
    key: bytes
    attributes: Attributes
    payload: bytes
    rd: bytes
    flags: int = 0


def prefix_key(text: str) -> bytes:
    """length(1) prefix, host bits zero, of a printed prefix.

    Raises:
        ItemError: it is no prefix.
    """
    network = _interface(text).network
    length = network.prefixlen
    return bytes((length,)) + network.network_address.packed[: (length + 7) // 8]


def _interface(text: str) -> IPv4Interface | IPv6Interface:
    """A prefix with its host bits; what inet_pton takes, ipaddress may not.

    Raises:
        ItemError: it does not.
    """
    try:
        return ip_interface(text)
    except ValueError:
        raise ItemError(f"address {text[:60]!r}") from None


def unicast_key(entry: UnicastEntry) -> bytes:
    return prefix_key(entry.address)


def unicast_route(entry: UnicastEntry, publisher: Publisher) -> ItemRoute:
    """A route of an inet, inet6 or labelled item that passed `item_rules.check_next_hops`.

    Raises:
        ItemError: a number that fits no field, a label that fits no encapsulation given.
    """
    hop = entry.next_hops[0]
    _check_numbers(entry, hop)
    address = ip_address(hop.address)
    encapsulations, flags = encapsulation_values(hop.encapsulations)
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
        med=_med(entry, publisher),
        communities=tuple(sorted(set(_communities(entry.community_tags, publisher.behaviour)))),
        ext_communities=communities,
    )
    payload = _label(hop.label, "vxlan" in hop.encapsulations and not publisher.master)
    distinguisher = _rd(address, publisher) if not publisher.master or publisher.instance_id else b""
    return ItemRoute(FAMILIES[entry.family], unicast_key(entry), attributes, payload, distinguisher, flags)


def enet_key(entry: EnetEntry, publisher: Publisher) -> bytes:
    """The key in the instance's EVPN table: type 2 for a MAC, 5 for a prefix; only a broadcast MAC keeps an RD.

    Raises:
        ItemError: an address that is neither a host route nor empty beside a MAC, an Ethernet tag above 32 bits.
    """
    mac = mac_bytes(entry.mac)
    tag = _unsigned(entry.ethernet_tag, "ethernet-tag").to_bytes(4, "big")
    if mac == bytes(6):
        network = _interface(entry.address or "0.0.0.0/0").network
        return b"\x05" + rd.ZERO + tag + bytes((network.prefixlen,)) + network.network_address.packed
    if mac == BROADCAST_MAC:
        distinguisher = rd.make_ipv4(publisher.address, publisher.instance_id & 0xFFFF)
        return b"\x02" + distinguisher + tag + mac + b"\0"
    return b"\x02" + rd.ZERO + tag + mac + _host(entry.address)


def enet_route(entry: EnetEntry, publisher: Publisher) -> ItemRoute:
    """A route of an EVPN item that passed `item_rules.check_next_hops`.

    Raises:
        ItemError: see `enet_key`; a number that fits no field, a label that fits no encapsulation given.
    """
    key = enet_key(entry, publisher)
    hop = entry.next_hops[0]
    _check_numbers(entry, hop)
    address = ip_address(hop.address)
    encapsulations, flags = encapsulation_values(hop.encapsulations)
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
        med=_med(entry, publisher),
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


def _med(entry: UnicastEntry | EnetEntry, publisher: Publisher) -> int | None:
    derived = med_of(entry.local_preference) if publisher.behaviour.med_from_local_preference else 0
    return entry.med or derived or None


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
    """`<vRouter next hop>:<the agent's instance id>`; a cluster's seed replaces the upper half of the address
    (reference/bgp.md 4.1)."""
    packed = address.packed if len(address.packed) == 4 else publisher.address
    if publisher.cluster_seed:
        packed = publisher.cluster_seed.to_bytes(2, "big") + packed[2:]
    return rd.make_ipv4(packed, publisher.instance_id & 0xFFFF)


def _label(value: int, vxlan: bool) -> bytes:
    if value > (0xFFFFFF if vxlan else MAX_MPLS_LABEL):
        raise ItemError(f"label {value} is more than 20 bits can hold")
    return label_bytes(value, vxlan)


def encapsulation_values(names: tuple[str, ...]) -> tuple[list[bytes], int]:
    """The extended communities of the encapsulations that are known; flags of a path that names only unknown ones."""
    known = [ext_community.encapsulation(name) for name in names if name in ITEM_ENCAPSULATIONS]
    return known, int(Flag.NO_TUNNEL_ENCAP) if names and not known else 0


def _groups_and_tags(groups: tuple[int, ...], tags: tuple[int, ...], asn: int) -> Iterator[bytes]:
    """Security groups and tags with our AS number; a pair of communities each when that has four bytes (bgp.md 3.3)."""
    yield from ext_community.paired(ext_community.SECURITY_GROUP, asn, groups)
    yield from ext_community.paired(ext_community.TAG, asn, tags)


def _check_numbers(entry: UnicastEntry | EnetEntry, hop: NextHop) -> None:
    """Items carry decimals of any size; the fields they go to have 32 bits."""
    _unsigned(entry.effective_sequence, "sequence number")
    _unsigned(entry.local_preference, "local-preference")
    _unsigned(entry.med, "med")
    for value in entry.security_groups:
        _unsigned(value, "security-group")
    for value in hop.tags:
        _unsigned(value, "tag")


def _unsigned(value: int, name: str) -> int:
    if value > 0xFFFFFFFF:
        raise ItemError(f"{name} {value} is more than 32 bits can hold")
    return value


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


def _communities(tags: tuple[str, ...], behaviour: Behaviour) -> Iterator[int]:
    for text in tags:
        try:
            yield community.parse(text, behaviour.llgr_names_do_not_round_trip)
        except ValueError:
            continue  # a control node skips what it can't read


def _pmsi(entry: EnetEntry, address: IPv4Address | IPv6Address, hop: NextHop, vxlan: bool) -> PmsiTunnel:
    """The tunnel of a broadcast item: ingress replication, or that of an assisted leaf (reference/xmpp.md 2.3)."""
    if entry.replicator_address:
        kind, flags, identifier = pmsi.ASSISTED_REPLICATION, pmsi.AR_LEAF, ip_address(entry.replicator_address).packed
    else:
        kind, flags, identifier = pmsi.INGRESS_REPLICATION, 0, address.packed
        if entry.assisted_replication_supported:
            flags |= pmsi.AR_REPLICATOR | pmsi.LEAF_INFO_REQUIRED
        if not entry.edge_replication_not_supported:
            flags |= pmsi.EDGE_REPLICATION_SUPPORTED
    return PmsiTunnel(flags, kind, _label(hop.label, vxlan), identifier)


def _host(text: str) -> bytes:
    """iplen(1, bits) IP of a host route; no address at all for an empty text or the default route."""
    if not text:
        return b"\0"
    interface = _interface(text)
    if int(interface.ip) == 0:
        return b"\0"
    if interface.network.prefixlen != interface.max_prefixlen:
        raise ItemError(f"address {text!r}: a MAC route takes a host address")
    return bytes((interface.max_prefixlen,)) + interface.ip.packed
