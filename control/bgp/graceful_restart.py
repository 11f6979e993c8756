"""Graceful restart as helper: when a lost peer's routes are kept, and for how long (reference/bgp.md 1.9).

RFC 4724 (graceful restart), RFC 8538 (NOTIFICATION and hard reset), RFC 9494 (long-lived). `Helper` decides and keeps
the times; marking and sweeping routes is the business of whoever holds them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from .family import Family
from .notification import Cease, Code

NEVER_STALE = frozenset({Family.ERM_VPN, Family.INET_MVPN})
"""Families whose routes are deleted at once and whose F bit and LLGR entry do not matter."""


@dataclass(frozen=True, slots=True)
class Announced:
    """What the peer's OPEN said: graceful restart and long-lived graceful restart. Families map to their F bit.

    time: seconds, 0 when the capability is absent. long_lived_time: the greatest over its families, in seconds.
    `foreign`: the graceful restart list names a family that is not ours.
    """

    time: int = 0
    restarting: bool = False
    notification: bool = False
    families: Mapping[Family, bool] = field(default_factory=dict)
    foreign: bool = False
    long_lived_time: int = 0
    long_lived_families: Mapping[Family, bool] = field(default_factory=dict)


class Phase(Enum):
    """Where the helper stands; names are those of introspect's peer_close_info."""

    NONE = "NONE"
    GR_TIMER = "GR_TIMER"
    LLGR_TIMER = "LLGR_TIMER"


class Expiry(Enum):
    """What the end of the restart timer asks for."""

    ASSUME_END_OF_RIB = "assume End-of-RIB for the families that still wait"
    SWEEP = "sweep what is still stale"
    LONG_LIVED = "go on with long-lived stale routes"


@dataclass(slots=True)
class RestartCounters:
    """peer_close_info counters."""

    init: int = 1
    close: int = 0
    nested: int = 0
    stale: int = 0
    llgr_stale: int = 0
    gr_timer: int = 0
    llgr_timer: int = 0
    sweep: int = 0
    deletes: int = 0


class Helper:
    """The helper's side for one peer. Times are seconds of the caller's clock.

    `enabled`: graceful restart and its BGP helper mode are on here.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.phase = Phase.NONE
        self.announced = Announced()
        self.negotiated: frozenset[Family] = frozenset()
        self.waiting: set[Family] = set()
        self.counters = RestartCounters()
        self._stale_families: frozenset[Family] = frozenset()
        self._since = 0.0
        self._elapsed = 0.0
        self._long_lived_elapsed = 0.0

    @property
    def waits(self) -> bool:
        """True while stale routes are kept."""
        return self.phase is not Phase.NONE

    # --- what the peer can do -----------------------------------------------------------------------------------------

    def obstacle(self) -> str | None:
        """Why the peer's routes would not be kept, or None when they would."""
        return self._obstacle(self.announced, self.negotiated)

    def _obstacle(self, announced: Announced, negotiated: frozenset[Family]) -> str | None:
        families = announced.families
        if not self.enabled:
            return "helper mode is off"
        if not families and not announced.foreign:
            return "the peer lists no family for graceful restart"
        if announced.time == 0 and _long_lived_obstacle(announced) is not None:
            return "the peer's restart time is 0 and long-lived graceful restart is not usable"
        if self.waits and negotiated != self._stale_families:
            return "the negotiated families differ from those that are stale"
        if announced.foreign or frozenset(families) != negotiated:
            return "the peer's graceful restart families differ from the negotiated ones"
        lost = _without_forwarding(families)
        if lost:
            return f"forwarding state was not preserved for {lost}"
        return None

    def long_lived_obstacle(self) -> str | None:
        """Why stale routes would not become long-lived stale, or None."""
        return self.obstacle() or _long_lived_obstacle(self.announced)

    def refuses(self, announced: Announced, negotiated: frozenset[Family]) -> bool:
        """True when this OPEN ends the restart under way: its capabilities no longer satisfy the rules."""
        if not self.waits:
            return False
        if self._obstacle(announced, negotiated) is not None:
            return True
        return self.phase is Phase.LLGR_TIMER and _long_lived_obstacle(announced) is not None

    def learn(self, announced: Announced, negotiated: Iterable[Family]) -> None:
        """Take over what the peer's OPEN says."""
        self.announced = announced
        self.negotiated = frozenset(negotiated)

    # --- closing ------------------------------------------------------------------------------------------------------

    def allows(self, code: int, subcode: int) -> bool:
        """Whether an end with this NOTIFICATION (code 0: none) may be graceful at all (RFC 8538 section 4)."""
        if code == 0:
            return True
        if code == Code.CEASE and subcode in (Cease.HARD_RESET, Cease.DECONFIGURED):
            return False
        return self.announced.notification

    def session_lost(self, now: float, graceful: bool) -> float | None:
        """An established session ended. Returns seconds until the restart timer ends, or None: delete the routes.

        A loss while waiting goes on with what is left of the time.
        """
        self.counters.close += 1
        if self.waits:
            self.counters.nested += 1
            self._count_elapsed(now)
        if not graceful or self.obstacle() is not None:
            self.abandon()
            return None
        self.phase = Phase.GR_TIMER
        self.counters.stale += 1
        self.counters.gr_timer += 1
        self._stale_families = self.negotiated
        self.waiting = set(self.announced.families)
        self._since = now
        return max(0.0, self.announced.time - self._elapsed)

    def abandon(self) -> None:
        """No restart any more: stale routes are to be deleted."""
        self.counters.deletes += 1
        self._finish()

    def end_of_rib(self, family: Family) -> bool:
        """A family is complete again. True when it was the last one waited for: sweep."""
        if not self.waits or family not in self.waiting:
            return False
        self.waiting.discard(family)
        return not self.waiting

    def swept(self) -> None:
        """Stale routes are gone, the restart is over."""
        self.counters.sweep += 1
        self._finish()

    def expired(self, now: float, established: bool) -> tuple[Expiry, float]:
        """The restart timer ended. The number is the length of the long-lived wait, else 0."""
        if established:
            return (Expiry.ASSUME_END_OF_RIB if self.waiting else Expiry.SWEEP), 0.0
        if self.phase is Phase.GR_TIMER and self.long_lived_obstacle() is None:
            self.counters.llgr_stale += 1
            return Expiry.LONG_LIVED, self._wait_long_lived(now)
        return Expiry.SWEEP, 0.0

    def _wait_long_lived(self, now: float) -> float:
        self.phase = Phase.LLGR_TIMER
        self.counters.llgr_timer += 1
        self.waiting = set(self.announced.long_lived_families)
        self._since = now
        return max(0.0, self.announced.long_lived_time - self._long_lived_elapsed)

    def _count_elapsed(self, now: float) -> None:
        if self.phase is Phase.GR_TIMER:
            self._elapsed += now - self._since
        else:
            self._long_lived_elapsed += now - self._since

    def _finish(self) -> None:
        self.phase = Phase.NONE
        self.waiting = set()
        self._stale_families = frozenset()
        self._elapsed = self._long_lived_elapsed = 0.0
        self.counters.init += 1


def _long_lived_obstacle(announced: Announced) -> str | None:
    if not announced.long_lived_families:
        return "the peer lists no family for long-lived graceful restart"
    if announced.long_lived_time == 0:
        return "the peer's long-lived stale time is 0"
    if not frozenset(announced.families) ^ frozenset(announced.long_lived_families) <= NEVER_STALE:
        return "long-lived and plain graceful restart list different families"
    lost = _without_forwarding(announced.long_lived_families)
    return f"forwarding state was not preserved for {lost}" if lost else None


def _without_forwarding(families: Mapping[Family, bool]) -> str:
    return ", ".join(
        family.config_name for family, kept in sorted(families.items()) if not kept and family not in NEVER_STALE
    )
