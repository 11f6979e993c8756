"""What an item carries: one immutable class per type, rendered to its `entry` element (reference/xmpp.md 2.3, 2.4).

Rendering builds text, not a tree: it is the hot path of a control node. `item_reader` does the reading.
"""

from functools import lru_cache
from typing import Any, Final, NamedTuple

from lxml import etree

from . import item_reader
from .family import ItemFamily
from .next_hop import (
    COMPACT,
    MEMO,
    TABBED,
    Layout,
    NextHop,
    OlistNextHop,
    enet_next_hops,
    olist,
    olist_next_hop,
    repeated,
    unicast_next_hops,
)
from .text import escape

__all__ = [
    "COMPACT",
    "TABBED",
    "EnetEntry",
    "Entry",
    "Layout",
    "McastEntry",
    "MvpnEntry",
    "NextHop",
    "OlistNextHop",
    "UnicastEntry",
]

ZERO_ADDRESS: Final = "0.0.0.0"


class UnicastEntry(NamedTuple):
    """ItemType: inet (1/1), labelled inet (1/4) and inet6 (2/1)."""

    family: ItemFamily
    address: str
    """`prefix/length`."""
    next_hops: tuple[NextHop, ...] = ()
    version: int = 1
    virtual_network: str = ""
    sticky: bool = False
    mobility_sequence: int = 0
    sequence_number: int = 0
    """The old form of `mobility@seqno`."""
    security_groups: tuple[int, ...] = ()
    community_tags: tuple[str, ...] = ()
    local_preference: int = 0
    med: int = 0
    load_balance_fields: tuple[str, ...] = ()
    load_balance_decision: str = "field-hash"
    sub_protocol: str = "interface"

    @property
    def effective_sequence(self) -> int:
        """The mobility sequence number that counts: `mobility@seqno` unless it is 0."""
        return self.mobility_sequence or self.sequence_number

    @staticmethod
    def from_xml(entry: etree._Element, family: ItemFamily) -> "UnicastEntry":
        """Syntax only (see item_rules for each side's rules). Raises ItemError."""
        found: tuple[Any, ...] = item_reader.read_unicast(entry)
        return UnicastEntry(family, *found)

    def to_xml(self, layout: Layout = COMPACT) -> bytes:
        """The element `entry`; with TABBED as a control node lays it out."""
        before, after = _unicast_frame(self.family.text, self[2:], layout)
        return before + escape(self.address).encode() + after


@lru_cache(MEMO)
def _unicast_frame(family: str, rest: tuple[Any, ...], layout: Layout) -> tuple[bytes, bytes]:
    """What stands before and after the address of a unicast item: the same for all that share their attributes."""
    item = UnicastEntry(ItemFamily.INET, "", *rest)
    hops = unicast_next_hops(item.next_hops, layout)
    behind = f"</address>{layout.one}</nlri>{hops}{unicast_rest(item, layout)}"
    return unicast_start(family, layout).encode(), behind.encode()


@lru_cache(MEMO)
def unicast_start(family: str, layout: Layout) -> str:
    """What stands before the address of a unicast item."""
    afi, _, safi = family.partition("/")
    entry, one, two, _, _, _ = layout
    return f"{entry}<entry>{one}<nlri>{two}<af>{afi}</af>{two}<safi>{safi}</safi>{two}<address>"


def unicast_rest(item: UnicastEntry, layout: Layout) -> str:
    """What follows the next hops of a unicast item."""
    entry, one, _, _, _, _ = layout
    return (
        f"{one}<version>{item.version}</version>"
        f"{one}<virtual-network>{escape(item.virtual_network)}</virtual-network>"
        f'{one}<mobility sticky="{_boolean(item.sticky)}" seqno="{item.mobility_sequence}" />'
        f"{one}<sequence-number>{item.sequence_number}</sequence-number>"
        f"{_security_groups(item.security_groups, layout)}{_community_tags(item.community_tags, layout)}"
        f"{one}<local-preference>{item.local_preference}</local-preference>{one}<med>{item.med}</med>"
        f"{_load_balance(item.load_balance_fields, item.load_balance_decision, layout)}"
        f"{one}<sub-protocol>{escape(item.sub_protocol)}</sub-protocol>{entry}</entry>"
    )


@lru_cache(MEMO)
def _security_groups(groups: tuple[int, ...], layout: Layout) -> str:
    return repeated("security-group-list", "security-group", groups, layout.one, layout.two)


@lru_cache(MEMO)
def _community_tags(tags: tuple[str, ...], layout: Layout) -> str:
    return repeated("community-tag-list", "community-tag", tuple(map(escape, tags)), layout.one, layout.two)


@lru_cache(MEMO)
def _load_balance(fields: tuple[str, ...], decision: str, layout: Layout) -> str:
    _, one, two, three, _, _ = layout
    names = tuple(map(escape, fields))
    return (
        f"{one}<load-balance>{repeated('load-balance-fields', 'load-balance-field-list', names, two, three)}"
        f"{two}<load-balance-decision>{escape(decision)}</load-balance-decision>{one}</load-balance>"
    )


class EnetEntry(NamedTuple):
    """EnetItemType: EVPN (25/242). `group` and `source` stay empty in what an agent publishes for ordinary routes."""

    mac: str
    address: str
    """`address/length`, or empty."""
    ethernet_tag: int = 0
    group: str = ""
    source: str = ""
    flags: int = 0
    next_hops: tuple[NextHop, ...] = ()
    olist: tuple[NextHop, ...] = ()
    virtual_network: str = ""
    sticky: bool = False
    mobility_sequence: int = 0
    sequence_number: int = 0
    security_groups: tuple[int, ...] = ()
    local_preference: int = 0
    med: int = 0
    edge_replication_not_supported: bool = False
    assisted_replication_supported: bool = False
    leaf_olist: tuple[NextHop, ...] = ()
    replicator_address: str = ""
    etree_leaf: bool = False

    @property
    def family(self) -> ItemFamily:
        return ItemFamily.E_VPN

    @property
    def effective_sequence(self) -> int:
        """The mobility sequence number that counts: `mobility@seqno` unless it is 0."""
        return self.mobility_sequence or self.sequence_number

    @staticmethod
    def from_xml(entry: etree._Element) -> "EnetEntry":
        """Syntax only (see item_rules for each side's rules). Raises ItemError."""
        found: tuple[Any, ...] = item_reader.read_enet(entry)
        return EnetEntry(*found)

    def to_xml(self, layout: Layout = COMPACT) -> bytes:
        """The element `entry`; with TABBED as a control node lays it out."""
        return enet_nlri(self, layout).encode() + _enet_frame(self[6:], layout)


def enet_nlri(item: EnetEntry, layout: Layout) -> str:
    """What stands before the next hops of an EVPN item."""
    entry, one, two, _, _, _ = layout
    return (
        f"{entry}<entry>{one}<nlri>{two}<af>25</af>{two}<safi>242</safi>"
        f"{two}<ethernet-tag>{item.ethernet_tag}</ethernet-tag>{two}<mac>{escape(item.mac)}</mac>"
        f"{two}<address>{escape(item.address)}</address>{two}<group>{escape(item.group)}</group>"
        f"{two}<source>{escape(item.source)}</source>{two}<flags>{item.flags}</flags>{one}</nlri>"
    )


@lru_cache(MEMO)
def _enet_frame(rest: tuple[Any, ...], layout: Layout) -> bytes:
    """What follows the nlri of an EVPN item: the same for all that share their attributes."""
    item = EnetEntry("", "", 0, "", "", 0, *rest)
    return f"{enet_next_hops('next-hops', item.next_hops, layout)}{enet_rest(item, layout)}".encode()


def enet_rest(item: EnetEntry, layout: Layout) -> str:
    """What follows the next hops of an EVPN item."""
    entry, one, _, _, _, _ = layout
    return (
        f"{enet_next_hops('olist', item.olist, layout)}"
        f"{one}<virtual-network>{escape(item.virtual_network)}</virtual-network>"
        f'{one}<mobility sticky="{_boolean(item.sticky)}" seqno="{item.mobility_sequence}" />'
        f"{one}<sequence-number>{item.sequence_number}</sequence-number>"
        f"{_security_groups(item.security_groups, layout)}"
        f"{one}<local-preference>{item.local_preference}</local-preference>{one}<med>{item.med}</med>"
        f"{one}<edge-replication-not-supported>{_boolean(item.edge_replication_not_supported)}"
        f"</edge-replication-not-supported>"
        f"{one}<assisted-replication-supported>{_boolean(item.assisted_replication_supported)}"
        f"</assisted-replication-supported>"
        f"{enet_next_hops('leaf-olist', item.leaf_olist, layout)}"
        f"{one}<replicator-address>{escape(item.replicator_address)}</replicator-address>"
        f"{one}<etree-leaf>{_boolean(item.etree_leaf)}</etree-leaf>{entry}</entry>"
    )


class McastEntry(NamedTuple):
    """McastItemType: ERMVPN (1/241), the broadcast and multicast trees of a virtual network."""

    group: str
    source: str = ZERO_ADDRESS
    source_label: int = 0
    """The label the agent itself must accept (control node to agent)."""
    source_address: str = ""
    next_hops: tuple[OlistNextHop, ...] = ()
    olist: tuple[OlistNextHop, ...] = ()

    @property
    def family(self) -> ItemFamily:
        return ItemFamily.ERM_VPN

    @staticmethod
    def from_xml(entry: etree._Element) -> "McastEntry":
        """Syntax only (see item_rules for each side's rules). Raises ItemError."""
        found: tuple[Any, ...] = item_reader.read_mcast(entry)
        return McastEntry(*found)

    def to_xml(self, layout: Layout = COMPACT) -> bytes:
        """The element `entry`; with TABBED as a control node lays it out."""
        entry, one, two, _, _, _ = layout
        return (
            f"{entry}<entry>{one}<nlri>{two}<af>1</af>{two}<safi>241</safi>{two}<group>{escape(self.group)}</group>"
            f"{two}<source>{escape(self.source)}</source>{two}<source-label>{self.source_label}</source-label>"
            f"{two}<source-address>{escape(self.source_address)}</source-address>{one}</nlri>"
            f"{olist('next-hops', self.next_hops, layout)}{olist('olist', self.olist, layout)}{entry}</entry>"
        ).encode()


class MvpnEntry(NamedTuple):
    """MvpnItemType: MVPN (1/5); route type 7 (source tree join) or 5 (source active)."""

    group: str
    source: str
    route_type: int = 7
    next_hop: OlistNextHop = OlistNextHop("", "0", (), 0)
    """A single one, not a list."""
    olist: tuple[OlistNextHop, ...] = ()

    @property
    def family(self) -> ItemFamily:
        return ItemFamily.MVPN

    @staticmethod
    def from_xml(entry: etree._Element) -> "MvpnEntry":
        """Syntax only (see item_rules for each side's rules). Raises ItemError."""
        found: tuple[Any, ...] = item_reader.read_mvpn(entry)
        return MvpnEntry(*found)

    def to_xml(self, layout: Layout = COMPACT) -> bytes:
        """The element `entry`; with TABBED as a control node lays it out."""
        entry, one, two, three, _, _ = layout
        return (
            f"{entry}<entry>{one}<nlri>{two}<af>1</af>{two}<safi>5</safi>{two}<group>{escape(self.group)}</group>"
            f"{two}<source>{escape(self.source)}</source>{two}<route-type>{self.route_type}</route-type>{one}</nlri>"
            f"{olist_next_hop(self.next_hop, one, two, three)}{olist('olist', self.olist, layout)}{entry}</entry>"
        ).encode()


Entry = UnicastEntry | EnetEntry | McastEntry | MvpnEntry


def _boolean(value: bool) -> str:
    return "true" if value else "false"
