"""When End-of-RIB may be sent (reference/bgp.md 1.9; RFC 4724 section 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from contrail_emulator.base.behaviour import Behaviour

from .family import Family

RETRY: Final = 1.0
"""Seconds between two looks at `may_send`."""
_QUIET_PART: Final = 0.02
"""Part of the End-of-RIB time without a new route-target route, before that family is complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SendingState:
    """What decides, for one family of one peer. Times are seconds of one clock; startup_over: the phase's end.

    registered_at: when the family's table was given to the peer. queue_empty: nothing waits to be sent.
    configured: the initial configuration is complete. last_route_target: when a route-target route last came.
    """

    registered_at: float
    startup_over: float
    queue_empty: bool
    configured: bool
    last_route_target: float


def may_send(now: float, family: Family, timeout: float, state: SendingState, behaviour: Behaviour) -> bool:
    """Whether End-of-RIB of a family goes out now. `timeout`: the End-of-RIB time; after it nothing holds it back."""
    if now - state.registered_at >= timeout:
        return True
    if not state.queue_empty:
        return False
    if not behaviour.hold_back_end_of_rib or now >= state.startup_over:
        return True
    if not state.configured or family is not Family.ROUTE_TARGET:
        return False
    return now - state.last_route_target >= timeout * _QUIET_PART
