"""Where a path came from: a BGP peer, an agent, or the control node itself."""

from __future__ import annotations

from enum import Enum
from typing import Final


class SourceKind(Enum):
    """The protocol of a path, by the name that introspect prints (reference/bgp.md 6.2)."""

    BGP = "BGP"
    XMPP = "XMPP"
    LOCAL = "Local"
    AGGREGATE = "Aggregate"
    STATIC_ROUTE = "StaticRoute"
    SERVICE_CHAIN = "ServiceChain"


RANK = {
    SourceKind.LOCAL: 5,
    SourceKind.AGGREGATE: 4,
    SourceKind.STATIC_ROUTE: 3,
    SourceKind.SERVICE_CHAIN: 2,
    SourceKind.BGP: 1,
    SourceKind.XMPP: 1,
}
"""Step 13 of path selection (reference/bgp.md 4.3): the higher wins."""


class Source:
    """One originator of paths. Identity is equality: a session makes one and keeps it over a graceful restart.

    `address` is what the last tie-break of path selection compares, `router_id` the one before it (unsigned, 0 when
    unknown); `autonomous_system` is the neighbour's (0 for agents and for ourselves). `local` is true of all that has
    no peer behind it.
    """

    __slots__ = ("address", "autonomous_system", "ebgp", "kind", "local", "name", "rank", "router_id", "xmpp")

    def __init__(
        self,
        kind: SourceKind,
        name: str,
        *,
        router_id: int = 0,
        address: bytes = b"",
        autonomous_system: int = 0,
        ebgp: bool = False,
    ) -> None:
        self.kind: Final = kind
        self.name: Final = name
        self.router_id: Final = router_id
        self.address: Final = address
        self.autonomous_system: Final = autonomous_system
        self.ebgp: Final = ebgp
        self.xmpp: Final = kind is SourceKind.XMPP
        self.rank: Final = RANK[kind]
        self.local: Final = self.rank > 1

    @property
    def ibgp(self) -> bool:
        return self.kind is SourceKind.BGP and not self.ebgp

    def __repr__(self) -> str:
        return f"<{self.kind.value} {self.name}>"
