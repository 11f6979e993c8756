"""MPLS labels of this router.

Allocated from 16 on to owners (an interface, a composite), or bound by number (multicast trees).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator

from .indices import Indices
from .nexthop import NextHop, NextHops

FIRST_LABEL = 16
MULTICAST_RESERVE = 4098


class Labels:
    """Label -> next hop. `changed(label, next hop or None)` is told.

    The next hop is held while a label points to it.
    """

    __slots__ = ("_changed", "_indices", "_next_hops", "_points_to")

    def __init__(self, next_hops: NextHops, changed: Callable[[int, NextHop | None], None], limit: int) -> None:
        self._next_hops = next_hops
        self._changed = changed
        self._indices: Indices[Hashable] = Indices(FIRST_LABEL, limit)
        self._points_to: dict[int, NextHop] = {}

    def take(self, owner: Hashable) -> int:
        """The owner's label, allocated at need; it leads nowhere until `point`."""
        return self._indices.take(owner)

    def find(self, owner: Hashable) -> int | None:
        return self._indices.find(owner)

    def point(self, label: int, next_hop: NextHop) -> None:
        """Have packets with this label go to `next_hop`."""
        old = self._points_to.get(label)
        if old == next_hop:
            return
        self._next_hops.hold(next_hop)
        self._points_to[label] = next_hop
        self._changed(label, next_hop)
        if old is not None:
            self._next_hops.release(old)

    def unpoint(self, label: int) -> None:
        old = self._points_to.pop(label, None)
        if old is not None:
            self._changed(label, None)
            self._next_hops.release(old)

    def release(self, owner: Hashable) -> None:
        """The owner is gone, its label with it."""
        label = self._indices.release(owner)
        if label is not None:
            self.unpoint(label)

    def next_hop(self, label: int) -> NextHop | None:
        return self._points_to.get(label)

    def __iter__(self) -> Iterator[Hashable]:
        """The owners."""
        return iter(list(self._indices))

    def rows(self) -> list[tuple[int, NextHop]]:
        return sorted(self._points_to.items())


def multicast_range(index: int, max_labels: int, max_vrfs: int) -> tuple[int, int]:
    """The first and last label control node `index` may use for trees.

    Blocks from the top of the space (reference/agent.md 2).
    """
    room = max_labels - MULTICAST_RESERVE
    count = max_vrfs if 2 * max_vrfs + MULTICAST_RESERVE < max_labels else room // 2
    return max_labels - (index + 1) * count, max_labels - index * count - 1
