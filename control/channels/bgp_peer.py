"""A BGP peer at the control node: what it sends goes into the master's tables, what the tables hold goes to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from contrail_emulator.control.bgp import update
from contrail_emulator.control.bgp.close_reason import CloseReason
from contrail_emulator.control.bgp.counters import Counters
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.graceful_restart import NEVER_STALE
from contrail_emulator.control.bgp.negotiation import Negotiated
from contrail_emulator.control.bgp.settings import PeerSettings
from contrail_emulator.control.routing import GroupKey, Membership, RoutingCore, Source, SourceKind

from .bgp_import import ImportPolicy, ImportSettings
from .end_of_rib import CHECK_SECONDS, Moment, may_send
from .told import told

TABLES: Mapping[Family, str] = {
    Family.INET: "inet.0",
    Family.INET6: "inet6.0",
    Family.INET_LABELED: "inet.3",
    Family.INET_VPN: "bgp.l3vpn.0",
    Family.INET6_VPN: "bgp.l3vpn-inet6.0",
    Family.ROUTE_TARGET: "bgp.rtarget.0",
    Family.E_VPN: "bgp.evpn.0",
    Family.ERM_VPN: "bgp.ermvpn.0",
    Family.INET_MVPN: "bgp.mvpn.0",
}
VPN_FAMILIES = frozenset((Family.INET_VPN, Family.INET6_VPN, Family.E_VPN, Family.ERM_VPN, Family.INET_MVPN))


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What a session needs to know of the control node itself; `started` on the clock's time line."""

    autonomous_system: int
    router_id: int
    cluster_id: int
    started: float
    end_of_rib_timeout: float
    hold_back_end_of_rib: bool
    configured: Callable[[], bool]


class BgpPeer(Protocol):
    """What a channel needs of a peer of `control.bgp.speaker`."""

    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> PeerSettings: ...
    @property
    def negotiated(self) -> Negotiated | None: ...
    @property
    def blocked(self) -> bool: ...
    @property
    def long_lived(self) -> bool: ...
    @property
    def counters(self) -> Counters: ...
    def send(self, data: bytes, *, tallied: bool = False) -> bool: ...
    def send_end_of_rib(self, family: Family) -> bool: ...
    def prefixes(self, family: Family, count: int) -> bool: ...


class PeerChannel:
    """One peer and its routes; it outlives a session that ends gracefully, until the routes are swept."""

    log = Logger()

    def __init__(self, peer: BgpPeer, core: RoutingCore, clock: IReactorTime, local: Local) -> None:
        self.peer = peer
        self.counters: Counter[str] = Counter()
        self._core = core
        self._clock = clock
        self._local = local
        self._source: Source | None = None
        self._policy: ImportPolicy | None = None
        self._limited = False
        self._families: tuple[Family, ...] = ()
        self._filtered = False
        self._memberships: dict[Family, Membership] = {}
        self._joined_at: dict[Family, float] = {}
        self._end_of_rib_timer: IDelayedCall | None = None
        self._last_route_target = clock.seconds()

    @property
    def local_as(self) -> int:
        return self.peer.settings.local_as or self._local.autonomous_system

    @property
    def ebgp(self) -> bool:
        return self.peer.settings.autonomous_system != self.local_as

    # The session

    def established(self) -> None:
        """The session is up: hear the tables of every family that both sides speak."""
        negotiated = self.peer.negotiated
        assert negotiated is not None
        source = self._new_source(negotiated.peer_identifier)
        if self._source is not None and _identity(self._source) != _identity(source):
            self._core.withdraw_source(self._source)  # another router behind the same name: its routes begin anew
            self._source = None
        if self._source is None:
            self._source = source
        self._policy = ImportPolicy(self._import_settings())
        self._limited = bool(self.peer.settings.family_settings)
        self._families = tuple(family for family in TABLES if family in negotiated.families)
        self._filtered = Family.ROUTE_TARGET in self._families
        for family in self._families:
            if not (self._filtered and family in VPN_FAMILIES):
                self._join(family)

    def end_of_rib(self, family: Family, assumed: bool) -> None:
        """The peer has told everything of a family, or its time is over (30 s for route-target).

        Only then does a peer that filters hear of VPN routes (reference/bgp.md 4.6). What is still stale goes when all
        families are complete: `sweep_stale`.
        """
        self.counters["end_of_rib_assumed" if assumed else "end_of_rib_in"] += 1
        if family is Family.ROUTE_TARGET:
            for waiting in self._families:
                if waiting not in self._memberships:
                    self._join(waiting)

    def closed(self, reason: CloseReason) -> None:
        """The session ended: its routes go, or stay as stale when the peer is believed to come back."""
        self._leave()
        if self._source is None:
            return
        if reason.graceful:
            for family, table in TABLES.items():
                if family in NEVER_STALE:
                    self._core.withdraw_source(self._source, table)
            self._core.mark_stale(self._source)
        else:
            self._core.withdraw_source(self._source)
            self._source = None

    def sweep_stale(self) -> None:
        """What the peer did not tell again is gone."""
        if self._source is not None:
            self._core.sweep_stale(self._source)
            if not self._families:
                self._source = None

    def long_lived_stale(self) -> None:
        """The restart time is over: stale routes become long-lived stale (RFC 9494)."""
        if self._source is not None:
            self._core.mark_llgr_stale(self._source)

    def take_local(self, local: Local) -> None:
        """The control node's own side changed: a session that goes on reads the next routes by it."""
        self._local = local
        if self._policy is not None:
            self._policy = ImportPolicy(self._import_settings())

    def removed(self) -> None:
        """The peer is gone from configuration."""
        self._leave()
        if self._source is not None:
            self._core.withdraw_source(self._source)
            self._source = None

    def refresh(self, family: Family) -> None:
        """The peer asks for a family again (RFC 2918)."""
        if family in self._memberships:
            self._memberships[family].refresh()

    # Routes in

    def received(self, message: update.Received) -> None:
        """One UPDATE."""
        source, policy = self._source, self._policy
        if source is None or policy is None:
            return
        for unreach in message.unreach:
            if unreach.family in self._families:
                self.counters["unreach_in"] += len(unreach.keys)
                self._core.withdraw_many(TABLES[unreach.family], source, unreach.keys)
        for reach in message.reach:
            if reach.family not in self._families:
                self.counters["routes_of_other_families"] += len(reach.routes)
                continue
            self.counters["reach_in"] += len(reach.routes)
            if reach.family is Family.ROUTE_TARGET:
                self._last_route_target = self._clock.seconds()
            attributes, flags = policy.apply(reach.family, reach.attributes)
            self._core.update_many(TABLES[reach.family], source, attributes, reach.routes, flags=flags)
            if self._limited and not self._within_limit(reach.family, source):
                return

    def _within_limit(self, family: Family, source: Source) -> bool:
        """Count what the peer itself told; beyond the limit the session ends (reference/bgp.md 1.8)."""
        count = self._core.tables[TABLES[family]].sources.get(source, 0)
        return self.peer.prefixes(family, count)

    # Routes out: a member of update groups

    @property
    def name(self) -> str:
        return self.peer.name

    def deliver(self, message: bytes) -> bool:
        """Whole messages of an update group; nothing at all when no message could carry the routes."""
        return self.peer.send(message, tallied=True) if message else not self.peer.blocked

    def unblocked(self) -> None:
        for membership in list(self._memberships.values()):
            membership.unblocked()

    def _join(self, family: Family) -> None:
        self._memberships[family] = self._core.join(
            TABLES[family],
            self._group_key(family),
            self,
            source=self._source,
            on_joined=lambda _: self._joined(family),
            filtered=self._filtered,
            tally=self.peer.counters.tx_updates,
        )

    def _leave(self) -> None:
        for membership in self._memberships.values():
            self._core.leave(membership)
        self._memberships.clear()
        self._joined_at.clear()
        self._families = ()
        self._policy = None
        if self._end_of_rib_timer is not None:
            self._end_of_rib_timer.cancel()
            self._end_of_rib_timer = None

    # End-of-RIB

    def _joined(self, family: Family) -> None:
        self._joined_at[family] = self._clock.seconds()
        if self._end_of_rib_timer is None:
            self._check_end_of_rib()

    def _check_end_of_rib(self) -> None:
        self._end_of_rib_timer = None
        for family in list(self._joined_at):
            if may_send(family, self._moment(family), self._local.end_of_rib_timeout, self._local.hold_back_end_of_rib):
                del self._joined_at[family]
                self.counters["end_of_rib_out"] += 1
                self.peer.send_end_of_rib(family)
        if self._joined_at:
            self._end_of_rib_timer = self._clock.callLater(CHECK_SECONDS, self._check_end_of_rib)

    def _moment(self, family: Family) -> Moment:
        now = self._clock.seconds()
        return Moment(
            uptime=now - self._local.started,
            since_joined=now - self._joined_at[family],
            pending=self.peer.blocked,
            configured=self._local.configured(),
            quiet=now - self._last_route_target,
        )

    # What the session is, for the tables

    def _new_source(self, identifier: int) -> Source:
        settings = self.peer.settings
        return Source(
            SourceKind.BGP,
            self.peer.name,
            router_id=identifier,
            address=ip_address(settings.address).packed,
            autonomous_system=settings.autonomous_system,
            ebgp=self.ebgp,
        )

    def _import_settings(self) -> ImportSettings:
        settings = self.peer.settings
        return ImportSettings(
            local_as=self.local_as,
            peer_as=settings.autonomous_system,
            router_id=self._local.router_id,
            cluster_id=self._local.cluster_id,
            loop_count=settings.loop_count,
            loop_counts=tuple(
                (family, of.loop_count) for family, of in settings.family_settings if of.loop_count is not None
            ),
            default_tunnel_encap=tuple((family, of.default_tunnel_encap) for family, of in settings.family_settings),
            router_type=settings.router_type,
            origin_override=settings.origin_override,
        )

    def _group_key(self, family: Family) -> GroupKey:
        settings = self.peer.settings
        negotiated = self.peer.negotiated
        assert negotiated is not None
        return GroupKey(
            encoding="bgp",
            peer_type="ebgp" if self.ebgp else "ibgp",
            peer_as=settings.autonomous_system,
            local_as=self.local_as,
            as4=negotiated.as4,
            as_override=settings.as_override,
            cluster_id=self._local.cluster_id,
            private_as_action=settings.private_as_action,
            llgr=self.peer.long_lived,
            default_tunnel_encap=settings.of_family(family).default_tunnel_encap,
        )

    def row(self) -> Mapping[str, Any]:
        """What introspect adds to the speaker's own row."""
        count = sum(table.sources.get(self._source, 0) for table in self._core.tables.values()) if self._source else 0
        return {
            "primary_path_count": count,
            "routing_tables": [{"name": TABLES[family]} for family in self._families],
            "routes_in": count,
            "routes_out": sum(told(membership) for membership in self._memberships.values()),
            "channel": dict(self.counters),
        }


def _identity(source: Source) -> tuple[object, ...]:
    """What must not change while routes of a source are kept."""
    return source.router_id, source.address, source.autonomous_system, source.ebgp
