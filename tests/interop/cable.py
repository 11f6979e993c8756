"""What lies between a daemon and our speaker, and can be cut without a word to either."""

from __future__ import annotations

from typing import Any

from interop.bench import OURS, THEIRS
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import ClientFactory, Protocol, connectionDone
from twisted.python.failure import Failure


class Cable:
    """Takes connections on OURS and makes each again from THEIRS to our speaker's port; `port` is where it listens."""

    def __init__(self, reactor: Any, to_port: int) -> None:
        self.connections = 0
        self._reactor = reactor
        self._to_port = to_port
        self._ends: list[_End] = []
        self._listening = reactor.listenTCP(0, _Ends(self, None), interface=OURS)
        self.port: int = self._listening.getHost().port

    def cut(self) -> None:
        """What is connected now hears nothing any more, not even of an end; new connections work."""
        for end in self._ends:
            end.dead = True

    def close(self) -> None:
        self._listening.stopListening()
        for end in tuple(self._ends):
            transport: Any = end.transport
            transport.abortConnection()

    def begun(self, end: _End) -> None:
        self._ends.append(end)
        if end.other is None:
            self.connections += 1
            self._reactor.connectTCP(OURS, self._to_port, _Ends(self, end), bindAddress=(THEIRS, 0))

    def over(self, end: _End) -> None:
        self._ends.remove(end)


class _End(Protocol):
    """One of the two connections of a pair; what comes before the other is there waits."""

    def __init__(self, cable: Cable, other: _End | None) -> None:
        self.dead = False
        self.other = other
        self._cable = cable
        self._waiting = b""

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        self._cable.begun(self)
        if self.other is not None:
            self.other.other = self
            self.dataReceived(b"")
            self.other.dataReceived(b"")

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self._waiting += data
        if self.other is not None and not self.dead:
            transport: Any = self.other.transport
            transport.write(self._waiting)
            self._waiting = b""

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802 - Twisted's name
        self._cable.over(self)
        if self.other is not None and not self.dead:
            transport: Any = self.other.transport
            transport.loseConnection()


class _Ends(ClientFactory):
    noisy = False

    def __init__(self, cable: Cable, other: _End | None) -> None:
        self._cable = cable
        self._other = other

    def buildProtocol(self, addr: IAddress | None) -> _End:  # noqa: N802 - Twisted's name
        return _End(self._cable, self._other)

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:  # noqa: N802 - Twisted's name
        """Nobody listens over there: the caller hears it."""
        if self._other is not None and self._other.transport is not None:
            self._other.transport.loseConnection()
