"""A neighbour under Twisted: drives one PeerCore with a clock and transports, and tells the handler."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure

from contrail_emulator.base.behaviour import Behaviour
from contrail_emulator.base.capture import capture_factory
from contrail_emulator.base.pcap import Capture
from contrail_emulator.base.traffic_class import set_dscp

from . import outputs, rows, sent, update
from .counters import Counters
from .family import Family
from .fsm import State
from .handler import Handler
from .md5 import Md5Error
from .negotiation import Negotiated
from .notification import Cease
from .peer import PeerCore
from .settings import Change, PeerSettings, SpeakerSettings, change_of
from .sockets import prepare
from .transport import BgpTransport, OpenTransports

_ESTABLISHED = State.ESTABLISHED
SLICE = 64
"""Messages read in one reactor turn; then timers and other peers get theirs."""
MAX_BACKLOG = 1024 * 1024
"""Bytes taken by `send` while blocked, before the session is ended with Cease/8."""
TCP_TIMEOUT = 60
"""Upper bound on a connect; the state machine's own is shorter."""


class Peer:
    """One neighbour of a Speaker. Settings change through Speaker.update_peer."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        speaker: SpeakerSettings,
        settings: PeerSettings,
        handler: Handler,
        *,
        behaviour: Behaviour,
        rng: Random,
        capture: Capture | None,
        started_at: float,
        transports: OpenTransports,
    ) -> None:
        self.core = PeerCore(speaker, settings, behaviour=behaviour, rng=rng, started_at=started_at)
        self.reactor = reactor
        self._handler = handler
        self._capture = capture
        self._all_transports = transports
        self._transports: dict[int, BgpTransport] = {}
        self._connectors: dict[int, Any] = {}
        self._timer: Any = None
        self._performing = False
        self._paused = False
        self._fault_logged = False
        self._key_refused = False
        self._logged_state = self.core.state
        self._unfinished: set[int] = set()
        self._next_turn: Any = None
        self._refreshes: set[Family] = set()
        self._backlog = 0

    # --- for users ----------------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return self.core.settings.name

    @property
    def settings(self) -> PeerSettings:
        return self.core.settings

    @property
    def state(self) -> State:
        return self.core.state

    @property
    def negotiated(self) -> Negotiated | None:
        """What the current session agreed on, or the last one until a new one is tried."""
        return self.core.negotiated

    @property
    def internal(self) -> bool:
        """iBGP."""
        return self.core.internal

    @property
    def local_as(self) -> int:
        """The AS we use towards this peer."""
        return self.core.local_as

    @property
    def router_id(self) -> int:
        """The peer's BGP identifier, 0 before its first OPEN."""
        return self.core.remote_open.identifier if self.core.remote_open is not None else 0

    @property
    def long_lived(self) -> bool:
        """The peer understands long-lived stale routes (reference/bgp.md 1.9, export)."""
        return self.core.helper.long_lived_obstacle() is None

    @property
    def counters(self) -> Counters:
        return self.core.counters

    @property
    def blocked(self) -> bool:
        """The transport takes no more for now; `handler.unblocked` says when it does."""
        return self.core.blocked

    @property
    def local_address(self) -> tuple[str, int] | None:
        """Our end of the session, None when there is none."""
        transport = self.session_transport
        return transport.local if transport is not None else None

    @property
    def remote_address(self) -> tuple[str, int] | None:
        """The peer's end of the session, None when there is none."""
        transport = self.session_transport
        return transport.remote if transport is not None else None

    def send(self, data: bytes, *, tallied: bool = False) -> bool:
        """Send whole UPDATE messages on the established session.

        `tallied`: the caller adds the routes in them to `counters.tx_updates`; otherwise they are read for it.

        Returns False when the peer is blocked: the bytes were taken, wait for `unblocked` before more. A caller that
        goes on regardless ends the session with Cease/8 after MAX_BACKLOG bytes. False too, and nothing sent, when the
        session is not established.
        """
        transport = self.session_transport
        if transport is None or self.core.state is not _ESTABLISHED:
            return False
        now = self.reactor.seconds()
        if self.core.blocked:
            self._backlog += len(data)
            if self._backlog > MAX_BACKLOG:
                self.clear(Cease.OUT_OF_RESOURCES)
                return False
        if tallied:
            self.core.sent(now, len(data), sent.messages(data))
        else:
            counted, totals = sent.count(data), self.counters.tx_updates
            self.core.sent(now, len(data), counted.messages)
            totals.reach += counted.reach
            totals.unreach += counted.unreach
            totals.end_of_rib += counted.ends_of_rib
        transport.write(data)
        return not self.core.blocked

    def send_end_of_rib(self, family: Family) -> bool:
        """Tell the peer that it has all routes of a family. As `send`."""
        return self.send(update.end_of_rib(family, self.core.behaviour))

    def pause_reading(self) -> None:
        """Read no more from the session: the peer's routes wait in the kernel, then with the peer."""
        self._paused = True
        self._apply_pause()

    def resume_reading(self) -> None:
        self._paused = False
        self._read_session()

    def clear(self, subcode: Cease = Cease.ADMIN_RESET) -> None:
        """End the session with this Cease; it comes up again after the idle hold time."""
        self.core.stop(self.reactor.seconds(), subcode)
        self._perform_all()

    def prefixes(self, family: Family, count: int) -> bool:
        """How many prefixes the peer has given us in a family. More than its limit ends the session; False then."""
        limit = self.settings.of_family(family)
        if not limit.prefix_limit or count <= limit.prefix_limit:
            return True
        self._log.warn(
            "{peer}: {count} prefixes of {family}, {limit} allowed",
            peer=self.name,
            count=count,
            family=family.config_name,
            limit=limit.prefix_limit,
        )
        self.core.exceed_prefix_limit(self.reactor.seconds(), limit.idle_timeout)
        self._perform_all()
        return False

    def rows(self) -> dict[str, object]:
        """The neighbour's row in introspect (reference/bgp.md 6.2, BgpNeighborResp)."""
        transport = self.session_transport
        return rows.neighbour(
            self.core,
            self.reactor.seconds(),
            local=transport.local if transport is not None else None,
            remote=transport.remote if transport is not None else None,
        )

    # --- for the speaker ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.core.start(self.reactor.seconds())
        self._perform_all()

    def adopt(self, transport: BgpTransport) -> None:
        """An accepted connection that is ours."""
        transport.owner = self
        transport.number = self.core.accepted(self.reactor.seconds())
        self._transports[transport.number] = transport
        self._prepare(transport)
        self._perform_all()

    def change(self, settings: PeerSettings) -> None:
        """New settings, with what they ask for (reference/bgp.md 1.7)."""
        change = change_of(self.core.settings, settings)
        self.core.settings = settings
        now = self.reactor.seconds()
        if change is Change.ADMIN_DOWN:
            self.core.stop(now, Cease.ADMIN_SHUTDOWN)
        elif change is Change.ADMIN_UP:
            self.core.admin_up(now)
        elif change is Change.CLEAR:
            self.core.reconfigured(now)
        self._perform_all()

    def change_speaker(self, settings: SpeakerSettings, clear: bool) -> None:
        """The speaker's settings changed: `clear` ends the session, admin-down and admin-up act as on the peer."""
        was_down = self.core.admin_down
        marked_anew = settings.dscp != self.core.speaker.dscp
        self.core.take_speaker(settings)
        for transport in self._transports.values() if marked_anew else ():
            if transport.socket is not None:
                set_dscp(transport.socket, settings.dscp)
        now = self.reactor.seconds()
        if self.core.admin_down and not was_down:
            self.core.stop(now, Cease.ADMIN_SHUTDOWN)
        elif was_down and not self.core.admin_down:
            self.core.admin_up(now)
        elif clear:
            self.core.reconfigured(now)
        self._perform_all()

    def vanish(self) -> None:
        """Reset every connection without a word: to the peer it is as if we had died."""
        for transport in self._transports.values():
            transport.abort()

    def remove(self, subcode: Cease) -> None:
        """End for good."""
        self.core.delete(self.reactor.seconds(), subcode)
        self._perform_all()

    # --- transports tell ----------------------------------------------------------------------------------------------

    def made(self, transport: BgpTransport) -> None:
        """The outbound connection is up."""
        self._all_transports.add(transport)
        self._connectors.pop(transport.number, None)
        self._transports[transport.number] = transport
        if self.core.connections.find(transport.number) is None:
            transport.finish()
            return
        self.core.connected(self.reactor.seconds(), transport.number)
        self._perform_all()

    def received(self, transport: BgpTransport, data: bytes) -> None:
        self.core.feed(transport.number, data)
        if transport.number not in self._unfinished:
            self._read(transport.number)

    def lost(self, transport: BgpTransport) -> None:
        """Read what came before the end, it may hold the reason, then close."""
        self._all_transports.discard(transport)
        now = self.reactor.seconds()
        while self.core.process(now, transport.number, SLICE):
            self._perform_all()
        self._transports.pop(transport.number, None)
        self.core.lost(now, transport.number)
        self._perform_all()

    def blocked_by(self, transport: BgpTransport) -> None:
        if self._is_session(transport.number):
            self.core.block(self.reactor.seconds())
            self._arm()

    def unblocked_by(self, transport: BgpTransport) -> None:
        if self._is_session(transport.number) and self.core.blocked:
            self._backlog = 0
            self.core.unblock(self.reactor.seconds())
            self._perform_all()
            self._tell_refreshes()
            self._handler.unblocked(self)

    def connect_failed(self, number: int, reason: Failure) -> None:
        self._connectors.pop(number, None)
        self._log.debug("{peer}: connect failed: {why}", peer=self.name, why=reason.getErrorMessage())
        self.core.connect_failed(self.reactor.seconds(), number)
        self._perform_all()

    # --- reading in slices --------------------------------------------------------------------------------------------

    def _read(self, number: int) -> None:
        """Read a slice. When more may be waiting, go on in the next turn and take nothing new till then."""
        if self._reading_waits(number):
            return
        if self.core.process(self.reactor.seconds(), number, SLICE):
            self._unfinished.add(number)
            if self._next_turn is None:
                self._next_turn = self.reactor.callLater(0, self._read_on)
        self._perform_all()
        self._apply_pause()

    def _read_on(self) -> None:
        self._next_turn = None
        unfinished, self._unfinished = self._unfinished, set()
        for number in sorted(unfinished):
            self._read(number)

    def _read_session(self) -> None:
        """Go on where reading had to wait."""
        self._apply_pause()
        session = self.core.connections.session
        if session is not None and session.number not in self._unfinished:
            self._read(session.number)

    def _reading_waits(self, number: int) -> bool:
        return (self._paused or self.core.waits_for_close) and self._is_session(number)

    def _apply_pause(self) -> None:
        for number, transport in self._transports.items():
            if number in self._unfinished or self._reading_waits(number):
                transport.pause()
            else:
                transport.resume()

    # --- doing what the core wants ------------------------------------------------------------------------------------

    def _perform_all(self) -> None:
        """Perform the core's outputs in order. A call from inside one of them leaves its outputs to the outer call."""
        if self._performing:
            return
        self._performing = True
        try:
            while self.core.outputs:
                self._perform(self.core.outputs.popleft())
                if not self.core.outputs:
                    self._tell_refreshes()
        finally:
            self._performing = False
        self._note_state()
        self._arm()

    def _perform(self, output: outputs.Output) -> None:
        if isinstance(output, update.Received):
            self._note_faults(output.faults)
            self._handler.received(self, output)
        elif isinstance(output, outputs.Write):
            transport = self._transports.get(output.connection)
            if transport is not None:
                transport.write(output.data)
        elif isinstance(output, outputs.OpenConnection):
            self._connect(output.connection)
        elif isinstance(output, outputs.CloseConnection):
            self._close(output.connection)
        else:
            self._tell(output)

    def _tell(self, output: outputs.Output) -> None:
        handler = self._handler
        if isinstance(output, outputs.SessionUp):
            self._backlog = 0
            self._fault_logged = False
            self._log.info("{peer}: established", peer=self.name)
            handler.established(self)
        elif isinstance(output, outputs.SessionDown):
            self._paused = False
            self._refreshes.clear()
            self._log.info("{peer}: session ended, {why}", peer=self.name, why=output.reason.text)
            self._when_done(handler.closed, output.reason)
        elif isinstance(output, outputs.EndOfRib):
            handler.end_of_rib(self, output.family, output.assumed)
        elif isinstance(output, outputs.LongLivedStale):
            self._when_done(handler.long_lived_stale)
        elif isinstance(output, outputs.SweepStale):
            self._when_done(handler.sweep_stale)
        elif isinstance(output, outputs.RefreshRequested):
            self._refreshes.add(output.family)

    def _tell_refreshes(self) -> None:
        """Each family asked for, once for all requests read together, and only when the peer takes bytes."""
        if self._refreshes and not self.core.blocked:
            wanted, self._refreshes = self._refreshes, set()
            for family in sorted(wanted):
                self._handler.refresh(self, family)

    def _note_state(self) -> None:
        if self.core.state is not self._logged_state:
            event = self.core.history.last_event
            self._log.debug(
                "{peer}: {old} -> {new} after {event}",
                peer=self.name,
                old=self._logged_state.value,
                new=self.core.state.value,
                event=event.value if event is not None else "",
            )
            self._logged_state = self.core.state

    def _note_faults(self, faults: list[str]) -> None:
        """The first fault of a session is logged, all are counted (`update_fault`)."""
        if faults and not self._fault_logged:
            self._fault_logged = True
            self._log.warn("{peer}: UPDATE partly ignored: {faults}", peer=self.name, faults="; ".join(faults))

    def _when_done(self, deal_with_routes: Callable[..., Deferred[None] | None], *arguments: object) -> None:
        """The close is over when the handler is done with it, also when it failed: a peer is never closed for ever."""
        result = maybeDeferred(deal_with_routes, self, *arguments)
        result.addErrback(lambda failure: self._log.failure("{peer}: close", failure, peer=self.name))
        result.addCallback(lambda _: self._close_finished())

    def _close_finished(self) -> None:
        self.core.close_finished(self.reactor.seconds())
        self._perform_all()
        self._read_session()

    # --- connections --------------------------------------------------------------------------------------------------

    def _connect(self, number: int) -> None:
        settings = self.core.settings
        source = settings.local_address or self.core.speaker.source_address
        connector = self.reactor.connectTCP(
            settings.address,
            settings.port,
            capture_factory(self._capture, _Outbound(self, number)),
            timeout=TCP_TIMEOUT,
            bindAddress=None if source is None else (source, 0),
        )
        if number not in self._transports and self.core.connections.find(number) is not None:
            self._connectors[number] = connector

    def prepare_outbound(self, connector: Any) -> None:
        """Set options on a socket before it connects: a key must sign the first segment."""
        transport = getattr(connector, "transport", None)
        handle = getattr(transport, "getHandle", None)
        if handle is None:
            return
        try:
            prepare(handle(), self.core.speaker.dscp, self.settings.address, self.settings.md5)
        except Md5Error as error:
            level = LogLevel.debug if self._key_refused else LogLevel.error
            self._key_refused = True
            self._log.emit(level, "{peer}: {why}", peer=self.name, why=str(error))
            connector.disconnect()

    def _prepare(self, transport: BgpTransport) -> None:
        """An accepted socket has its key from the listening one."""
        sock = transport.socket
        if sock is not None:
            prepare(sock, self.core.speaker.dscp, self.settings.address, None)

    def _close(self, number: int) -> None:
        connector = self._connectors.pop(number, None)
        if connector is not None:
            connector.disconnect()
        transport = self._transports.get(number)
        if transport is not None:
            transport.finish()

    @property
    def session_transport(self) -> BgpTransport | None:
        """The connection of the session, None when there is none."""
        session = self.core.connections.session
        return self._transports.get(session.number) if session is not None else None

    def _is_session(self, number: int) -> bool:
        session = self.core.connections.session
        return session is not None and session.number == number

    # --- time ---------------------------------------------------------------------------------------------------------

    def _arm(self) -> None:
        """Have one delayed call no later than the next deadline; an early one just looks again."""
        deadline = self.core.next_deadline
        timer = self._timer
        if timer is not None and timer.active():
            if deadline is not None and timer.getTime() <= deadline:
                return
            timer.cancel()
        self._timer = None
        if deadline is not None:
            self._timer = self.reactor.callLater(max(0.0, deadline - self.reactor.seconds()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.core.tick(self.reactor.seconds(), self._unread())
        self._perform_all()

    def _unread(self) -> bool:
        """Whether bytes of the session wait although the peer may seem silent."""
        if not (self._paused or self.core.waits_for_close or self.core.behaviour.ignore_hold_expiry_with_unread_bytes):
            return False
        transport = self.session_transport
        return transport is not None and (self.core.waiting > 0 or transport.unread)


class _Outbound(ClientFactory):
    """One attempt to connect."""

    noisy = False

    def __init__(self, peer: Peer, number: int) -> None:
        self._peer = peer
        self._number = number

    def startedConnecting(self, connector: Any) -> None:  # noqa: N802 - Twisted's name
        self._peer.prepare_outbound(connector)

    def buildProtocol(self, addr: IAddress | None) -> BgpTransport:  # noqa: N802 - Twisted's name
        return BgpTransport(self._peer.reactor, self._peer, self._number)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        self._peer.connect_failed(self._number, reason)
