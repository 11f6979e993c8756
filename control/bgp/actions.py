"""Guards and actions of the state machine: one function for each name in fsm.Guard and fsm.Action."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from . import opening
from .close_reason import CloseReason
from .connections import Connection
from .family import Family
from .fsm import Action, Event, Guard, State
from .message import Notification, Open
from .notification import Cease, Code, MessageError
from .outputs import CloseConnection, OpenConnection, RefreshRequested, SessionDown, SessionUp
from .timers import Timer
from .update import Received

if TYPE_CHECKING:
    from .peer import PeerCore


@dataclass(slots=True)
class Occurrence:
    """An event with what it brings along."""

    event: Event
    now: float
    connection: Connection | None = None
    subcode: int = 0
    error: MessageError | None = None
    open: Open | None = None
    notification: Notification | None = None
    received: Received | None = None
    family: Family | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """The NOTIFICATION that ends a session; code 0 when there is none."""

    code: int = 0
    subcode: int = 0
    sent: bool = False
    data: bytes = b""


_FSM_SUBCODE = MappingProxyType({State.OPEN_SENT: 1, State.OPEN_CONFIRM: 2, State.ESTABLISHED: 3})

_SESSION_TIMERS = (Timer.HOLD, Timer.KEEPALIVE, Timer.SEND_HOLD, Timer.END_OF_RIB, Timer.CONNECT)


# --- guards -----------------------------------------------------------------------------------------------------------


def always(core: PeerCore, occurrence: Occurrence) -> bool:
    return True


def idle_hold_set(core: PeerCore, occurrence: Occurrence) -> bool:
    return core.idle_hold > 0


def passive(core: PeerCore, occurrence: Occurrence) -> bool:
    return core.settings.stays_passive


def on_inbound(core: PeerCore, occurrence: Occurrence) -> bool:
    return occurrence.connection is not None and occurrence.connection is core.connections.inbound


def on_inbound_with_outbound(core: PeerCore, occurrence: Occurrence) -> bool:
    return core.connections.collide and on_inbound(core, occurrence)


def outbound_exists(core: PeerCore, occurrence: Occurrence) -> bool:
    return core.connections.outbound is not None


def inbound_exists(core: PeerCore, occurrence: Occurrence) -> bool:
    return core.connections.inbound is not None


def inbound_ready(core: PeerCore, occurrence: Occurrence) -> bool:
    return _outbound_beside_inbound(core, occurrence) and not core.timers.running(Timer.OPEN_DELAY)


def inbound_waiting(core: PeerCore, occurrence: Occurrence) -> bool:
    return _outbound_beside_inbound(core, occurrence) and core.timers.running(Timer.OPEN_DELAY)


def _outbound_beside_inbound(core: PeerCore, occurrence: Occurrence) -> bool:
    return core.connections.collide and occurrence.connection is core.connections.outbound


def restart_refused(core: PeerCore, occurrence: Occurrence) -> bool:
    message = occurrence.open
    if message is None or not core.helper.waits or not core.behaviour.refuse_open_that_ends_restart:
        return False
    if collision_inbound_wins_elsewhere(core, occurrence) or collision_outbound_wins_elsewhere(core, occurrence):
        return False
    agreed = opening.agreed(message, core.speaker, core.settings, core.behaviour)
    return core.helper.refuses(opening.announced(message), frozenset(agreed.families))


def collision_inbound_wins(core: PeerCore, occurrence: Occurrence) -> bool:
    return _inbound_wins(core, occurrence) and on_inbound(core, occurrence)


def collision_inbound_wins_elsewhere(core: PeerCore, occurrence: Occurrence) -> bool:
    return _inbound_wins(core, occurrence) and not on_inbound(core, occurrence)


def collision_outbound_wins(core: PeerCore, occurrence: Occurrence) -> bool:
    return _outbound_wins(core, occurrence) and not on_inbound(core, occurrence)


def collision_outbound_wins_elsewhere(core: PeerCore, occurrence: Occurrence) -> bool:
    return _outbound_wins(core, occurrence) and on_inbound(core, occurrence)


def _inbound_wins(core: PeerCore, occurrence: Occurrence) -> bool:
    message = occurrence.open
    return core.connections.collide and message is not None and _peer_is_higher(core, message)


def _outbound_wins(core: PeerCore, occurrence: Occurrence) -> bool:
    message = occurrence.open
    return core.connections.collide and message is not None and not _peer_is_higher(core, message)


def _peer_is_higher(core: PeerCore, message: Open) -> bool:
    """The side with the higher identifier (RFC 4271 6.8), then the higher AS (RFC 6286 2.3), keeps what it opened."""
    theirs = message.identifier, core.settings.autonomous_system
    return theirs > (core.speaker.identifier, core.local_as)


def close_in_progress(core: PeerCore, occurrence: Occurrence) -> bool:
    return core.close_in_progress


def peer_restarted(core: PeerCore, occurrence: Occurrence) -> bool:
    if core.settings.bgpaas and core.behaviour.cease_on_new_connection:
        return True
    return core.helper.obstacle() is None


def peer_restarted_here(core: PeerCore, occurrence: Occurrence) -> bool:
    return not core.behaviour.cease_on_new_connection and peer_restarted(core, occurrence)


# --- timers -----------------------------------------------------------------------------------------------------------


def start_idle_hold(core: PeerCore, occurrence: Occurrence) -> None:
    core.timers.start(Timer.IDLE_HOLD, occurrence.now + core.idle_hold)


def stop_idle_hold(core: PeerCore, occurrence: Occurrence) -> None:
    core.timers.stop(Timer.IDLE_HOLD)


def start_connect_timer(core: PeerCore, occurrence: Occurrence) -> None:
    core.timers.start(Timer.CONNECT, occurrence.now + core.speaker.timers.connect_time(core.attempts, core.rng))


def wait_to_connect(core: PeerCore, occurrence: Occurrence) -> None:
    if not core.settings.stays_passive and core.connections.inbound is None:
        start_connect_timer(core, occurrence)


def stop_connect_timer(core: PeerCore, occurrence: Occurrence) -> None:
    core.timers.stop(Timer.CONNECT)


def start_open_delay(core: PeerCore, occurrence: Occurrence) -> None:
    delay = core.speaker.timers.open_delay if core.behaviour.delay_open_when_passive else 0.0
    core.timers.start(Timer.OPEN_DELAY, occurrence.now + delay)


def stop_open_delay(core: PeerCore, occurrence: Occurrence) -> None:
    core.timers.stop(Timer.OPEN_DELAY)


def start_open_sent_hold(core: PeerCore, occurrence: Occurrence) -> None:
    core.timers.start(Timer.HOLD, occurrence.now + core.speaker.timers.open_sent_hold)


def start_hold(core: PeerCore, occurrence: Occurrence) -> None:
    core.start_hold(occurrence.now)


def stop_hold(core: PeerCore, occurrence: Occurrence) -> None:
    core.timers.stop(Timer.HOLD)


def start_keepalive(core: PeerCore, occurrence: Occurrence) -> None:
    core.start_keepalive(occurrence.now)


def count_attempt(core: PeerCore, occurrence: Occurrence) -> None:
    core.attempts += 1


def clear_attempts(core: PeerCore, occurrence: Occurrence) -> None:
    core.attempts = 0


# --- connections ------------------------------------------------------------------------------------------------------


def open_tcp(core: PeerCore, occurrence: Occurrence) -> None:
    connection = core.connections.new(False, core.framer())
    core.connections.outbound = connection
    core.outputs.append(OpenConnection(connection.number))


def take_inbound(core: PeerCore, occurrence: Occurrence) -> None:
    drop_inbound(core, occurrence)
    core.connections.inbound = occurrence.connection


def drop_new(core: PeerCore, occurrence: Occurrence) -> None:
    if not core.behaviour.close_extra_connection_silently:
        reject_new(core, occurrence)
    elif occurrence.connection is not None:
        core.outputs.append(CloseConnection(occurrence.connection.number))


def reject_new(core: PeerCore, occurrence: Occurrence) -> None:
    _reject(core, occurrence, occurrence.connection, Cease.REJECTED, "Connection rejected: a session is being set up")


def drop_outbound(core: PeerCore, occurrence: Occurrence) -> None:
    _drop(core, core.connections.outbound)


def drop_inbound(core: PeerCore, occurrence: Occurrence) -> None:
    _drop(core, core.connections.inbound)


def reject_outbound(core: PeerCore, occurrence: Occurrence) -> None:
    text = "Connection collision: the connection you opened stays"
    _reject(core, occurrence, core.connections.outbound, Cease.COLLISION, text)


def reject_inbound(core: PeerCore, occurrence: Occurrence) -> None:
    text = "Connection collision: the connection we opened stays"
    _reject(core, occurrence, core.connections.inbound, Cease.COLLISION, text)


def drop_session(core: PeerCore, occurrence: Occurrence) -> None:
    """It counts as lost: no NOTIFICATION, so that routes stay also without RFC 8538."""
    _drop(core, core.connections.session)
    core.session_gone()


def drop_all(core: PeerCore, occurrence: Occurrence) -> None:
    for connection in tuple(core.connections):
        _drop(core, connection)
    core.session_gone()


def _reject(core: PeerCore, occurrence: Occurrence, connection: Connection | None, subcode: Cease, text: str) -> None:
    if connection is None:
        return
    data = text.encode() if core.behaviour.cease_with_text else b""
    core.notify(occurrence.now, connection, Code.CEASE, subcode, data)
    core.connections.forget(connection)
    core.outputs.append(CloseConnection(connection.number))


def _drop(core: PeerCore, connection: Connection | None) -> None:
    if connection is not None:
        core.connections.forget(connection)
        core.outputs.append(CloseConnection(connection.number))


def assign_inbound(core: PeerCore, occurrence: Occurrence) -> None:
    if core.connections.inbound is not None:
        core.connections.assign(core.connections.inbound)


def assign_outbound(core: PeerCore, occurrence: Occurrence) -> None:
    if core.connections.outbound is not None:
        core.connections.assign(core.connections.outbound)


# --- messages ---------------------------------------------------------------------------------------------------------


def send_open_outbound(core: PeerCore, occurrence: Occurrence) -> None:
    core.send_open(occurrence.now, core.connections.outbound)


def send_open_inbound(core: PeerCore, occurrence: Occurrence) -> None:
    core.send_open(occurrence.now, core.connections.inbound)


def send_open_if_waiting(core: PeerCore, occurrence: Occurrence) -> None:
    if core.timers.running(Timer.OPEN_DELAY):
        core.timers.stop(Timer.OPEN_DELAY)
        send_open_inbound(core, occurrence)


def negotiate(core: PeerCore, occurrence: Occurrence) -> None:
    if occurrence.open is not None:
        core.negotiate(occurrence.open)


def send_keepalive(core: PeerCore, occurrence: Occurrence) -> None:
    core.send_keepalive()


def _notify(core: PeerCore, occurrence: Occurrence, code: int, subcode: int, data: bytes = b"") -> None:
    """Send a NOTIFICATION where the event came from, else where one is heard, and make it the cause of the close."""
    core.cause = Cause(code, subcode, True, data)
    origin = occurrence.connection
    connection = origin if origin is not None and origin in tuple(core.connections) else core.connections.to_notify()
    if connection is not None and connection.up:
        core.notify(occurrence.now, connection, code, subcode, data)


def send_cease(core: PeerCore, occurrence: Occurrence) -> None:
    _notify(core, occurrence, Code.CEASE, occurrence.subcode)


def send_restart_cease(core: PeerCore, occurrence: Occurrence) -> None:
    _notify(core, occurrence, Code.CEASE, Cease.UNSPECIFIC)


def send_error(core: PeerCore, occurrence: Occurrence) -> None:
    error = occurrence.error
    if error is not None:
        _notify(core, occurrence, error.code, error.subcode, error.data)


def send_hold_expired(core: PeerCore, occurrence: Occurrence) -> None:
    _notify(core, occurrence, Code.HOLD_TIMER, 0)


def send_send_hold_expired(core: PeerCore, occurrence: Occurrence) -> None:
    _notify(core, occurrence, Code.SEND_HOLD_TIMER, 0)


def send_fsm_error(core: PeerCore, occurrence: Occurrence) -> None:
    core.counters.errors.unexpected += 1
    subcode = 0 if core.behaviour.fsm_error_without_subcode else _FSM_SUBCODE.get(core.state, 0)
    _notify(core, occurrence, Code.STATE_MACHINE, subcode)


def note_notification(core: PeerCore, occurrence: Occurrence) -> None:
    notification = occurrence.notification
    if notification is not None:
        core.cause = Cause(notification.code, notification.subcode, False, notification.data)
        core.history.received(occurrence.now, notification.text)


# --- the session ------------------------------------------------------------------------------------------------------


def end_restart(core: PeerCore, occurrence: Occurrence) -> None:
    core.end_restart()


def close_peer(core: PeerCore, occurrence: Occurrence) -> None:
    """Count a flap, decide whether routes are kept, set the idle hold, and begin again when nothing holds it down."""
    cause = core.cause
    graceful = core.helper.allows(cause.code, cause.subcode) and not (core.admin_down or core.deleted)
    if core.state is State.ESTABLISHED:
        core.counters.flaps += 1
        core.history.flap_at = core.history.closed_at = occurrence.now
        kept = core.keep_stale(occurrence.now, graceful)
        core.unfinished_closes += 1
        core.outputs.append(SessionDown(CloseReason(cause.code, cause.subcode, cause.sent, kept, cause.data)))
    elif not graceful:
        core.end_restart()
    core.timers.stop_all(_SESSION_TIMERS)
    core.idle_hold = core.speaker.timers.idle_hold
    core.start_again(occurrence.now)


def announce_established(core: PeerCore, occurrence: Occurrence) -> None:
    session = core.connections.session
    if session is None or core.negotiated is None:
        return
    core.counters.established += 1
    core.outputs.append(SessionUp(session.number))
    for family in core.negotiated.families:
        core.wait_for_end_of_rib(occurrence.now, family)


def deliver_update(core: PeerCore, occurrence: Occurrence) -> None:
    if occurrence.received is not None:
        core.deliver(occurrence.now, occurrence.received)


def deliver_refresh(core: PeerCore, occurrence: Occurrence) -> None:
    family = occurrence.family
    if family is not None and core.negotiated is not None and family in core.negotiated.families:
        core.outputs.append(RefreshRequested(family))


Check = Callable[["PeerCore", Occurrence], bool]
Do = Callable[["PeerCore", Occurrence], None]

GUARDS: Mapping[Guard, Check] = MappingProxyType({guard: globals()[guard.name.lower()] for guard in Guard})
ACTIONS: Mapping[Action, Do] = MappingProxyType({action: globals()[action.name.lower()] for action in Action})
"""By name: Guard.ON_INBOUND is `on_inbound`, Action.TAKE_INBOUND is `take_inbound`."""
