"""The client: an agent's session with one server, kept up with back-off (reference/xmpp.md 1.7)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IAddress, IConnector
from twisted.internet.protocol import ClientFactory
from twisted.logger import Logger
from twisted.python.failure import Failure

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.base.capture import capture_factory
from contrail_emulator.base.pcap import Capture

from .client_fsm import ClientCore
from .core import DEFAULT_HOLD_TIME, Do, Effect
from .deadline_timer import DeadlineTimer
from .framing import DEFAULT_MAX_STANZA
from .names import CONTROL_NODE_JID, CONTROL_PORT
from .session import Handler, Session
from .socket_options import set_no_delay, set_timeouts, set_traffic_class
from .states import Event, State
from .stream import open_bytes
from .tls import TlsContext, TlsSettings

CONNECT_LIMIT = 60
"""Seconds that Twisted allows a connect; the state machine's own limit is shorter."""


class ClientHandler(Handler, Protocol):
    """A Handler that also hears of a server that does not answer."""

    def timed_out(self, client: XmppClient) -> None:
        """From four attempts on, at each failure: the agent may turn to another server."""


@dataclass(frozen=True, slots=True)
class ClientSettings:
    """`name` is the `from` of the open (`compute-7`, `compute-7/dns`), `to` the server's JID. Times in seconds.

    `tls` names files to read, or is what was read from them already: then making a client cannot fail for them.
    """

    name: str
    address: str
    port: int = CONTROL_PORT
    to: str = CONTROL_NODE_JID
    bind_address: str = ""
    subcluster: str = ""
    hold_time: float = DEFAULT_HOLD_TIME
    tls: TlsSettings | TlsContext | None = None
    max_stanza: int = DEFAULT_MAX_STANZA
    tcp_hold_time: float = 30.0
    behaviour: Behaviour = CONTRAIL


class ClientSession(Session):
    """One connection of a client."""

    def __init__(self, client: XmppClient, handler: Handler, timer: DeadlineTimer) -> None:
        super().__init__(client.reactor, client.core, handler, timer)
        self.client = client

    def _connected(self) -> None:
        found = getattr(self.transport, "socket", None)
        set_no_delay(found)
        set_timeouts(found, self.client.settings.tcp_hold_time)
        if self.client.dscp:
            set_traffic_class(found, self.client.dscp)
        self.client.connected(self)

    def _lost(self) -> None:
        self.client.lost(self)

    def _start_tls(self) -> None:
        transport: Any = self.transport
        transport.startTLS(self.client.tls_context)

    def _other_effect(self, effect: Effect) -> None:
        self.client.carry_out([effect])


class _Attempt(ClientFactory):
    """One connect; what comes of an abandoned one is not heard."""

    noisy = False

    def __init__(self, client: XmppClient) -> None:
        self._client = client
        self.connector: IConnector | None = None

    def buildProtocol(self, addr: IAddress | None) -> ClientSession | None:  # noqa: N802
        return self._client.build(self)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        self._client.connect_failed(self, reason.getErrorMessage())


class XmppClient:
    """Keeps one session up until it is stopped."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        settings: ClientSettings,
        handler: ClientHandler,
        *,
        rng: random.Random,
        capture: Capture | None = None,
    ) -> None:
        """Raises StreamError when the stream open does not fit in 1024 bytes, TlsError for the certificate files."""
        self.reactor = reactor
        self.settings = settings
        tls = settings.tls
        self.tls_context = TlsContext(tls, server=False) if isinstance(tls, TlsSettings) else tls
        opening = open_bytes(settings.name, settings.to, settings.subcluster)
        self.core = ClientCore(
            opening,
            settings.name,
            rng,
            settings.hold_time,
            tls is not None,
            settings.max_stanza,
            behaviour=settings.behaviour,
        )
        self._handler = handler
        self._capture = capture
        self._timer = DeadlineTimer(reactor, self.core, self.carry_out)
        self._attempt: _Attempt | None = None
        self._session: ClientSession | None = None
        self._open_sessions: set[ClientSession] = set()
        self._idle: list[Deferred[None]] = []
        self.last_error = ""
        self.dscp = 0

    # --- What an agent uses -------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        return self.core.state

    @property
    def session(self) -> Session | None:
        """The present session, None unless Established."""
        return self._session if self.core.state is State.ESTABLISHED else None

    def start(self) -> None:
        """Begin to connect; again after `stop`."""
        self._handle(Event.START)

    def stop(self) -> Deferred[None]:
        """Close the session and connect no more; fires when the connection is gone."""
        self._handle(Event.STOP, "stopped")
        self._timer.cancel()
        if not self._open_sessions:
            return succeed(None)
        deferred: Deferred[None] = Deferred()
        self._idle.append(deferred)
        return deferred

    def set_hold_time(self, seconds: float) -> None:
        """Change the hold time, also of the live session."""
        self.carry_out(self.core.set_hold_time(seconds, self.reactor.seconds()))

    def set_dscp(self, dscp: int) -> None:
        """Mark what the sessions send with this DSCP from now on."""
        self.dscp = dscp
        if self._session is not None:
            set_traffic_class(getattr(self._session.transport, "socket", None), dscp)

    def rows(self) -> dict[str, object]:
        """For introspection."""
        session = {} if self._session is None else self._session.rows()
        return {
            **session,
            "server": f"{self.settings.address}:{self.settings.port}",
            "state": self.core.state.label,
            "substate": self.core.state.substate,
            "attempts": self.core.attempts,
            "flaps": self.core.flaps,
            "dscp": self.dscp,
            "last_error": self.last_error,
        }

    # --- What sessions and attempts call ------------------------------------------------------------------------------

    def build(self, attempt: _Attempt) -> ClientSession | None:
        """The protocol of a connection that came up; None when it is not wanted any more."""
        if attempt is not self._attempt or self.core.state is not State.CONNECT:
            return None
        return ClientSession(self, self._handler, self._timer)

    def connected(self, session: ClientSession) -> None:
        """The transport is there."""
        self._session = session
        self._open_sessions.add(session)
        session.handle(Event.CONNECTED)

    def connect_failed(self, attempt: _Attempt, why: str) -> None:
        """The connect came to nothing."""
        if attempt is self._attempt:
            self._attempt = None
            self.last_error = why
            self._handle(Event.CONNECT_FAILED, why)

    def lost(self, session: ClientSession) -> None:
        """The connection is gone."""
        self.last_error = session.reason
        self._open_sessions.discard(session)
        if self._session is session:
            self._session = None
        if not self._open_sessions:
            waiting, self._idle = self._idle, []
            for deferred in waiting:
                deferred.callback(None)

    def carry_out(self, effects: list[Effect]) -> None:
        """Do what the core asks for: what concerns a connection is its session's."""
        for effect in effects:
            match effect.do:
                case Do.CONNECT:
                    self._connect()
                case Do.TIMED_OUT:
                    self._handler.timed_out(self)
                case _ if self._session is not None:
                    self._session.carry_out([effect])
                case Do.DROP:
                    self.last_error = str(effect.data)
                    self._abandon()
                case _:
                    self.log.debug("nothing to carry out {do} on", do=effect.do)
        self._timer.arm()

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _handle(self, event: Event, payload: object = None) -> None:
        self.carry_out(self.core.handle(event, self.reactor.seconds(), payload))

    def _connect(self) -> None:
        self._session = None
        settings = self.settings
        self._attempt = attempt = _Attempt(self)
        bind = (settings.bind_address, 0) if settings.bind_address else None
        attempt.connector = self.reactor.connectTCP(
            settings.address,
            settings.port,
            capture_factory(self._capture, attempt, True),
            timeout=CONNECT_LIMIT,
            bindAddress=bind,
        )

    def _abandon(self) -> None:
        attempt, self._attempt = self._attempt, None
        if attempt is not None and attempt.connector is not None:
            attempt.connector.disconnect()
