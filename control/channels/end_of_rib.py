"""When End-of-RIB may be sent to a BGP peer (reference/bgp.md 1.9), decided once a second."""

from __future__ import annotations

from dataclasses import dataclass

from contrail_emulator.control.bgp.family import Family

CHECK_SECONDS = 1.0
START_UP_SHARE = 0.2
ROUTE_TARGET_QUIET_SHARE = 0.02


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known at one check. Seconds; `since_joined` counts from the end of the family's first dump.

    `quiet` is how long no route-target route was added; `configured` whether the initial configuration is complete.
    """

    uptime: float
    since_joined: float
    pending: bool
    configured: bool
    quiet: float


def may_send(family: Family, moment: Moment, timeout: float, hold_back: bool) -> bool:
    """Whether the family's End-of-RIB goes out now. `timeout` is the configured end-of-rib timeout."""
    if moment.since_joined >= timeout:
        return True
    if moment.pending:
        return False
    if not hold_back or moment.uptime >= timeout * START_UP_SHARE:
        return True
    if not moment.configured:
        return False
    return family is Family.ROUTE_TARGET and moment.quiet >= timeout * ROUTE_TARGET_QUIET_SHARE
