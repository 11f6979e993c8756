"""Next hops of items: the type of unicast and EVPN items, and the type of multicast items, whose label is text.

Rendering follows the schema order; every scalar is written even when 0 or empty (reference/xmpp.md 2.3).
"""

from functools import lru_cache
from typing import Final, NamedTuple

from .text import escape

MEMO: Final = 512
"""How many rendered texts of a kind are remembered: routes that have much in common come one after the other."""


class Layout(NamedTuple):
    """What stands before an element at each depth below `entry`: nothing, or a newline and tabs."""

    entry: str
    one: str
    two: str
    three: str
    four: str
    five: str

    @staticmethod
    def tabbed(depth: int) -> "Layout":
        """pugixml's layout with `entry` at `depth` tabs."""
        first, second, third, fourth, fifth, sixth = ("\n" + "\t" * (depth + below) for below in range(6))
        return Layout(first, second, third, fourth, fifth, sixth)


COMPACT = Layout("", "", "", "", "", "")
TABBED = Layout.tabbed(4)
"""Inside a control node's message: message, event, items, item, entry."""


class NextHop(NamedTuple):
    """Next hop of a unicast or an EVPN item. `l3_label` is EVPN's, `vni` and `virtual_network` are unicast's."""

    address: str
    label: int = 0
    encapsulations: tuple[str, ...] = ()
    """Names of the wire: `gre`, `udp`, `vxlan`, …"""
    virtual_network: str = ""
    tags: tuple[int, ...] = ()
    mac: str = ""
    vni: int = 0
    l3_label: int = 0
    local_sequence_number: int = 0
    af: int = 1


class OlistNextHop(NamedTuple):
    """Next hop of an ERMVPN or MVPN item. `label` is text: a range `lo-hi` from an agent, a number towards it."""

    address: str
    label: str = ""
    encapsulations: tuple[str, ...] = ()
    af: int = 1

    @property
    def label_range(self) -> tuple[int, int] | None:
        """(low, high) of an agent's label range, None unless both are non-zero integers and low <= high."""
        low, dash, high = self.label.partition("-")
        if not dash or not _is_number(low) or not _is_number(high):
            return None
        first, last = int(low), int(high)
        return (first, last) if 0 < first <= last else None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 11


def repeated(name: str, member: str, values: tuple[object, ...], outer: str, inner: str) -> str:
    """A list element that wraps its members; self-closed when there are none."""
    if not values:
        return f"{outer}<{name} />"
    body = "".join([f"{inner}<{member}>{value}</{member}>" for value in values])
    return f"{outer}<{name}>{body}{outer}</{name}>"


@lru_cache(MEMO)
def encapsulation_list(values: tuple[str, ...], outer: str, inner: str) -> str:
    return repeated("tunnel-encapsulation-list", "tunnel-encapsulation", tuple(map(escape, values)), outer, inner)


@lru_cache(MEMO)
def _tag_list(values: tuple[int, ...], outer: str, inner: str) -> str:
    return repeated("tag-list", "tag", values, outer, inner)


class HopTexts(NamedTuple):
    """One `next-hop` in three texts with its label, and for EVPN its L3 label, between them.

    Most routes of one attribute set differ in their labels alone. EVPN's `behind` begins after the L3 label, that of a
    unicast hop after the label; there `between` is empty.
    """

    before: str
    between: str
    behind: str


def unicast_hop(hop: NextHop, layout: Layout) -> HopTexts:
    """Next hop of a unicast item; `hop.label` does not count."""
    _, _, two, three, four, _ = layout
    before = (
        f"{two}<next-hop>{three}<af>{hop.af}</af>{three}<address>{escape(hop.address)}</address>"
        f"{three}<mac>{escape(hop.mac)}</mac>{three}<label>"
    )
    behind = (
        f"</label>{three}<vni>{hop.vni}</vni>{encapsulation_list(hop.encapsulations, three, four)}"
        f"{three}<virtual-network>{escape(hop.virtual_network)}</virtual-network>{_tag_list(hop.tags, three, four)}"
        f"{three}<local-sequence-number>{hop.local_sequence_number}</local-sequence-number>{two}</next-hop>"
    )
    return HopTexts(before, "", behind)


def enet_hop(hop: NextHop, layout: Layout) -> HopTexts:
    """Next hop of an EVPN item; its two labels do not count."""
    _, _, two, three, four, _ = layout
    before = (
        f"{two}<next-hop>{three}<af>{hop.af}</af>{three}<address>{escape(hop.address)}</address>"
        f"{three}<mac>{escape(hop.mac)}</mac>{three}<label>"
    )
    behind = (
        f"</l3-label>{encapsulation_list(hop.encapsulations, three, four)}{_tag_list(hop.tags, three, four)}"
        f"{three}<local-sequence-number>{hop.local_sequence_number}</local-sequence-number>{two}</next-hop>"
    )
    return HopTexts(before, f"</label>{three}<l3-label>", behind)


def unicast_next_hops(hops: tuple[NextHop, ...], layout: Layout) -> str:
    """The element `next-hops` of a unicast item."""
    one = layout.one
    if not hops:
        return f"{one}<next-hops />"
    parts = []
    for hop in hops:
        before, _, behind = unicast_hop(hop, layout)
        parts.append(f"{before}{hop.label}{behind}")
    return f"{one}<next-hops>{''.join(parts)}{one}</next-hops>"


def enet_next_hops(name: str, hops: tuple[NextHop, ...], layout: Layout) -> str:
    """The element `next-hops`, `olist` or `leaf-olist` of an EVPN item."""
    one = layout.one
    if not hops:
        return f"{one}<{name} />"
    parts = []
    for hop in hops:
        before, between, behind = enet_hop(hop, layout)
        parts.append(f"{before}{hop.label}{between}{hop.l3_label}{behind}")
    return f"{one}<{name}>{''.join(parts)}{one}</{name}>"


def olist_next_hop(hop: OlistNextHop, outer: str, inner: str, innermost: str) -> str:
    """One `next-hop` of an ERMVPN or MVPN item."""
    return (
        f"{outer}<next-hop>{inner}<af>{hop.af}</af>{inner}<address>{escape(hop.address)}</address>"
        f"{inner}<label>{escape(hop.label)}</label>"
        f"{encapsulation_list(hop.encapsulations, inner, innermost)}{outer}</next-hop>"
    )


def olist(name: str, hops: tuple[OlistNextHop, ...], layout: Layout) -> str:
    """The element `next-hops` or `olist` of an ERMVPN or MVPN item."""
    _, one, two, three, four, _ = layout
    if not hops:
        return f"{one}<{name} />"
    return f"{one}<{name}>{''.join([olist_next_hop(hop, two, three, four) for hop in hops])}{one}</{name}>"
