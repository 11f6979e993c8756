"""Next hops as values: what a route points to.

Equal values share one index while anything holds it (reference/agent.md 6, 7).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

from .indices import Indices

DISCARD_INDEX = 0
L2_RECEIVE_INDEX = 2
FIRST_INDEX = 3  # 1 is the real agent's second discard, for reverse-path failures


class Encap(Enum):
    """Tunnel encapsulations, by the names XMPP items use (reference/agent.md 4)."""

    GRE = "gre"
    UDP = "udp"
    VXLAN = "vxlan"
    NATIVE = "native"
    MPLS = "mpls"


class FloodKind(Enum):
    """The composites a broadcast is copied through (reference/agent.md 15)."""

    BROADCAST = "l2comp"
    EVPN = "evpn"
    FABRIC = "fabric"
    LOCAL = "l2interface"


@dataclass(frozen=True, slots=True)
class Discard:
    pass


@dataclass(frozen=True, slots=True)
class L2Receive:
    pass


@dataclass(frozen=True, slots=True)
class Receive:
    """To the host itself, through interface `vif`."""

    vif: int
    policy: bool = False


@dataclass(frozen=True, slots=True)
class Resolve:
    """Ask for the link-layer address first."""

    vif: int


@dataclass(frozen=True, slots=True)
class Interface:
    """To a local interface: routed (`bridge` false, the Ethernet header is rewritten) or bridged."""

    vif: int
    vrf: int
    mac: bytes
    bridge: bool = False
    policy: bool = True


@dataclass(frozen=True, slots=True)
class Tunnel:
    """To another router; `source` and `destination` are IPv4 addresses as integers."""

    source: int
    destination: int
    encap: Encap


@dataclass(frozen=True, slots=True)
class VrfTranslate:
    """Look the frame up again in `vrf`: where a VNI ends."""

    vrf: int
    flood_unknown_unicast: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """One component of a composite; label -1 when it needs none."""

    next_hop: NextHop
    label: int = -1


@dataclass(frozen=True, slots=True)
class Ecmp:
    """Several ways to one prefix. A member that went away leaves a hole, so that the others keep their place."""

    members: tuple[Member | None, ...]
    policy: bool = False


@dataclass(frozen=True, slots=True)
class Flood:
    """Copies to every member."""

    kind: FloodKind
    vrf: int
    members: tuple[Member, ...]


NextHop = Discard | L2Receive | Receive | Resolve | Interface | Tunnel | VrfTranslate | Ecmp | Flood

DISCARD = Discard()
L2_RECEIVE = L2Receive()


class _Held:
    __slots__ = ("count", "index")

    def __init__(self, index: int) -> None:
        self.index = index
        self.count = 0


class NextHops:
    """Held next hops and their indices.

    `changed(index, value, present)` is told of births and deaths, parts before wholes.
    """

    __slots__ = ("_changed", "_freed", "_held", "_indices")

    def __init__(self, changed: Callable[[int, NextHop, bool], None], limit: int = 524288) -> None:
        self._changed = changed
        self._freed: list[NextHop] = []
        self._indices: Indices[NextHop] = Indices(FIRST_INDEX, limit)
        self._held: dict[NextHop, _Held] = {}

    def hold(self, value: NextHop) -> int:
        """Count one more user; the index."""
        if isinstance(value, Discard):
            return DISCARD_INDEX
        held = self._held.get(value)
        if held is None:
            for member in _members(value):
                self.hold(member.next_hop)
            index = L2_RECEIVE_INDEX if isinstance(value, L2Receive) else self._indices.take(value)
            held = self._held[value] = _Held(index)
            self._changed(index, value, True)
        held.count += 1
        return held.index

    def release(self, value: NextHop) -> None:
        """Count one user less; the last one frees the index, which `settle` makes available again."""
        held = self._held.get(value)
        if held is None:
            return
        held.count -= 1
        if not held.count:
            del self._held[value]
            self._freed.append(value)
            self._changed(held.index, value, False)
            for member in _members(value):
                self.release(member.next_hop)

    def settle(self) -> None:
        """The data plane has been told: freed indices may go to other values now."""
        freed, self._freed = self._freed, []
        for value in freed:
            if value not in self._held:
                self._indices.release(value)

    def index(self, value: NextHop) -> int:
        """The index of a held next hop; 0 (discard) for one that nobody holds."""
        held = self._held.get(value)
        return held.index if held else DISCARD_INDEX

    def __iter__(self) -> Iterator[tuple[int, NextHop, int]]:
        """(index, value, users), by index."""
        return iter(
            sorted(((held.index, value, held.count) for value, held in self._held.items()), key=lambda row: row[0])
        )

    def __len__(self) -> int:
        return len(self._held)


def _members(value: NextHop) -> tuple[Member, ...]:
    if isinstance(value, Ecmp):
        return tuple(member for member in value.members if member is not None)
    if isinstance(value, Flood):
        return value.members
    return ()
