"""Paths of a route and who they came from (reference/agent.md 4, 5).

The order of peers decides, then the preference.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from .nexthop import Encap, NextHop

PREFERENCE_LOW = 100
PREFERENCE_HIGH = 200
NO_LABEL = -1


class PeerKind(IntEnum):
    """Who a path came from. The smaller number wins: what a control node says beats what is known locally."""

    MULTICAST = 0
    EVPN = 1
    BGP = 2
    EVPN_ROUTING = 3
    LINKLOCAL = 4
    ECMP = 5
    LOCAL_VM_PORT = 6
    LOCAL_VM = 7
    LOCAL = 8
    NOVA = 9
    VGW = 10
    MULTICAST_FABRIC_TREE_BUILDER = 11
    OVS = 12
    MULTICAST_TOR = 13
    MAC_VM_BINDING = 14
    INET_EVPN = 15
    MAC_LEARNING = 16
    VXLAN_BGP = 17


class Peer(NamedTuple):
    """`name` tells two peers of one kind apart: a control node's address, an interface's uuid."""

    kind: PeerKind
    name: str = ""

    @property
    def text(self) -> str:
        return f"{self.kind.name}({self.name})" if self.name else self.kind.name


class Hop(NamedTuple):
    """One next hop of a received route: IPv4 address and label as integers."""

    address: int
    label: int
    encaps: tuple[Encap, ...]
    vn: str = ""


class Attributes(NamedTuple):
    """What travels with a path and policy looks at."""

    vns: tuple[str, ...] = ()
    security_groups: tuple[int, ...] = ()
    tags: tuple[int, ...] = ()
    communities: tuple[str, ...] = ()
    preference: int = PREFERENCE_LOW
    sequence: int = 0


class Local(NamedTuple):
    """Where a path made by this agent leads; `label` is what others must use to reach it, -1 for nothing to others.

    `exported` false: only for this host (a gateway's address, a subnet). `proxy`, `flood`: how ARP for it is treated.
    """

    next_hop: NextHop
    label: int = NO_LABEL
    vni: int = 0
    exported: bool = False
    wait_for_traffic: bool = False
    subnet: bool = False
    interface: str = ""


class Path:
    """One peer's way to a route: `hops` from a control node, or `local`.

    `sequence` is the session it was learned in; `label` that of a multicast tree (0 elsewhere).
    """

    __slots__ = ("attributes", "hops", "label", "local", "peer", "sequence")

    def __init__(
        self,
        peer: Peer,
        attributes: Attributes,
        hops: tuple[Hop, ...] = (),
        local: Local | None = None,
        sequence: int = 0,
        label: int = 0,
    ) -> None:
        self.peer = peer
        self.attributes = attributes
        self.hops = hops
        self.local = local
        self.sequence = sequence
        self.label = label

    @property
    def rank(self) -> tuple[int, int, str]:
        """Smaller is better."""
        return self.peer.kind, -self.attributes.preference, self.peer.name

    def same(self, other: Path) -> bool:
        """Whether nothing but the session differs."""
        return (
            self.attributes == other.attributes
            and self.hops == other.hops
            and self.local == other.local
            and self.label == other.label
        )
