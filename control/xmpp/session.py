"""A session over a Twisted transport: the thin adapter around a core, the same for server and client."""

from __future__ import annotations

import socket
from typing import Any, Final, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IDelayedCall, IHandshakeListener, IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger, LogLevel
from twisted.python.failure import Failure
from zope.interface import implementer

from .core import Core, Counters, Do, Effect
from .deadline_timer import DeadlineTimer
from .outbox import Outbox
from .stanza import Stanza
from .states import Event, State

FAULTS: Final = frozenset({Event.BAD_INPUT, Event.REFUSED, Event.OPEN_TIMER, Event.HOLD_TIMER})
"""A session that ends so is worth a warning."""

FRAMES_PER_TURN: Final = 64
"""Frames handled in one turn of the reactor; the rest waits for the next."""
CLOSE_TIME: Final = 5.0
"""Seconds for the last bytes to leave before the connection is cut."""


class Handler(Protocol):
    """What a control node, an agent or a DNS front end implements."""

    def established(self, session: Session) -> None:
        """The session may be used. The handler may close it at once (a control node that is not ready does)."""

    def stanza(self, session: Session, stanza: Stanza) -> None:
        """A well-formed `<iq>` or `<message>`."""

    def closed(self, session: Session, reason: str) -> None:
        """An established session is over; called once, after the last stanza."""

    def unblocked(self, session: Session) -> None:
        """`send` returned False before; what is pending has fallen below 64 KiB."""


@implementer(IPushProducer, IHandshakeListener)
class Session(TwistedProtocol):
    """One connection. `peer_name` is the `from` of the peer's open, empty before."""

    log = Logger()
    _outbox: Outbox | None = None
    _turn: IDelayedCall | None = None
    _cut: IDelayedCall | None = None
    _farewell: IDelayedCall | None = None
    _announced = False
    _reading_paused = False
    _read_stopped = False
    _over = False
    _peer_name = ""
    _reason = ""

    def __init__(self, reactor: Any, core: Core, handler: Handler, timer: DeadlineTimer | None = None) -> None:
        """`timer` is the client's, which outlives its sessions; a server's session makes its own."""
        self._reactor = reactor
        self.core = core
        self._handler = handler
        self._timer = DeadlineTimer(reactor, core, self.carry_out) if timer is None else timer

    # --- What a handler uses ------------------------------------------------------------------------------------------

    @property
    def peer_name(self) -> str:
        return self._peer_name or self.core.peer

    @property
    def peer_address(self) -> str:
        """The peer's IP address as text, empty for a transport without one."""
        return self._host("getPeer")

    @property
    def local_address(self) -> str:
        return self._host("getHost")

    @property
    def state(self) -> State:
        return State.IDLE if self._over else self.core.state

    @property
    def counters(self) -> Counters:
        return self.core.counters

    @property
    def blocked(self) -> bool:
        """Whether more than 256 KiB wait to be sent; over again below 64 KiB."""
        return self._outbox is not None and self._outbox.blocked

    @property
    def pending_bytes(self) -> int:
        """Bytes accepted and not yet taken by the kernel, as well as can be known."""
        return 0 if self._outbox is None else self._outbox.pending

    @property
    def reason(self) -> str:
        """Why the session is over, empty while it is not."""
        return self._reason

    def send(self, *parts: bytes) -> bool:
        """Send whole stanzas; a stanza may come in several parts, of which one is what other sessions are sent too.

        False: accepted, but the session is blocked, wait for `unblocked`; or it is over.
        """
        if self._over or self._outbox is None or self.core.state is not State.ESTABLISHED:
            return False
        counters = self.core.counters
        counters.stanzas_out += 1
        counters.bytes_out += sum(map(len, parts))
        return self._outbox.write(*parts)

    def close(self, reason: str) -> None:
        """Close the TCP connection without a word (reference/xmpp.md 1.9); `closed` follows."""
        self.handle(Event.CLEAR, reason)

    def set_hold_time(self, seconds: float) -> None:
        """Change the hold time of the live session."""
        self.carry_out(self.core.set_hold_time(seconds, self._now()))

    def pause_reading(self) -> None:
        """Deliver no stanza and read nothing until `resume_reading`."""
        if not self._reading_paused:
            self._reading_paused = True
            self._read(False)

    def resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            self._next_turn()

    def rows(self) -> dict[str, object]:
        """For introspection."""
        return {
            "name": self.peer_name,
            "state": self.state.label,
            "substate": self.state.substate,
            "peer_address": self.peer_address,
            "local_address": self.local_address,
            "hold_time": self.core.hold_time,
            "tls": self.core.tls,
            "blocked": self.blocked,
            "pending_bytes": self.pending_bytes,
            "last_event": self.core.last_event.value if self.core.last_event else "",
            "last_error": self._reason,
            **self.counters.rows(),
        }

    # --- What Twisted calls -------------------------------------------------------------------------------------------

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        self._outbox = Outbox(self.transport)
        transport: Any = self.transport
        transport.registerProducer(self, True)
        self.core.input_waits = self._input_waits
        self._connected()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        if not self._over:
            self.core.feed(data)
            if self._turn is None:
                self._pump()

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802 - Twisted's name
        clean = isinstance(reason.value, ConnectionDone)
        why = "closed by the peer" if clean else reason.getErrorMessage()
        if not self._over:
            self._reason = why
            self._log_end()
            self.handle(Event.CLOSED, why)
            self._over = True
        for call in (self._turn, self._cut, self._farewell):
            if call is not None and call.active():
                call.cancel()
        self._turn = self._cut = self._farewell = None
        if self._outbox is not None:
            self._outbox.clear()
        self._say_closed()
        self._lost()

    def handshakeCompleted(self) -> None:  # noqa: N802 - Twisted's name
        self.handle(Event.TLS_UP)

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        if self._outbox is not None:
            self._outbox.pause()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        if self._outbox is not None and self._outbox.resume() and self._announced and not self._over:
            self._handler.unblocked(self)

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The transport is gone; connectionLost follows."""

    # --- For the two ends ---------------------------------------------------------------------------------------------

    def _connected(self) -> None:
        """The connection is up: tell the core."""

    def _lost(self) -> None:
        """The connection is gone: let go of what the end keeps."""

    def _start_tls(self) -> None:
        """Wrap the transport."""

    def _other_effect(self, effect: Effect) -> None:
        """CONNECT and TIMED_OUT, which only a client has."""

    # --- Inside -------------------------------------------------------------------------------------------------------

    def handle(self, event: Event, payload: object = None) -> None:
        """Give an event to the core, unless the session is over, and do what follows from it."""
        if not self._over:
            self.carry_out(self.core.handle(event, self._now(), payload))

    def carry_out(self, effects: list[Effect]) -> None:
        """Do what the core asks for."""
        for effect in effects:
            data = effect.data
            match effect.do:
                case Do.DELIVER if isinstance(data, Stanza):
                    if not self._over:
                        self._handler.stanza(self, data)
                case Do.SEND if isinstance(data, bytes):
                    if self._outbox is not None and not self._over:
                        self.core.counters.bytes_out += len(data)
                        self._outbox.write(data)
                case Do.START_TLS:
                    self._start_tls()
                case Do.ESTABLISHED:
                    self._peer_name = self.core.peer
                    self._announced = True
                    self._handler.established(self)
                case Do.DROP:
                    self._drop(str(data))
                case _:
                    self._other_effect(effect)
        self._timer.arm()

    def _now(self) -> float:
        return float(self._reactor.seconds())

    def _host(self, getter: str) -> str:
        address = getattr(self.transport, getter)() if self.transport is not None else None
        return str(getattr(address, "host", ""))

    def _pump(self) -> None:
        """Handle frames until there is no whole one, the handler pauses us, or this turn has had its share."""
        self._turn = None
        for _ in range(FRAMES_PER_TURN):
            if self._over or self._reading_paused:
                return
            effects = self.core.step(self._now())
            if effects is None:
                self._read(True)
                return
            self.carry_out(effects)
        self._read(False)
        self._next_turn()

    def _next_turn(self) -> None:
        if self._turn is None and not self._over:
            self._turn = self._reactor.callLater(0, self._pump)

    def _read(self, on: bool) -> None:
        transport: Any = self.transport
        if transport is None or self._over or on is not self._read_stopped:
            return
        self._read_stopped = not on
        if on:
            transport.resumeProducing()
        else:
            transport.pauseProducing()

    def _log_end(self) -> None:
        self.log.emit(
            LogLevel.warn if self.core.last_event in FAULTS else LogLevel.info,
            "XMPP session of {name} at {address} closed: {reason}",
            name=self.peer_name or "an unnamed peer",
            address=self.peer_address,
            reason=self._reason,
        )

    def _say_closed(self) -> None:
        """Tell the handler, once."""
        self._farewell = None
        if self._announced:
            self._announced = False
            self._handler.closed(self, self._reason)

    def _drop(self, reason: str) -> None:
        """Close the connection. What is held back is not waited for: the peer does not read.

        The handler hears of it in the next turn, not inside a call of its own, and before a client connects again.
        """
        if self._over:
            return
        self._over = True
        self._reason = reason
        self._log_end()
        self._farewell = self._reactor.callLater(0, self._say_closed)
        transport: Any = self.transport
        stalled = self.pending_bytes > 0
        transport.unregisterProducer()
        if stalled:
            transport.abortConnection()
            return
        transport.loseConnection()
        self._cut = self._reactor.callLater(CLOSE_TIME, transport.abortConnection)

    def _input_waits(self) -> bool:
        """Bytes that we have not looked at: held back by us, or waiting in the socket."""
        if self._reading_paused or self._turn is not None:
            return True
        found = getattr(self.transport, "socket", None)
        if not isinstance(found, socket.socket):
            return False
        try:
            return bool(found.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False
