"""One peer without I/O: bytes, connection events and time in; bytes, connection requests and session events out.

The state machine's table is in fsm; here are its guards and actions. A PeerCore never calls anybody: what it wants done
lies in `outputs`, in order. Every input takes `now`, seconds of a monotonic clock.
"""

from __future__ import annotations

from collections import deque
from random import Random
from types import MappingProxyType
from typing import Final

from contrail_emulator.base.behaviour import Behaviour

from . import fsm, opening, update
from .actions import ACTIONS, GUARDS, Cause, Occurrence
from .connections import Connection, Connections
from .counters import Counters
from .family import Family
from .framing import Framer
from .fsm import Event, Rule, State
from .graceful_restart import Expiry, Helper
from .history import History
from .message import Keepalive, MessageType, Notification, Open, RouteRefresh, decode
from .negotiation import Negotiated
from .notification import Cease, MessageError
from .outputs import EndOfRib, LongLivedStale, Output, SweepStale, Write
from .settings import PeerSettings, SpeakerSettings
from .timers import Timer, Timers
from .update_reader import read

_KEEPALIVE: Final = Keepalive().encode()
_UPDATE: Final = int(MessageType.UPDATE)
_ESTABLISHED: Final = State.ESTABLISHED
_UPDATE_EVENT: Final = Event.UPDATE
"""Members of enumerations met with each UPDATE: as attributes of their class they cost a tenth of a microsecond."""

_EXPIRY_EVENT: Final = MappingProxyType(
    {
        Timer.IDLE_HOLD: Event.IDLE_HOLD_EXPIRED,
        Timer.CONNECT: Event.CONNECT_EXPIRED,
        Timer.OPEN_DELAY: Event.OPEN_DELAY_EXPIRED,
        Timer.HOLD: Event.HOLD_EXPIRED,
        Timer.SEND_HOLD: Event.SEND_HOLD_EXPIRED,
        Timer.KEEPALIVE: Event.KEEPALIVE_EXPIRED,
    }
)


class PeerCore:
    """The state of one neighbour.

    started_at: when the speaker started, for the start-up phase. Settings may be replaced between events; whoever does
    clears the session (settings.change_of says when).
    """

    def __init__(
        self, speaker: SpeakerSettings, settings: PeerSettings, *, behaviour: Behaviour, rng: Random, started_at: float
    ) -> None:
        self.speaker = speaker
        self.settings = settings
        self.behaviour = behaviour
        self.started_at = started_at
        self.state = State.IDLE
        self.connections = Connections()
        self.timers = Timers()
        self.counters = Counters()
        self.history = History()
        self.helper = Helper()
        self.take_speaker(speaker)
        self.outputs: deque[Output] = deque()
        self.negotiated: Negotiated | None = None
        self.remote_open: Open | None = None
        self.attempts = 0
        self.deleted = False
        self.blocked = False
        self.rng = rng
        self.idle_hold = 0.0
        self.unfinished_closes = 0
        self.cause = Cause()
        self._keepalive_owed = False
        self._heard = False
        self._complete: set[Family] = set()
        self._queue: deque[Occurrence] = deque()
        self._running = False

    # --- inputs -------------------------------------------------------------------------------------------------------

    def start(self, now: float) -> None:
        """Begin, or begin again after admin-down. A session that is up or coming up is left alone."""
        if self.state is State.IDLE and not self.held_down:
            self.negotiated = None
            self.fire(Occurrence(Event.START, now))

    def stop(self, now: float, subcode: int) -> None:
        """End the session with Cease of this subcode. It starts again by itself unless it is held down."""
        self.fire(Occurrence(Event.STOP, now, subcode=subcode))

    def admin_up(self, now: float) -> None:
        """Forget flaps, errors and the idle hold, and begin."""
        self.idle_hold = 0.0
        self.counters.flaps = 0
        self.history.forget()
        self.timers.stop(Timer.PREFIX_IDLE)
        self.start(now)

    def exceed_prefix_limit(self, now: float, idle_timeout: float) -> None:
        """A family has more prefixes than allowed: Cease/1, and stay away for `idle_timeout` seconds (0: as usual)."""
        if idle_timeout > 0:
            self.timers.start(Timer.PREFIX_IDLE, now + idle_timeout)
        self.stop(now, Cease.MAX_PREFIXES)

    def reconfigured(self, now: float) -> None:
        """The peer's settings were replaced by ones that need a new session: Cease/6, limits start anew."""
        self.timers.stop(Timer.PREFIX_IDLE)
        self.stop(now, Cease.CONFIG_CHANGE)

    def take_speaker(self, speaker: SpeakerSettings) -> None:
        """The speaker's settings were replaced."""
        self.speaker = speaker
        self.helper.enabled = speaker.graceful_restart.enabled and speaker.graceful_restart.helper

    def delete(self, now: float, subcode: int) -> None:
        """End for good."""
        self.deleted = True
        self.stop(now, subcode)
        self.end_restart()
        self.timers.stop_all(Timer)

    def accepted(self, now: float) -> int:
        """An inbound connection (ask `refusal` first). Its number; it may already be closed in `outputs`."""
        connection = self.connections.new(True, self.framer())
        self.fire(Occurrence(Event.TCP_PASSIVE_OPEN, now, connection))
        return connection.number

    def connected(self, now: float, number: int) -> None:
        """The outbound connection is up."""
        connection = self.connections.find(number)
        if connection is not None and connection is self.connections.outbound:
            connection.up = True
            self.fire(Occurrence(Event.TCP_CONNECTED, now, connection))

    def connect_failed(self, now: float, number: int) -> None:
        """The outbound connection was refused or timed out."""
        connection = self.connections.find(number)
        if connection is not None and connection is self.connections.outbound:
            self.counters.errors.connect_error += 1
            self.fire(Occurrence(Event.TCP_CONNECT_FAILED, now, connection))

    def lost(self, now: float, number: int) -> None:
        """A connection closed."""
        connection = self.connections.find(number)
        if connection is not None:
            self.fire(Occurrence(Event.TCP_CLOSED, now, connection))

    def feed(self, number: int, data: bytes) -> None:
        """Bytes from a connection; `process` reads them."""
        connection = self.connections.find(number)
        if connection is not None:
            self.counters.rx.octets += len(data)
            connection.framer.feed(data)

    def process(self, now: float, number: int, limit: int) -> bool:
        """Read at most `limit` messages. True when it stopped there and more may be waiting."""
        self._heard = False
        if self.waits_for_close:
            return False
        connections = self.connections
        for _ in range(limit):
            connection = connections.find(number)
            if connection is None:
                return False
            try:
                message = connection.framer.next_message()
            except MessageError as error:
                self.counters.errors.header_error += 1
                self.fire(Occurrence(Event.HEADER_ERROR, now, connection, error=error))
                return False
            if message is None:
                return False
            kind, body = message
            if kind == _UPDATE:
                self._update(now, connection, body)
            else:
                closes = self.unfinished_closes
                self._message(now, connection, kind, body)
                if self.unfinished_closes > closes or self.waits_for_close:
                    return True  # let stale routes be dealt with before the next message
        return True

    def tick(self, now: float, unread: bool = False) -> None:
        """Let timers expire. `unread`: bytes of the session wait, so an expired hold time is no sign of silence."""
        while (key := self.timers.pop_due(now)) is not None:
            timer, family = key
            if timer is Timer.HOLD and unread:
                self.start_hold(now)
            elif timer is Timer.PREFIX_IDLE:
                self.start(now)
            elif timer is Timer.END_OF_RIB and family is not None:
                self._end_of_rib(now, family, assumed=True)
            elif timer is Timer.RESTART:
                self._restart_expired(now)
            else:
                self._expired(now, timer)

    def sent(self, now: float, octets: int, updates: int) -> None:
        """The adapter wrote UPDATEs on the session: they count as keepalive."""
        self.counters.tx.octets += octets
        self.counters.tx.update += updates
        self.start_keepalive(now)

    def block(self, now: float) -> None:
        """The session's transport takes no more: keepalives wait behind what it holds."""
        if self.blocked or self.negotiated is None:
            return
        self.blocked = True
        self.counters.blocked += 1
        if self.behaviour.send_hold_timer and self.negotiated.hold_time:
            wait = self.speaker.timers.send_hold_time(self.negotiated.hold_time)
            self.timers.start(Timer.SEND_HOLD, now + wait)

    def unblock(self, now: float) -> None:
        """The session's transport is empty again."""
        self.blocked = False
        self.timers.stop(Timer.SEND_HOLD)
        if self._keepalive_owed:
            self._keepalive_owed = False
            self.send_keepalive()

    def close_finished(self, now: float) -> None:
        """What SessionDown, LongLivedStale or SweepStale asked for is done."""
        self.unfinished_closes -= 1
        if not self.unfinished_closes:
            if self.connections.session is None:
                self.negotiated = None
            self.start(now)

    # --- state --------------------------------------------------------------------------------------------------------

    @property
    def next_deadline(self) -> float | None:
        """When `tick` wants to be called, or None."""
        return self.timers.next_deadline

    @property
    def local_as(self) -> int:
        return self.settings.local_as or self.speaker.autonomous_system

    @property
    def internal(self) -> bool:
        """iBGP: the peer's AS is the session's local AS."""
        return self.settings.autonomous_system == self.local_as

    @property
    def hold_time(self) -> int:
        """Configured hold time in seconds."""
        return self.speaker.hold_time if self.settings.hold_time is None else self.settings.hold_time

    @property
    def admin_down(self) -> bool:
        return self.settings.admin_down or self.speaker.admin_down

    @property
    def held_down(self) -> bool:
        """True when it does not start by itself."""
        return self.admin_down or self.deleted or self.close_in_progress or self.timers.running(Timer.PREFIX_IDLE)

    @property
    def close_in_progress(self) -> bool:
        return self.unfinished_closes > 0

    @property
    def waits_for_close(self) -> bool:
        """Profile rfc: the peer's OPEN is taken, but routes of its last session are still being dealt with.

        Nothing more is read till then (profile contrail goes back to Idle at the KEEPALIVE).
        """
        replaced = self.close_in_progress and not self.behaviour.cease_on_new_connection
        return replaced and self.state is State.OPEN_CONFIRM

    @property
    def refusal(self) -> Cease | None:
        """Why an inbound connection is refused before the state machine sees it (reference/bgp.md 1.3)."""
        if self.deleted:
            return Cease.DECONFIGURED
        if self.admin_down:
            return Cease.ADMIN_SHUTDOWN
        if self.timers.running(Timer.PREFIX_IDLE):
            return Cease.MAX_PREFIXES
        if self.close_in_progress:
            return Cease.REJECTED
        return None

    @property
    def waiting(self) -> int:
        """Bytes of the session that were fed and not yet read."""
        session = self.connections.session
        return session.framer.waiting if session is not None else 0

    def starting_up(self, now: float) -> bool:
        """In the first fifth of the End-of-RIB time since the speaker started (reference/bgp.md 1.9)."""
        return now - self.started_at < self.speaker.startup_time

    # --- the machine --------------------------------------------------------------------------------------------------

    def fire(self, occurrence: Occurrence) -> None:
        """Run one event and whatever follows from it. Not re-entrant: an event from inside an action waits its turn."""
        self._queue.append(occurrence)
        if self._running:
            return
        self._running = True
        try:
            while self._queue:
                self._step(self._queue.popleft())
        finally:
            self._running = False

    def _step(self, occurrence: Occurrence) -> None:
        self.history.event(occurrence.now, occurrence.event)
        for rule in fsm.TABLE[self.state, occurrence.event]:
            if GUARDS[rule.guard](self, occurrence):
                self._apply(rule, occurrence)
                return

    def _apply(self, rule: Rule, occurrence: Occurrence) -> None:
        state = self.state
        if rule.next is None:
            for action in rule.actions:
                ACTIONS[action](self, occurrence)
            return
        self.cause = Cause()
        for action in (*fsm.ON_EXIT[state], *rule.actions):
            ACTIONS[action](self, occurrence)
        if rule.next is not state:
            self.history.left(occurrence.now, state)
        self.state = rule.next
        for action in fsm.ON_ENTRY[rule.next]:
            ACTIONS[action](self, occurrence)

    def _expired(self, now: float, timer: Timer) -> None:
        if timer is Timer.HOLD:
            self.counters.errors.hold_timer += 1
        elif timer is Timer.CONNECT and self.state is State.CONNECT:
            self.counters.errors.connect_timer += 1
        self.fire(Occurrence(_EXPIRY_EVENT[timer], now))

    # --- messages -----------------------------------------------------------------------------------------------------

    def _message(self, now: float, connection: Connection, kind: int, body: bytes) -> None:
        if kind == MessageType.KEEPALIVE:
            self.counters.rx.keepalive += 1
            self.fire(Occurrence(Event.KEEPALIVE, now, connection))
        elif kind == MessageType.OPEN:
            self._open(now, connection, body)
        else:
            self._other(now, connection, kind, body)

    def _update(self, now: float, connection: Connection, body: bytes) -> None:
        self.counters.rx.update += 1
        negotiated = self.negotiated
        if self.state is not _ESTABLISHED or negotiated is None:
            self.fire(Occurrence(Event.UPDATE, now, connection))
            return
        try:
            received = read(body, negotiated, self.behaviour)
        except MessageError as error:
            self.counters.errors.update_error += 1
            self.fire(Occurrence(Event.UPDATE_ERROR, now, connection, error=error))
            return
        if received.faults:
            self.counters.errors.update_fault += len(received.faults)
        if self._running or self._queue:
            self.fire(Occurrence(Event.UPDATE, now, connection, received=received))
            return
        # What the table says of an UPDATE in Established, done without the way through the table.
        if not self._heard:  # once per slice: `now` is the same
            self._heard = True
            self.start_hold(now)
        self.history.event(now, _UPDATE_EVENT)
        self.deliver(now, received)

    def _open(self, now: float, connection: Connection, body: bytes) -> None:
        self.counters.rx.open += 1
        try:
            message = Open.read(body, self.behaviour)
            opening.check(message, self.speaker, self.settings, self.behaviour)
        except MessageError as error:
            self.counters.errors.open_error += 1
            self.fire(Occurrence(Event.OPEN_ERROR, now, connection, error=error))
            return
        self.fire(Occurrence(Event.OPEN, now, connection, open=message))

    def _other(self, now: float, connection: Connection, kind: int, body: bytes) -> None:
        try:
            message = decode(kind, body, self.behaviour)
        except MessageError as error:
            self.counters.errors.header_error += 1
            self.fire(Occurrence(Event.HEADER_ERROR, now, connection, error=error))
            return
        if isinstance(message, Notification):
            self.counters.rx.notification += 1
            self.fire(Occurrence(Event.NOTIFICATION, now, connection, notification=message))
        elif isinstance(message, RouteRefresh):
            self.counters.rx.route_refresh += 1
            family = message.family if message.subtype == 0 else None  # RFC 7313 5: others are no request
            self.fire(Occurrence(Event.ROUTE_REFRESH, now, connection, family=family))

    # --- what actions use ---------------------------------------------------------------------------------------------

    def framer(self) -> Framer:
        return Framer(self.behaviour)

    def write(self, connection: Connection, data: bytes) -> None:
        self.counters.tx.octets += len(data)
        self.outputs.append(Write(connection.number, data))

    def notify(self, now: float, connection: Connection, code: int, subcode: int, data: bytes) -> None:
        """Send a NOTIFICATION and remember it."""
        notification = Notification(code, subcode, data)
        self.counters.tx.notification += 1
        self.history.sent(now, notification.text)
        self.write(connection, notification.encode())

    def send_open(self, now: float, connection: Connection | None) -> None:
        if connection is None:
            return
        restarting = (
            self.starting_up(now)
            if self.behaviour.hold_back_end_of_rib
            else self.speaker.graceful_restart.restarting and self.starting_up(now)
        )
        self.counters.tx.open += 1
        message = opening.local_open(self.speaker, self.settings, self.behaviour, restarting)
        self.write(connection, message.encode())

    def send_keepalive(self) -> None:
        """Now, or as soon as the transport takes bytes again: what it holds says that we are alive."""
        session = self.connections.session
        if session is None:
            return
        if self.blocked:
            self._keepalive_owed = True
            return
        self.counters.tx.keepalive += 1
        self.write(session, _KEEPALIVE)

    def start_hold(self, now: float) -> None:
        if self.negotiated is not None and self.negotiated.hold_time:
            self.timers.start(Timer.HOLD, now + self.negotiated.hold_time)

    def start_keepalive(self, now: float) -> None:
        if self.negotiated is not None and self.negotiated.hold_time:
            self.timers.start(Timer.KEEPALIVE, now + self.speaker.timers.keepalive_time(self.negotiated.hold_time))

    def negotiate(self, message: Open) -> None:
        """Take over what the peer's OPEN says."""
        self.remote_open = message
        self.negotiated = opening.agreed(message, self.speaker, self.settings, self.behaviour)
        announced = opening.announced(message)
        if self.helper.refuses(announced, frozenset(self.negotiated.families)):
            self.end_restart()  # profile rfc: else this session would not be
        self.helper.learn(announced, self.negotiated.families)

    def session_gone(self) -> None:
        """No connection is left."""
        self.blocked = False
        self._keepalive_owed = False
        self._complete.clear()

    def start_again(self, now: float) -> None:
        """Begin again once this event is done."""
        if not self.held_down:
            self.negotiated = None
            self._queue.append(Occurrence(Event.START, now))

    # --- routes of the session ----------------------------------------------------------------------------------------

    def deliver(self, now: float, received: update.Received) -> None:
        """Count an UPDATE's routes and hand it on; an End-of-RIB behind them is an event of its own."""
        counters = self.counters.rx_updates
        for reach in received.reach:
            counters.reach += len(reach.routes)
        for unreach in received.unreach:
            counters.unreach += len(unreach.keys)
        if received.end_of_rib is None or received.reach or received.unreach:
            self.outputs.append(received)
        if received.end_of_rib is not None:
            counters.end_of_rib += 1
            self._end_of_rib(now, received.end_of_rib, assumed=False)

    def wait_for_end_of_rib(self, now: float, family: Family) -> None:
        timeout = (
            self.speaker.timers.route_target_end_of_rib
            if family is Family.ROUTE_TARGET
            else self.speaker.end_of_rib_timeout
        )
        self.timers.start(Timer.END_OF_RIB, now + timeout, family)

    def _end_of_rib(self, now: float, family: Family, assumed: bool) -> None:
        self.timers.stop(Timer.END_OF_RIB, family)
        if family not in self._complete:
            self._complete.add(family)
            self.outputs.append(EndOfRib(family, assumed))
        if self.helper.end_of_rib(family):
            self._sweep()

    # --- graceful restart ---------------------------------------------------------------------------------------------

    def keep_stale(self, now: float, graceful: bool) -> bool:
        """The established session ended: True when its routes are kept, and the restart timer runs."""
        wait = self.helper.session_lost(now, graceful)
        if wait is None:
            self.timers.stop(Timer.RESTART)
            return False
        self.timers.start(Timer.RESTART, now + wait)
        return True

    def end_restart(self) -> None:
        """Give up a restart under way."""
        if self.helper.waits:
            self.helper.abandon()
            self._drop_stale()

    def _sweep(self) -> None:
        self.helper.swept()
        self._drop_stale()

    def _drop_stale(self) -> None:
        self.timers.stop(Timer.RESTART)
        self.unfinished_closes += 1
        self.outputs.append(SweepStale())

    def _restart_expired(self, now: float) -> None:
        expiry, wait = self.helper.expired(now, self.state is State.ESTABLISHED)
        if expiry is Expiry.SWEEP:
            self._sweep()
        elif expiry is Expiry.LONG_LIVED:
            self.timers.start(Timer.RESTART, now + wait)
            self.unfinished_closes += 1
            self.outputs.append(LongLivedStale())
        else:
            for family in sorted(self.helper.waiting):
                self._end_of_rib(now, family, assumed=True)
