"""One TCP connection under Twisted: slices of what is read, back-pressure on what is written, an orderly end."""

from __future__ import annotations

import socket
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

LINGER = 2.0
"""Seconds we wait for the other side to close after our last byte, before the connection is reset."""


class Owner(Protocol):
    """Who a connection belongs to."""

    def made(self, transport: BgpTransport) -> None: ...
    def received(self, transport: BgpTransport, data: bytes) -> None: ...
    def lost(self, transport: BgpTransport) -> None: ...
    def blocked_by(self, transport: BgpTransport) -> None: ...
    def unblocked_by(self, transport: BgpTransport) -> None: ...


@implementer(IPushProducer)
class BgpTransport(TwistedProtocol):
    """A connection between a Twisted transport and its owner. After `finish` nothing more is read or written."""

    transport: Any

    def __init__(self, clock: Any, owner: Owner, number: int = 0) -> None:
        self.owner = owner
        self.number = number
        self.up = False
        self._clock = clock
        self._finishing = False
        self._linger: Any = None

    # Twisted's side

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        self.up = True
        self.transport.registerProducer(self, True)
        self.owner.made(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        if not self._finishing:
            self.owner.received(self, data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802 - Twisted's name
        self.up = False
        if self._linger is not None and self._linger.active():
            self._linger.cancel()
        self.owner.lost(self)

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        if not self._finishing:
            self.owner.blocked_by(self)

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        if not self._finishing:
            self.owner.unblocked_by(self)

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's name
        """The transport is closing; connectionLost follows."""

    # The owner's side

    @property
    def remote(self) -> tuple[str, int]:
        address = self.transport.getPeer()
        return address.host, address.port

    @property
    def local(self) -> tuple[str, int]:
        address = self.transport.getHost()
        return address.host, address.port

    @property
    def socket(self) -> socket.socket | None:
        """The system's socket; None in memory."""
        handle = getattr(self.transport, "getHandle", None)
        return handle() if handle is not None else None

    @property
    def unread(self) -> bool:
        """True when bytes wait in the kernel."""
        sock = self.socket
        if sock is None or not self.up:
            return False
        try:
            return bool(sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False

    def write(self, data: bytes) -> None:
        if self.up and not self._finishing:
            self.transport.write(data)

    def pause(self) -> None:
        if self.up and not self._finishing:
            self.transport.pauseProducing()

    def resume(self) -> None:
        if self.up and not self._finishing:
            self.transport.resumeProducing()

    def finish(self) -> None:
        """Close once what was written is out. The other side gets LINGER seconds to read it and to close.

        Closing at once with unread bytes in our kernel would reset the connection and could cost it our NOTIFICATION.
        """
        if self._finishing or not self.up:
            return
        self._finishing = True
        self.transport.unregisterProducer()
        self.transport.resumeProducing()
        self.transport.loseWriteConnection()
        self._linger = self._clock.callLater(LINGER, self.abort)

    def abort(self) -> None:
        """Reset the connection now."""
        self._finishing = True
        if self.up:
            self.transport.abortConnection()


class OpenTransports:
    """The connections of one speaker that are not closed yet."""

    def __init__(self) -> None:
        self._open: set[BgpTransport] = set()
        self._waiting: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(self, transport: BgpTransport) -> None:
        self._open.add(transport)

    def discard(self, transport: BgpTransport) -> None:
        self._open.discard(transport)
        if not self._open:
            waiting, self._waiting = self._waiting, []
            for deferred in waiting:
                deferred.callback(None)

    def when_empty(self) -> Deferred[None]:
        """Fires when all are closed, at once when none is open."""
        deferred: Deferred[None] = Deferred()
        if self._open:
            self._waiting.append(deferred)
        else:
            deferred.callback(None)
        return deferred
