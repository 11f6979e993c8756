"""A neighbour as introspect shows it: the fields of BgpNeighborResp (reference/bgp.md 6.2)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from .family import Family
from .fsm import State
from .graceful_restart import NEVER_STALE

if TYPE_CHECKING:
    from .peer import PeerCore

Endpoint = tuple[str, int] | None

_SESSION_STATES = (State.OPEN_CONFIRM, State.ESTABLISHED)


def neighbour(core: PeerCore, now: float, local: Endpoint, remote: Endpoint) -> dict[str, object]:
    """Everything the session knows. `now` and the core's times: seconds since 1970. local, remote: the session's ends.

    What tables know (primary_path_count, routing_tables) is added by whoever holds them.
    """
    settings = core.settings
    return {
        "instance_name": settings.instance,
        "peer": settings.name,
        "deleted": core.deleted,
        "peer_address": settings.address,
        "peer_port": settings.port,
        "peer_id": _dotted(core.remote_open.identifier if core.remote_open is not None else 0),
        "peer_asn": settings.autonomous_system,
        "encoding": "BGP",
        "peer_type": "internal" if core.internal else "external",
        "router_type": settings.router_type,
        "local_address": local[0] if local is not None else (settings.local_address or core.speaker.address),
        "local_id": core.speaker.router_id,
        "local_asn": core.local_as,
        "transport_address": f"{remote[0]}:{remote[1]}" if remote is not None else "",
        "admin_down": core.admin_down,
        "passive": settings.stays_passive,
        "as_override": settings.as_override,
        "origin_override": settings.origin_override is not None,
        "route_origin": settings.origin_override or "",
        "private_as_action": settings.private_as_action,
        "cluster_id": settings.cluster_id,
        "auth_type": "md5" if settings.md5 is not None else "",
        "dscp_value": core.speaker.dscp,
        **_state(core),
        **_negotiation(core),
        "timers": {name: round(left, 3) for name, left in core.timers.left(now).items()},
        "peer_close_info": _close(core),
        "family_attributes_list": [_family(core, family) for family in settings.families],
        **core.counters.rows(),
    }


def _state(core: PeerCore) -> dict[str, object]:
    history = core.history
    return {
        "state": core.state.value,
        "send_ready": core.state is State.ESTABLISHED and not core.blocked,
        "last_state": history.last_state.value,
        "last_state_at": stamp(history.last_state_at),
        "last_event": f"fsm::{history.last_event.value}" if history.last_event is not None else "",
        "last_event_at": stamp(history.last_event_at),
        "last_error": history.last_error,
        "notification_in": history.notification_in,
        "notification_in_at": stamp(history.notification_in_at),
        "notification_out": history.notification_out,
        "notification_out_at": stamp(history.notification_out_at),
        "flap_count": core.counters.flaps,
        "flap_time": stamp(history.flap_at),
        "closed_at": stamp(history.closed_at),
        "connect_attempts": core.attempts,
    }


def _negotiation(core: PeerCore) -> dict[str, object]:
    announced = core.helper.announced
    agreed = core.negotiated if core.state in _SESSION_STATES else None
    remote = core.remote_open
    return {
        "configured_hold_time": core.hold_time,
        "negotiated_hold_time": agreed.hold_time if agreed is not None else 0,
        "as4_supported": agreed is not None and agreed.as4,
        "configured_address_families": _names(core.settings.families),
        "peer_address_families": _names(remote.families) if remote is not None else [],
        "negotiated_address_families": _names(agreed.families) if agreed is not None else [],
        "graceful_restart_address_families": _names(announced.families),
        "graceful_restart_time": announced.time,
        "long_lived_graceful_restart_address_families": _names(announced.long_lived_families),
        "long_lived_graceful_restart_time": announced.long_lived_time,
        "peer_capabilities": [capability.text for capability in remote.capabilities] if remote is not None else [],
    }


def _close(core: PeerCore) -> dict[str, object]:
    helper, counters = core.helper, core.helper.counters
    return {
        "state": helper.phase.value,
        "close_in_progress": core.close_in_progress,
        "graceful": helper.obstacle() is None,
        "not_graceful_because": helper.obstacle() or "",
        "long_lived_graceful": helper.long_lived_obstacle() is None,
        "waiting_for_end_of_rib": _names(family for family in helper.waiting if family not in NEVER_STALE),
        "init": counters.init,
        "close": counters.close,
        "nested": counters.nested,
        "deletes": counters.deletes,
        "stale": counters.stale,
        "llgr_stale": counters.llgr_stale,
        "sweep": counters.sweep,
        "gr_timer": counters.gr_timer,
        "llgr_timer": counters.llgr_timer,
    }


def _family(core: PeerCore, family: Family) -> dict[str, object]:
    settings = core.settings.of_family(family)
    return {
        "family": family.config_name,
        "loop_count": core.settings.loop_count if settings.loop_count is None else settings.loop_count,
        "prefix_limit": settings.prefix_limit,
        "idle_timeout": settings.idle_timeout,
        "default_tunnel_encap": list(settings.default_tunnel_encap),
        "gateway_address": settings.gateway_address or "",
    }


def stamp(seconds: float | None) -> str:
    """`2026-Nov-21 08:41:53.000000`, empty for None."""
    return "" if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%b-%d %H:%M:%S.%f")


def _names(families: Iterable[Family]) -> list[str]:
    return sorted(family.config_name for family in families)


def _dotted(identifier: int) -> str:
    return str(IPv4Address(identifier)) if identifier else ""
