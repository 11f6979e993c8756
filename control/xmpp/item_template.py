"""Items of many routes that share their attributes, as a control node writes them: all that is the same for the routes
of one attribute set is rendered once, and one `join` makes an item of it (reference/xmpp.md 2.4).

The bytes are those of `items` and `pubsub.items_body`.
"""

from __future__ import annotations

from collections.abc import Iterable

from . import items, next_hop
from .items import TABBED, EnetEntry, NextHop, UnicastEntry
from .pubsub import BEHIND_ID, ITEM, ITEM_END
from .text import escape


class HopTemplate:
    """A next hop without its label; two of the same text and label are one next hop to an agent."""

    __slots__ = ("_before", "_behind", "_between")

    def __init__(self, hop: NextHop, evpn: bool) -> None:
        """The labels in `hop` do not count."""
        texts = next_hop.enet_hop(hop, TABBED) if evpn else next_hop.unicast_hop(hop, TABBED)
        self._before, self._between, self._behind = (text.encode() for text in texts)

    def unicast(self, label: int) -> bytes:
        return b"%b%d%b" % (self._before, label, self._behind)

    def enet(self, label: int, l3_label: int) -> bytes:
        return b"%b%d%b%d%b" % (self._before, label, self._between, l3_label, self._behind)


class UnicastTemplate:
    """Unicast items that differ in prefix and next hops only."""

    __slots__ = ("_behind_address", "_behind_id", "_end")

    def __init__(self, entry: UnicastEntry) -> None:
        """The address and the next hops in `entry` do not count."""
        one = TABBED.one
        self._behind_id = BEHIND_ID + items.unicast_start(entry.family.text, TABBED).encode()
        self._behind_address = f"</address>{one}</nlri>{one}<next-hops>".encode()
        self._end = f"{one}</next-hops>{items.unicast_rest(entry, TABBED)}".encode() + ITEM_END

    def item(self, prefix: str, hops: Iterable[bytes]) -> bytes:
        """The whole element; `prefix` is printed `address/length`, `hops` at least one text of a HopTemplate."""
        address = prefix.encode()
        return b"".join((ITEM, address, self._behind_id, address, self._behind_address, *hops, self._end))


class EnetTemplate:
    """EVPN items that differ in what they reach (tag, MAC, address) and in next hops only."""

    __slots__ = ("_before_hops", "_end")

    def __init__(self, entry: EnetEntry) -> None:
        """All before the next hops, and these themselves, do not count in `entry`."""
        one = TABBED.one
        self._before_hops = f"{one}<next-hops>".encode()
        self._end = f"{one}</next-hops>{items.enet_rest(entry, TABBED)}".encode() + ITEM_END

    def item(self, ident: str, entry: EnetEntry, hops: Iterable[bytes]) -> bytes:
        """The whole element; of `entry` only the part before the next hops counts, `hops` is at least one text of a
        HopTemplate."""
        nlri = items.enet_nlri(entry, TABBED).encode()
        return b"".join((ITEM, escape(ident).encode(), BEHIND_ID, nlri, self._before_hops, *hops, self._end))
