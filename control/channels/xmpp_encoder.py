"""What a route becomes for an agent: an item with all its ECMP next hops, rendered once per update group
(reference/xmpp.md 2.4)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import ip_address
from socket import inet_ntoa
from typing import NamedTuple, TypeVar

from contrail_emulator.control.bgp import community, ext_community, nlri
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import GroupKey, origin_vn
from contrail_emulator.control.routing.olist import Olist
from contrail_emulator.control.xmpp import item_id, pubsub
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.item_template import EnetTemplate, HopTemplate, UnicastTemplate
from contrail_emulator.control.xmpp.items import ZERO_ADDRESS, EnetEntry, NextHop, UnicastEntry

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
LABEL_SHIFT = 4
"""Below an MPLS label in its three bytes; a VNI fills them."""
LABEL_BYTES = 3
MEMO = 512
"""Lists of extended communities whose reading is remembered: many attribute sets have the same."""

Found = TypeVar("Found")
Paths = tuple[tuple[Attributes, bytes], ...]
NetworkName = Callable[[int, int], str]
InstanceNetwork = Callable[[str], str]
_ZERO = bytes(1)


class XmppEncoder:
    """Renders message bodies; the header with `to` is each member's own.

    `network_name(asn, index)` gives the virtual network behind an origin-vn, `unresolved` when unknown;
    `instance_network(name)` that of a routing instance.
    """

    joins = False
    build_errors = 0

    def __init__(self, autonomous_system: int, network_name: NetworkName, instance_network: InstanceNetwork) -> None:
        self.autonomous_system = autonomous_system
        self._network_name = network_name
        self._instance_network = instance_network

    def reach(
        self, table: str, family: Family, instance: str, group: GroupKey, routes: Sequence[tuple[bytes, Paths]]
    ) -> list[bytes]:
        """Message bodies for routes that share their attribute sets, at most 32 items each."""
        own = self._instance_network(instance) or UNRESOLVED
        shared = [_Shared(self, attributes, own, family is Family.E_VPN) for attributes, _ in routes[0][1]]
        items = _enet_items(routes, shared) if family is Family.E_VPN else _unicast_items(family, routes, shared)
        return _bodies(family, instance, items)

    def reach_single(
        self, family: Family, instance: str, attributes: Attributes, routes: Sequence[tuple[bytes, bytes]]
    ) -> list[bytes]:
        """The same of routes with one path each, (key, payload) pairs: nearly all are so, and it is done faster."""
        own = self._instance_network(instance) or UNRESOLVED
        shared = _Shared(self, attributes, own, family is Family.E_VPN)
        if family is Family.E_VPN:
            items = _enet_items([(key, ((attributes, payload),)) for key, payload in routes], [shared])
        else:
            items = _single_items(family, routes, shared)
        return _bodies(family, instance, items)

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

    def virtual_network(self, attributes: Attributes, own: str) -> str:
        """By origin-vn; what the instance itself originated carries no route target yet, and is of its own network."""
        return self.network_of(self.read(attributes), own)

    def network_of(self, values: _Values, own: str) -> str:
        """The same, of extended communities that are read already."""
        if values.origin is not None:
            return self._network_name(*values.origin)
        return UNRESOLVED if values.imported else own

    def read(self, attributes: Attributes) -> _Values:
        """What the extended communities say."""
        return _read(attributes.ext_communities, self.autonomous_system)


class _Values(NamedTuple):
    """What an item says of a list of extended communities."""

    encapsulations: tuple[str, ...]
    vxlan: bool
    origin: tuple[int, int] | None
    """(AS, network index) of the origin-vn."""
    imported: bool
    """Whether a route target is there."""
    security_groups: tuple[int, ...]
    tags: tuple[int, ...]
    sticky: bool
    sequence: int
    load_balance_fields: tuple[str, ...]
    load_balance_decision: str
    router_mac: str
    etree_leaf: bool


@lru_cache(MEMO)
def _read(communities: tuple[bytes, ...], asn: int) -> _Values:
    names = ("gre" if name == "mpls-o-gre" else name for name in ext_community.encapsulations(communities))
    sticky, sequence = _first(communities, ext_community.read_mac_mobility) or (False, 0)
    fields, source_bias = _first(communities, ext_community.read_load_balance) or (0, False)
    mac = _first(communities, ext_community.read_router_mac)
    return _Values(
        encapsulations=tuple(dict.fromkeys(names)),
        vxlan=ext_community.is_vxlan(communities),
        origin=origin_vn.read(communities, asn),
        imported=any(map(ext_community.is_route_target, communities)),
        security_groups=_security_groups(communities, asn),
        tags=tuple(value for _, value in read_all(communities, ext_community.read_tag)),
        sticky=sticky,
        sequence=sequence,
        load_balance_fields=tuple(name for name, bit in HASH_FIELDS.items() if fields & bit),
        load_balance_decision="source-bias" if source_bias else "field-hash",
        router_mac="" if mac is None else mac.hex(":"),
        etree_leaf=any((found := ext_community.read_etree(raw)) is not None and found[0] for raw in communities),
    )


def _first(communities: Iterable[bytes], read: Callable[[bytes], Found | None]) -> Found | None:
    for raw in communities:
        found = read(raw)
        if found is not None:
            return found
    return None


def _security_groups(communities: Sequence[bytes], own: int) -> tuple[int, ...]:
    """Our own and the global ones; none at all when a 4-byte AS other than ours is among them."""
    found = read_all(communities, ext_community.read_security_group)
    if any(asn > 0xFFFF and asn != own for asn, _ in found):
        return ()
    return tuple(number for asn, number in found if asn == own or number in GLOBAL_SECURITY_GROUPS)


class _Shared:
    """What all routes with one attribute set have in common in their items; read once for a whole batch."""

    __slots__ = ("_evpn", "_labelled", "_unlabelled", "attributes", "network", "values")

    def __init__(self, encoder: XmppEncoder, attributes: Attributes, own: str, evpn: bool) -> None:
        self.attributes = attributes
        self.values = encoder.read(attributes)
        self.network = encoder.network_of(self.values, own)
        self._evpn = evpn
        self._labelled: HopTemplate | None = None
        self._unlabelled: HopTemplate | None = None

    def unicast_hop(self, payload: bytes) -> bytes:
        label = nlri.label(payload, self.values.vxlan)
        return self.unicast_template(label).unicast(label)

    def unicast_template(self, label: int) -> HopTemplate:
        if label:
            template = self._labelled = self._labelled or self._template(True)
        else:
            template = self._unlabelled = self._unlabelled or self._template(False)
        return template

    def enet_hop(self, payload: bytes) -> bytes:
        vxlan = self.values.vxlan
        template = self._labelled = self._labelled or self._template(True)
        return template.enet(nlri.label(payload, vxlan), nlri.l3_label(payload, vxlan))

    def _template(self, encapsulated: bool) -> HopTemplate:
        """`encapsulated`: without any encapsulation, GRE is named."""
        values = self.values
        return HopTemplate(
            NextHop(
                _address(self.attributes),
                af=2 if len(self.attributes.next_hop) == 16 and not self._evpn else 1,
                encapsulations=values.encapsulations or (("gre",) if encapsulated else ()),
                virtual_network=self.network,
                tags=values.tags,
                mac=values.router_mac if self._evpn else "",
            ),
            self._evpn,
        )


def _bodies(family: Family, instance: str, items: list[bytes]) -> list[bytes]:
    node = ITEM_FAMILIES[family].node(instance)
    return [pubsub.written_items_body(node, items[at : at + MAX_ITEMS]) for at in range(0, len(items), MAX_ITEMS)]


def _unicast_template(family: Family, shared: _Shared) -> UnicastTemplate:
    attributes, values = shared.attributes, shared.values
    return UnicastTemplate(
        UnicastEntry(
            ITEM_FAMILIES[family],
            "",
            virtual_network=shared.network,
            sticky=values.sticky,
            mobility_sequence=values.sequence,
            sequence_number=values.sequence,
            security_groups=values.security_groups,
            community_tags=tuple(map(community.text, attributes.communities)),
            local_preference=_local_preference(attributes),
            med=attributes.med or 0,
            load_balance_fields=values.load_balance_fields,
            load_balance_decision=values.load_balance_decision,
        )
    )


def _single_items(family: Family, routes: Sequence[tuple[bytes, bytes]], shared: _Shared) -> list[bytes]:
    """The loop that every route an agent hears of goes through: nothing in it is called that need not be."""
    item = _unicast_template(family, shared).item
    shift = 0 if shared.values.vxlan else LABEL_SHIFT
    inet6 = family is Family.INET6
    labelled: Callable[[int], bytes] | None = None
    items = []
    for key, payload in routes:
        label = int.from_bytes(payload, "big") >> shift if len(payload) == LABEL_BYTES else 0
        if not label:
            hop = shared.unicast_hop(payload)
        else:
            if labelled is None:
                labelled = shared.unicast_template(label).unicast
            hop = labelled(label)
        prefix = _prefix(family, key) if inet6 else f"{inet_ntoa(key[1:].ljust(4, _ZERO))}/{key[0]}"
        items.append(item(prefix, (hop,)))
    return items


def _unicast_items(family: Family, routes: Sequence[tuple[bytes, Paths]], shared: Sequence[_Shared]) -> list[bytes]:
    item = _unicast_template(family, shared[0]).item
    hops = [of.unicast_hop for of in shared]
    return [
        item(_prefix(family, key), dict.fromkeys(hop(payload) for hop, (_, payload) in zip(hops, paths, strict=True)))
        for key, paths in routes
    ]


def _enet_items(routes: Sequence[tuple[bytes, Paths]], shared: Sequence[_Shared]) -> list[bytes]:
    """Types 1, 3, 4 and 6 never go to agents."""
    first = shared[0]
    attributes, values = first.attributes, first.values
    entry = EnetEntry(
        "",
        "",
        group=ZERO_ADDRESS,
        source=ZERO_ADDRESS,
        virtual_network=first.network,
        sticky=values.sticky,
        mobility_sequence=values.sequence,
        sequence_number=values.sequence,
        security_groups=values.security_groups,
        local_preference=_local_preference(attributes),
        med=attributes.med or 0,
        etree_leaf=values.etree_leaf,
    )
    template = EnetTemplate(entry)
    items = []
    for key, paths in routes:
        found = _enet_key(key)
        if found is not None:
            tag, mac, address = found
            hops = dict.fromkeys(of.enet_hop(payload) for of, (_, payload) in zip(shared, paths, strict=True))
            reached = EnetEntry(mac, address, tag, ZERO_ADDRESS, ZERO_ADDRESS)
            items.append(template.item(item_id.enet_id(tag, mac, address), reached, hops))
    return items


def _local_preference(attributes: Attributes) -> int:
    return 100 if attributes.local_pref is None else attributes.local_pref


def _address(attributes: Attributes) -> str:
    """Of the next hop; a path may lack one (reference/bgp.md 2.2)."""
    raw = attributes.next_hop
    if len(raw) == 4:
        return inet_ntoa(raw)
    return str(ip_address(raw)) if raw else ZERO_ADDRESS


def _prefix(family: Family, key: bytes) -> str:
    if family is Family.INET6:
        return f"{ip_address(key[1:].ljust(16, _ZERO))}/{key[0]}"  # inet_ntop writes some addresses in another way
    return f"{inet_ntoa(key[1:].ljust(4, _ZERO))}/{key[0]}"


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
