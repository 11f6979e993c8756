"""A path: one source's way to one prefix, as the tables keep it."""

from __future__ import annotations

from enum import IntFlag
from typing import TYPE_CHECKING, Final

from contrail_emulator.control.bgp.attributes import Attributes

from .attribute_set import AttributeSet
from .source import Source

if TYPE_CHECKING:
    from .table import Route


class Flag(IntFlag):
    """Why a path is not usable, and two marks of graceful restart (reference/bgp.md 4.3, names as in introspect)."""

    AS_PATH_LOOPED = 1 << 0
    NO_NEIGHBOR_AS = 1 << 1
    STALE = 1 << 2
    NO_TUNNEL_ENCAP = 1 << 3
    ORIGINATOR_ID_LOOPED = 1 << 4
    RESOLVE_NEXTHOP = 1 << 5
    LLGR_STALE = 1 << 6
    ROUTING_POLICY_REJECT = 1 << 7
    CLUSTER_LIST_LOOPED = 1 << 8
    ALIASED = 1 << 9
    CHECK_GLOBAL_ERM_VPN_ROUTE = 1 << 10


FLAG_NAMES = {
    Flag.AS_PATH_LOOPED: "AsPathLooped",
    Flag.NO_NEIGHBOR_AS: "NoNeighborAs",
    Flag.STALE: "Stale",
    Flag.NO_TUNNEL_ENCAP: "NoTunnelEncap",
    Flag.ORIGINATOR_ID_LOOPED: "OriginatorIdLooped",
    Flag.RESOLVE_NEXTHOP: "ResolveNexthop",
    Flag.LLGR_STALE: "LlgrStale",
    Flag.ROUTING_POLICY_REJECT: "RoutingPolicyReject",
    Flag.CLUSTER_LIST_LOOPED: "ClusterListLooped",
    Flag.ALIASED: "Aliased",
    Flag.CHECK_GLOBAL_ERM_VPN_ROUTE: "CheckGlobalErmVpnRoute",
}

# Plain integers, because IntFlag arithmetic costs a microsecond and these are tested for every path.
STALE: Final = int(Flag.STALE)
LLGR_STALE: Final = int(Flag.LLGR_STALE)
ALIASED: Final = int(Flag.ALIASED)
INFEASIBLE: Final = int(
    Flag.AS_PATH_LOOPED
    | Flag.NO_NEIGHBOR_AS
    | Flag.NO_TUNNEL_ENCAP
    | Flag.ORIGINATOR_ID_LOOPED
    | Flag.RESOLVE_NEXTHOP
    | Flag.ROUTING_POLICY_REJECT
    | Flag.CLUSTER_LIST_LOOPED
    | Flag.CHECK_GLOBAL_ERM_VPN_ROUTE
)


def flags_text(flags: int) -> str:
    """`None`, or the names of the flags that are set, separated by a blank."""
    return " ".join(name for flag, name in FLAG_NAMES.items() if flags & flag) or "None"


class Arrival:
    """What paths that came together share: one is kept for many paths.

    `path_id` tells paths of one source to one prefix apart. `rd` is the source RD: what the route distinguisher of the
    path is (or was, before it was imported into a VRF); empty when it has none. `modified` is when, for introspect.
    """

    __slots__ = ("modified", "path_id", "rd")

    path_id: Final[int]
    rd: Final[bytes]
    modified: Final[float]

    def __init__(self, path_id: int, rd: bytes, modified: float) -> None:
        self.path_id = path_id
        self.rd = rd
        self.modified = modified


class Path:
    """One path of a route, as its source told it. The paths of a route form a list through `next`, best first.

    `payload` is the rest of the NLRI beside the key (docs/architecture.md); `replicas` are the copies in other tables.
    There are as many as routes: eight fields are 96 bytes, the next would be 16 more.
    """

    __slots__ = ("arrival", "flags", "next", "payload", "replicas", "route", "shared", "source")

    def __init__(
        self, route: Route, source: Source, shared: AttributeSet, payload: bytes, flags: int, arrival: Arrival
    ) -> None:
        self.route = route
        self.source = source
        self.shared = shared
        self.payload = payload
        self.flags = flags
        self.arrival = arrival
        self.next: Path | None = None
        self.replicas: tuple[Replica, ...] = ()

    @property
    def attributes(self) -> Attributes:
        return self.shared.attributes

    @property
    def rd(self) -> bytes:
        """The source RD, empty when it has none."""
        return self.arrival.rd

    @property
    def feasible(self) -> bool:
        return not self.flags & INFEASIBLE

    @property
    def llgr_stale(self) -> bool:
        """LLGR-stale by our own mark or by the community that came with the path."""
        return bool(self.flags & LLGR_STALE) or self.shared.llgr_stale

    def __repr__(self) -> str:
        return f"<path of {self.source!r} in {self.route.table.name}, flags {flags_text(self.flags)}>"


class Replica(Path):
    """A copy of `primary` in another table. It has no copies itself."""

    __slots__ = ("primary",)

    def __init__(self, route: Route, primary: Path, shared: AttributeSet, arrival: Arrival) -> None:
        super().__init__(route, primary.source, shared, primary.payload, primary.flags, arrival)
        self.primary: Final = primary
