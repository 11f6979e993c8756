"""A path -> the next hop and label packets take (reference/agent.md 4)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from .nexthop import Ecmp, Encap, Member, NextHop, Resolve, Tunnel
from .path import NO_LABEL, Hop, Path

PHYSICAL_VIF = 0
_FALLBACK = (Encap.GRE, Encap.UDP, Encap.VXLAN, Encap.NATIVE, Encap.MPLS)
_NAMES = {"gre": Encap.GRE, "mplsogre": Encap.GRE, "udp": Encap.UDP, "vxlan": Encap.VXLAN, "native": Encap.NATIVE,
          "mpls": Encap.MPLS}  # fmt: skip


class Resolved(NamedTuple):
    next_hop: NextHop
    label: int = NO_LABEL
    encap: Encap | None = None


class Resolver:
    """Where hops lead for one router.

    `priorities` are global-vrouter-config's; `local_label` finds what a label of ours is.
    """

    __slots__ = ("default", "local_label", "priorities", "router_id")

    def __init__(self, router_id: int, default: Encap, local_label: Callable[[int], NextHop | None]) -> None:
        self.router_id = router_id
        self.default = default
        self.local_label = local_label
        self.priorities: tuple[Encap, ...] = ()

    def resolve(self, path: Path, fabric: bool = False, previous: NextHop | None = None) -> Resolved | None:
        """None when the path leads nowhere: an own label that nobody has, no next hop at all."""
        if path.local is not None:
            return Resolved(path.local.next_hop)
        found = [hit for hop in path.hops if (hit := self._hop(hop, fabric)) is not None]
        if not found:
            return None
        if len(found) == 1 and not isinstance(previous, Ecmp):
            return found[0]
        members = tuple(dict.fromkeys(member for hit in found for member in _members(hit)))
        if len(members) == 1:
            return found[0]
        return Resolved(Ecmp(merge(previous, members)), NO_LABEL, found[0].encap)

    def encap(self, offered: tuple[Encap, ...]) -> Encap:
        """The tunnel to use for a hop that offers these."""
        for encap in self.priorities:
            if encap in offered:
                return encap
        for encap in _FALLBACK:
            if encap in offered:
                return encap
        return self.default

    def _hop(self, hop: Hop, fabric: bool) -> Resolved | None:
        if hop.address == self.router_id:
            local = self.local_label(hop.label)
            return None if local is None else Resolved(local)
        if fabric and not hop.label:
            return Resolved(Resolve(PHYSICAL_VIF))
        encap = self.encap(hop.encaps)
        return Resolved(Tunnel(self.router_id, hop.address, encap), hop.label, encap)


def _members(hit: Resolved) -> tuple[Member, ...]:
    """An own label that leads to several local machines counts as all of them."""
    if isinstance(hit.next_hop, Ecmp):
        return tuple(member for member in hit.next_hop.members if member is not None)
    return (Member(hit.next_hop, hit.label),)


def encaps(names: tuple[str, ...]) -> tuple[Encap, ...]:
    """The encapsulations an item names, unknown ones left out."""
    return tuple(dict.fromkeys(_NAMES[name.lower()] for name in names if name.lower() in _NAMES))


def merge(previous: NextHop | None, wanted: tuple[Member, ...]) -> tuple[Member | None, ...]:
    """Members of an ECMP composite: those that stay keep their place, holes are filled first, the tail has no holes."""
    places: list[Member | None] = list(previous.members) if isinstance(previous, Ecmp) else []
    places = [member if member in wanted else None for member in places]
    for member in wanted:
        if member in places:
            continue
        if None in places:
            places[places.index(None)] = member
        else:
            places.append(member)
    while places and places[-1] is None:
        places.pop()
    return tuple(places)
