"""The server: a control node's agent channel or the DNS front end's record channel (reference/xmpp.md 1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from contrail_emulator.base.behaviour import CONTRAIL, Behaviour
from contrail_emulator.base.capture import capture_factory
from contrail_emulator.base.pcap import Capture

from .admission import Existing, admit_name, admit_subcluster
from .core import DEFAULT_HOLD_TIME
from .framing import DEFAULT_MAX_STANZA
from .names import CONTROL_NODE_JID, CONTROL_PORT
from .server_fsm import ServerCore
from .session import Handler, Session
from .socket_options import set_no_delay, set_timeouts, set_traffic_class
from .stanza import StanzaParser
from .states import Event
from .stream import StreamOpen
from .tls import TlsContext, TlsSettings


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """`hostname` is the `from` of the reply; `jid` the `from` of stanzas. Times in seconds, sizes in bytes."""

    hostname: str
    address: str = "127.0.0.1"
    port: int = CONTROL_PORT
    jid: str = CONTROL_NODE_JID
    hold_time: float = DEFAULT_HOLD_TIME
    tls: TlsSettings | None = None
    subcluster: str = ""
    graceful_restart_helper: bool = False
    max_stanza: int = DEFAULT_MAX_STANZA
    tcp_hold_time: float = 30.0
    backlog: int = 1024
    behaviour: Behaviour = CONTRAIL


class ServerSession(Session):
    """One accepted connection."""

    def __init__(self, server: XmppServer) -> None:
        settings = server.settings
        tls = settings.tls is not None
        core = ServerCore(
            settings.hostname,
            self._judge,
            server.hold_time,
            tls,
            settings.max_stanza,
            server.parser,
            settings.behaviour,
        )
        super().__init__(server.reactor, core, server)
        self._server = server

    def _connected(self) -> None:
        found = getattr(self.transport, "socket", None)
        set_no_delay(found)
        set_timeouts(found, self._server.settings.tcp_hold_time)
        if self._server.dscp:
            set_traffic_class(found, self._server.dscp)
        self._server.accepted(self)
        self.handle(Event.ACCEPTED)

    def _lost(self) -> None:
        self._timer.cancel()
        self._server.lost(self)

    def _start_tls(self) -> None:
        transport: Any = self.transport
        transport.startTLS(self._server.tls_context)

    def _judge(self, opened: StreamOpen) -> str:
        return self._server.judge(self, opened)


class _Acceptor(Factory):
    """A session for each accepted connection."""

    noisy = False

    def __init__(self, server: XmppServer) -> None:
        self._server = server

    def buildProtocol(self, addr: IAddress | None) -> ServerSession:  # noqa: N802
        return ServerSession(self._server)


class XmppServer:
    """Listens, admits agents by name, and hands their sessions to `handler`."""

    log = Logger()

    def __init__(
        self, reactor: Any, settings: ServerSettings, handler: Handler, *, capture: Capture | None = None
    ) -> None:
        """Raises TlsError when the certificate files cannot be used."""
        self.reactor = reactor
        self.settings = settings
        self.graceful_restart_helper = settings.graceful_restart_helper
        """May be changed while running, with the configuration."""
        self.subcluster = settings.subcluster
        """Likewise."""
        self.hold_time = settings.hold_time
        self.dscp = 0
        self.tls_context = None if settings.tls is None else TlsContext(settings.tls, server=True)
        self.parser = StanzaParser()
        self.refused = 0
        """Opens refused since the start."""
        self._handler = handler
        self._capture = capture
        self._port: Any = None
        self._connections: set[ServerSession] = set()
        self._by_name: dict[str, ServerSession] = {}
        self._cleaning: dict[str, str] = {}
        self._idle: list[Deferred[None]] = []

    # --- What a node uses ---------------------------------------------------------------------------------------------

    @property
    def sessions(self) -> dict[str, Session]:
        """Established sessions by agent name."""
        return dict(self._by_name)

    @property
    def connections(self) -> int:
        """Accepted connections, established or not."""
        return len(self._connections)

    def listen(self) -> Deferred[int]:
        """Open the port; fires with its number, fails as `listenTCP` does."""
        return maybeDeferred(self._listen)

    def stop(self) -> Deferred[None]:
        """Close the port and all sessions; fires when the last connection is gone."""
        if self._port is not None:
            closing = maybeDeferred(self._port.stopListening)
            self._port = None
        else:
            closing = succeed(None)
        for session in list(self._connections):
            session.handle(Event.STOP, "the server stops")
        return closing.addCallback(lambda _: self._when_idle())

    def set_hold_time(self, seconds: float) -> None:
        """Change the hold time of all sessions, now."""
        self.hold_time = seconds
        for session in list(self._connections):
            session.set_hold_time(seconds)

    def set_dscp(self, dscp: int) -> None:
        """Mark what all sessions send with this DSCP from now on."""
        self.dscp = dscp
        for session in list(self._connections):
            set_traffic_class(getattr(session.transport, "socket", None), dscp)

    def clear(self, reason: str) -> None:
        """Close all sessions (a control node does so when its router id, ASN, … change: 1.7)."""
        for session in list(self._connections):
            session.close(reason)

    def start_cleanup(self, name: str, address: str) -> None:
        """Refuse the agent until `end_cleanup`: its previous session's routes are still being removed (1.8)."""
        self._cleaning[name] = address

    def end_cleanup(self, name: str) -> None:
        """The name is free again."""
        self._cleaning.pop(name, None)

    # --- What sessions call -------------------------------------------------------------------------------------------

    def accepted(self, session: ServerSession) -> None:
        """A connection is up."""
        self._connections.add(session)

    def lost(self, session: ServerSession) -> None:
        """A connection is gone."""
        self._connections.discard(session)
        if not self._connections:
            waiting, self._idle = self._idle, []
            for deferred in waiting:
                deferred.callback(None)

    def judge(self, session: ServerSession, opened: StreamOpen) -> str:
        """Why an open is refused, empty when it is not (1.2, 1.8)."""
        reason = admit_subcluster(self.subcluster, opened.default_namespace)
        if not reason:
            old = self._by_name.get(opened.from_)
            existing = self._existing(opened.from_, old)
            admission = admit_name(existing, session.peer_address, self.graceful_restart_helper)
            if admission.close_old and old is not None:
                old.close("the agent connected again")
            reason = admission.refusal
        if reason:
            self.refused += 1
        return reason

    def _existing(self, name: str, old: ServerSession | None) -> Existing | None:
        if old is not None:
            return Existing(old.peer_address, True)
        address = self._cleaning.get(name)
        return None if address is None else Existing(address, False)

    # --- Handler of the sessions: keeps the names, then hands on ------------------------------------------------------

    def established(self, session: Session) -> None:
        """See Handler."""
        if isinstance(session, ServerSession):
            self._by_name[session.peer_name] = session
        self._handler.established(session)

    def stanza(self, session: Session, stanza: Any) -> None:
        """See Handler."""
        self._handler.stanza(session, stanza)

    def closed(self, session: Session, reason: str) -> None:
        """See Handler."""
        if self._by_name.get(session.peer_name) is session:
            del self._by_name[session.peer_name]
        self._handler.closed(session, reason)

    def unblocked(self, session: Session) -> None:
        """See Handler."""
        self._handler.unblocked(session)

    # --- Inside -------------------------------------------------------------------------------------------------------

    def _listen(self) -> int:
        settings = self.settings
        factory = capture_factory(self._capture, _Acceptor(self))
        self._port = self.reactor.listenTCP(
            settings.port, factory, backlog=settings.backlog, interface=settings.address
        )
        return int(self._port.getHost().port)

    def _when_idle(self) -> Deferred[None]:
        if not self._connections:
            return succeed(None)
        deferred: Deferred[None] = Deferred()
        self._idle.append(deferred)
        return deferred
