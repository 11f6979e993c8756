"""Port 53: datagrams, and connections with length-prefixed messages. Knows sockets, not DNS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IAddress, IDelayedCall
from twisted.internet.protocol import DatagramProtocol, Factory, connectionDone
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

Respond = Callable[[bytes], None]
Asked = Callable[[bytes, Respond, bool], None]
"""Called with a message, how to answer it, and whether it came over TCP."""

IDLE_TIME: Final = 30.0
MAX_CONNECTIONS: Final = 512


class DnsDatagrams(DatagramProtocol):
    """Answers over UDP. ``send_errors`` counts answers the kernel did not take (a source port of 0, for one)."""

    noisy = False

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self.send_errors = 0

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:  # noqa: N802 - Twisted's name
        def respond(data: bytes) -> None:
            if self.transport is None:
                return
            try:
                self.transport.write(data, addr)
            except OSError:
                self.send_errors += 1

        self._asked(datagram, respond, False)


class DnsConnection(Int16StringReceiver):
    """Answers over TCP, many questions a connection. Reads no more while the peer does not take the answers."""

    transport: Any
    _idle: IDelayedCall | None = None

    def __init__(self, connections: DnsConnections) -> None:
        self._connections = connections

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        self._connections.open.add(self)
        self.transport.registerProducer(self, True)
        self._idle = self._connections.call_later(IDLE_TIME, self.abort)

    def stringReceived(self, string: bytes) -> None:  # noqa: N802 - Twisted's name
        self._busy()
        self._connections.asked(string, self._respond, True)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802 - Twisted's name
        self._connections.open.discard(self)
        if self._idle is not None and self._idle.active():
            self._idle.cancel()

    def abort(self) -> None:
        """Close at once, whatever is under way."""
        self.transport.abortConnection()

    def _respond(self, data: bytes) -> None:
        if self in self._connections.open:
            self._busy()
            self.transport.write(len(data).to_bytes(2, "big") + data)

    def _busy(self) -> None:
        if self._idle is not None and self._idle.active():
            self._idle.reset(IDLE_TIME)


class DnsConnections(Factory):
    """Accepts up to MAX_CONNECTIONS at a time; ``refused`` counts the others."""

    noisy = False

    def __init__(self, asked: Asked, call_later: Callable[..., Any]) -> None:
        self.asked = asked
        self.call_later = call_later
        self.open: set[DnsConnection] = set()
        self.refused = 0

    def buildProtocol(self, addr: IAddress | None) -> DnsConnection | None:  # noqa: N802 - Twisted's name
        if len(self.open) >= MAX_CONNECTIONS:
            self.refused += 1
            return None
        return DnsConnection(self)

    def close(self) -> None:
        """Close every connection."""
        for connection in list(self.open):
            connection.abort()
