"""What two OPEN messages agree on."""

from __future__ import annotations

from collections.abc import Iterable

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour

from .capability import CapabilityCode, GracefulRestart, LongLivedGracefulRestart, Multiprotocol
from .family import Family
from .message import Open
from .section_cache import SectionCache


class Negotiated:
    """What a session may use, and what the peer said of itself. One object per session: it holds the read cache."""

    __slots__ = (
        "as4",
        "families",
        "graceful_restart",
        "hold_time",
        "ibgp",
        "local_as",
        "long_lived_graceful_restart",
        "peer_as",
        "peer_identifier",
        "route_refresh",
        "sections",
    )

    def __init__(
        self,
        families: Iterable[Family],
        *,
        as4: bool = True,
        local_as: int = 0,
        peer_as: int = 0,
        hold_time: int = 90,
        peer_identifier: int = 0,
        graceful_restart: GracefulRestart | None = None,
        long_lived_graceful_restart: LongLivedGracefulRestart | None = None,
        route_refresh: bool = False,
    ) -> None:
        self.families = tuple(families)
        """In our own order."""
        self.as4 = as4
        self.local_as = local_as
        self.peer_as = peer_as
        self.ibgp = local_as == peer_as
        self.hold_time = hold_time
        """Seconds; 0 switches hold and keepalive timers off."""
        self.peer_identifier = peer_identifier
        self.graceful_restart = graceful_restart
        """The peer's capability."""
        self.long_lived_graceful_restart = long_lived_graceful_restart
        """The peer's capability."""
        self.route_refresh = route_refresh
        self.sections: SectionCache | None = None
        """Attribute sections already read in this session; `update.read` makes it."""


def negotiate(local: Open, remote: Open, behaviour: Behaviour = CONTRAIL, peer_as: int | None = None) -> Negotiated:
    """What follows from the two OPENs (reference/bgp.md 1.1, 1.5). Checks nothing: no common family gives no families.

    `peer_as` is the configured AS of the peer, where it is known better than by the OPEN (AS_TRANS without
    capability 65).
    """
    as4 = local.four_octet_as is not None and remote.four_octet_as is not None
    offered = frozenset(remote.families)
    speaks_multiprotocol = any(isinstance(c, Multiprotocol) for c in remote.capabilities)
    if not speaks_multiprotocol and not behaviour.require_multiprotocol_capability:
        offered = frozenset((Family.INET,))
    refresh = (CapabilityCode.ROUTE_REFRESH, CapabilityCode.ROUTE_REFRESH_CISCO)
    if peer_as is None:
        peer_as = remote.asn if as4 else remote.my_as
    return Negotiated(
        [family for family in local.families if family in offered],
        as4=as4,
        local_as=local.asn,
        peer_as=peer_as,
        hold_time=min(local.hold_time, remote.hold_time),
        peer_identifier=remote.identifier,
        graceful_restart=remote.graceful_restart,
        long_lived_graceful_restart=remote.long_lived_graceful_restart,
        route_refresh=any(c.code in refresh for c in remote.capabilities),
    )
