"""What a route becomes for an agent: an item with all its ECMP next hops, rendered once per update group
(reference/xmpp.md 2.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from ipaddress import ip_address

from contrail_emulator.control.bgp import community, ext_community, nlri
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import GroupKey, origin_vn
from contrail_emulator.control.routing.olist import Olist
from contrail_emulator.control.xmpp import item_id, pubsub
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.items import TABBED, ZERO_ADDRESS, EnetEntry, NextHop, UnicastEntry

from .item import HASH_FIELDS
from .private_values import read_all
from .replication_item import broadcast_item, tree_id, tree_item

MAX_ITEMS = 32
MAX_RETRACTS = 256
UNRESOLVED = "unresolved"
GLOBAL_SECURITY_GROUPS = range(1, 8000000)
ITEM_FAMILIES = {
    Family.INET: ItemFamily.INET,
    Family.INET6: ItemFamily.INET6,
    Family.INET_LABELED: ItemFamily.INET_LABELED,
    Family.E_VPN: ItemFamily.E_VPN,
    Family.ERM_VPN: ItemFamily.ERM_VPN,
}
EVPN_MAC, EVPN_PREFIX = 2, 5

Paths = tuple[tuple[Attributes, bytes], ...]
NetworkName = Callable[[int, int], str]
InstanceNetwork = Callable[[str], str]


class XmppEncoder:
    """Renders message bodies; the header with `to` is each member's own.

    `network_name(asn, index)` gives the virtual network behind an origin-vn, `unresolved` when unknown;
    `instance_network(name)` that of a routing instance.
    """

    joins = False

    def __init__(self, autonomous_system: int, network_name: NetworkName, instance_network: InstanceNetwork) -> None:
        self.autonomous_system = autonomous_system
        self._network_name = network_name
        self._instance_network = instance_network

    def reach(
        self, table: str, family: Family, instance: str, group: GroupKey, routes: Sequence[tuple[bytes, Paths]]
    ) -> list[bytes]:
        """Message bodies for routes that share their attribute sets, at most 32 items each."""
        own = self._instance_network(instance) or UNRESOLVED
        if family is Family.E_VPN:
            items = [item for key, paths in routes if (item := self._enet(key, paths, own)) is not None]
        else:
            shared = [_Shared(self, attributes, own) for attributes, _ in routes[0][1]]
            items = [self._unicast(family, key, paths, shared) for key, paths in routes]
        node = ITEM_FAMILIES[family].node(instance)
        return [pubsub.items_body(node, items[at : at + MAX_ITEMS]) for at in range(0, len(items), MAX_ITEMS)]

    def reach_olist(
        self, table: str, family: Family, instance: str, group: GroupKey, routes: Sequence[tuple[bytes, Olist]]
    ) -> list[bytes]:
        """A message body for each of an agent's own broadcast or multicast routes: no two share their attributes."""
        node = ITEM_FAMILIES[family].node(instance)
        own = self._instance_network(instance) or UNRESOLVED
        return [pubsub.items_body(node, [self._list_item(family, key, olist, own)]) for key, olist in routes]

    def unreach(self, table: str, family: Family, instance: str, group: GroupKey, keys: Sequence[bytes]) -> list[bytes]:
        """Message bodies that retract, at most 256 ids each."""
        ids = [ident for key in keys if (ident := _id(family, key)) is not None]
        node = ITEM_FAMILIES[family].node(instance)
        return [pubsub.retract_body(node, ids[at : at + MAX_RETRACTS]) for at in range(0, len(ids), MAX_RETRACTS)]

    def _list_item(self, family: Family, key: bytes, olist: Olist, own: str) -> tuple[str, bytes]:
        if family is Family.ERM_VPN:
            return tree_item(key, olist)
        attributes = olist.attributes
        return broadcast_item(key, olist, self.virtual_network(attributes, own), _local_preference(attributes))

    def _unicast(self, family: Family, key: bytes, paths: Paths, shared: Sequence[_Shared]) -> tuple[str, bytes]:
        prefix = _prefix(family, key)
        first = shared[0]
        hops = tuple(dict.fromkeys(of.hop(payload) for of, (_, payload) in zip(shared, paths, strict=True)))
        entry = UnicastEntry(
            ITEM_FAMILIES[family],
            prefix,
            next_hops=hops,
            virtual_network=hops[0].virtual_network,
            sticky=first.sticky,
            mobility_sequence=first.sequence,
            sequence_number=first.sequence,
            security_groups=first.security_groups,
            community_tags=first.community_tags,
            local_preference=first.local_preference,
            med=first.med,
            load_balance_fields=first.load_balance_fields,
            load_balance_decision=first.load_balance_decision,
        )
        return prefix, entry.to_xml(TABBED)

    def _enet(self, key: bytes, paths: Paths, own: str) -> tuple[str, bytes] | None:
        found = _enet_key(key)
        if found is None:
            return None  # types 1, 3, 4 and 6 never go to agents
        tag, mac, address = found
        attributes = paths[0][0]
        sticky, sequence = _mobility(attributes)
        leaf = any(
            (read := ext_community.read_etree(raw)) is not None and read[0] for raw in attributes.ext_communities
        )
        entry = EnetEntry(
            mac,
            address,
            ethernet_tag=tag,
            group="0.0.0.0",
            source="0.0.0.0",
            next_hops=tuple(dict.fromkeys(self._enet_hop(attributes, payload) for attributes, payload in paths)),
            virtual_network=self.virtual_network(attributes, own),
            sticky=sticky,
            mobility_sequence=sequence,
            sequence_number=sequence,
            security_groups=self.security_groups(attributes),
            local_preference=_local_preference(attributes),
            med=attributes.med or 0,
            etree_leaf=leaf,
        )
        return item_id.enet_id(tag, mac, address), entry.to_xml(TABBED)

    def _enet_hop(self, attributes: Attributes, payload: bytes) -> NextHop:
        communities = attributes.ext_communities
        vxlan = ext_community.is_vxlan(communities)
        macs = [mac for raw in communities if (mac := ext_community.read_router_mac(raw)) is not None]
        return NextHop(
            _address(attributes),
            label=nlri.label(payload, vxlan),
            l3_label=nlri.l3_label(payload, vxlan),
            encapsulations=_encapsulations(communities, True),
            tags=_tags(attributes),
            mac=macs[0].hex(":") if macs else "",
        )

    def virtual_network(self, attributes: Attributes, own: str) -> str:
        """By origin-vn; what the instance itself originated carries no route target yet, and is of its own network."""
        found = origin_vn.read(attributes.ext_communities, self.autonomous_system)
        if found is not None:
            return self._network_name(*found)
        imported = any(ext_community.is_route_target(raw) for raw in attributes.ext_communities)
        return UNRESOLVED if imported else own

    def security_groups(self, attributes: Attributes) -> tuple[int, ...]:
        """Our own and the global ones; none at all when a 4-byte AS other than ours is among them."""
        found = read_all(attributes.ext_communities, ext_community.read_security_group)
        if any(asn > 0xFFFF and asn != self.autonomous_system for asn, _ in found):
            return ()
        return tuple(
            number for asn, number in found if asn == self.autonomous_system or number in GLOBAL_SECURITY_GROUPS
        )


class _Shared:
    """What all routes with one attribute set have in common in their items; read once for a whole batch."""

    __slots__ = (
        "_address",
        "_af",
        "_encapsulations",
        "_tags",
        "_virtual_network",
        "_vxlan",
        "community_tags",
        "load_balance_decision",
        "load_balance_fields",
        "local_preference",
        "med",
        "security_groups",
        "sequence",
        "sticky",
    )

    def __init__(self, encoder: XmppEncoder, attributes: Attributes, own: str) -> None:
        communities = attributes.ext_communities
        self._address = _address(attributes)
        self._af = 2 if len(attributes.next_hop) == 16 else 1
        self._vxlan = ext_community.is_vxlan(communities)
        self._encapsulations = _encapsulations(communities, False), _encapsulations(communities, True)
        self._virtual_network = encoder.virtual_network(attributes, own)
        self._tags = _tags(attributes)
        self.sticky, self.sequence = _mobility(attributes)
        self.load_balance_fields, self.load_balance_decision = _load_balance(attributes)
        self.security_groups = encoder.security_groups(attributes)
        self.community_tags = tuple(community.text(value) for value in attributes.communities)
        self.local_preference = _local_preference(attributes)
        self.med = attributes.med or 0

    def hop(self, payload: bytes) -> NextHop:
        label = nlri.label(payload, self._vxlan)
        return NextHop(
            self._address,
            label=label,
            af=self._af,
            encapsulations=self._encapsulations[bool(label)],
            virtual_network=self._virtual_network,
            tags=self._tags,
        )


def _tags(attributes: Attributes) -> tuple[int, ...]:
    return tuple(value for _, value in read_all(attributes.ext_communities, ext_community.read_tag))


def _encapsulations(communities: Sequence[bytes], needed: bool) -> tuple[str, ...]:
    names = dict.fromkeys("gre" if name == "mpls-o-gre" else name for name in ext_community.encapsulations(communities))
    return tuple(names) or (("gre",) if needed else ())


def _local_preference(attributes: Attributes) -> int:
    return 100 if attributes.local_pref is None else attributes.local_pref


def _mobility(attributes: Attributes) -> tuple[bool, int]:
    for raw in attributes.ext_communities:
        found = ext_community.read_mac_mobility(raw)
        if found is not None:
            return found
    return False, 0


def _load_balance(attributes: Attributes) -> tuple[tuple[str, ...], str]:
    for raw in attributes.ext_communities:
        found = ext_community.read_load_balance(raw)
        if found is not None:
            fields, source_bias = found
            names = tuple(name for name, bit in HASH_FIELDS.items() if fields & bit)
            return names, "source-bias" if source_bias else "field-hash"
    return (), "field-hash"


def _address(attributes: Attributes) -> str:
    """Of the next hop; a path may lack one (reference/bgp.md 2.2)."""
    return str(ip_address(attributes.next_hop)) if attributes.next_hop else ZERO_ADDRESS


def _prefix(family: Family, key: bytes) -> str:
    width = 16 if family is Family.INET6 else 4
    return f"{ip_address(key[1:].ljust(width, bytes(1)))}/{key[0]}"


def _id(family: Family, key: bytes) -> str | None:
    if family is Family.ERM_VPN:
        return tree_id(key)
    if family is not Family.E_VPN:
        return _prefix(family, key)
    found = _enet_key(key)
    return None if found is None else item_id.enet_id(*found)


def _enet_key(key: bytes) -> tuple[int, str, str] | None:
    """(Ethernet tag, MAC, address/length) of an EVPN key of type 2 or 5."""
    tag = int.from_bytes(key[9:13], "big")
    if key[0] == EVPN_MAC:
        bits = key[19]
        return tag, key[13:19].hex(":"), f"{ip_address(key[20:])}/{bits}" if bits else "0.0.0.0/32"
    if key[0] == EVPN_PREFIX:
        return tag, "00:00:00:00:00:00", f"{ip_address(key[14:])}/{key[13]}"
    return None
