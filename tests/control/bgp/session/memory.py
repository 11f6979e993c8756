"""TCP in memory on a virtual clock: enough of a reactor for speakers, with back-pressure and cut lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet import error
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

HIGH_WATER = 64 * 1024


def _failure(kind: Callable[[], Exception]) -> Failure:
    make: Callable[[Exception], Failure] = Failure
    return make(kind())


class MemoryNetwork(Clock):
    """A reactor whose connections live in memory. `chunk`: at most so many bytes reach a protocol at a time."""

    def __init__(self, chunk: int | None = None) -> None:
        super().__init__()
        self.chunk = chunk
        self.deaf: set[tuple[str, int]] = set()
        self.listening_socket: Any = None
        self.outgoing: Any = None
        self.connects: list[tuple[float, str, int]] = []
        self.transports: list[MemoryTransport] = []
        self._listening: dict[tuple[str, int], Any] = {}
        self._next_port = 49152
        self._turn_began = 0.0
        self.longest_turn = 0.0

    def run(self, seconds: float) -> None:
        """Let time pass call by call, so that each sees the moment it was due."""
        end = self.seconds() + seconds
        while self.calls and self.calls[0].getTime() <= end:
            self.one_call()
        self.advance(max(0.0, end - self.seconds()))

    def one_call(self) -> None:
        """Move to the next delayed call and run it alone."""
        call = self.calls.pop(0)
        self.rightNow = self._turn_began = max(self.rightNow, call.getTime())
        call.called = 1
        call.func(*call.args, **call.kw)

    def spend(self, seconds: float) -> None:
        """Time that passes inside one call: slow work."""
        self.rightNow += seconds
        self.longest_turn = max(self.longest_turn, self.rightNow - self._turn_began)

    def run_until(self, done: Callable[[], bool], seconds: float = 60.0) -> None:
        """Let time pass until `done`; fails after `seconds`."""
        end = self.seconds() + seconds
        while not done():
            assert self.calls and self.calls[0].getTime() <= end, "nothing happened in time"
            self.one_call()

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> MemoryPort:  # noqa: N802
        port = port or self.take_port()
        self._listening[interface, port] = factory
        return MemoryPort(self, IPv4Address("TCP", interface, port))

    def connectTCP(  # noqa: N802 - Twisted's name
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,  # noqa: N803 - Twisted's name
    ) -> MemoryConnector:
        self.connects.append((self.seconds(), host, port))
        local = bindAddress or ("127.0.0.1", 0)
        connector = MemoryConnector(self, (local[0], local[1] or self.take_port()), (host, port), factory)
        if not connector.given_up:
            connector.attempt = self.callLater(0, connector.meet)
        return connector

    def take_port(self) -> int:
        self._next_port += 1
        return self._next_port

    def listener(self, where: tuple[str, int]) -> Any:
        return self._listening.get(where)

    def forget(self, where: IPv4Address) -> None:
        self._listening.pop((where.host, where.port), None)

    @property
    def live(self) -> list[MemoryTransport]:
        return [transport for transport in self.transports if transport.connected]


class MemoryPort:
    """A listening port. `socket` is where keys would be set: nowhere, unless a test says otherwise."""

    def __init__(self, network: MemoryNetwork, address: IPv4Address) -> None:
        self.socket: Any = network.listening_socket
        self._network = network
        self._address = address

    def getHost(self) -> IPv4Address:  # noqa: N802 - Twisted's name
        return self._address

    def stopListening(self) -> Deferred[None]:  # noqa: N802 - Twisted's name
        self._network.forget(self._address)
        return succeed(None)


class MemoryConnector:
    """One attempt. A destination in `network.deaf` never answers."""

    def __init__(self, network: MemoryNetwork, local: tuple[str, int], remote: tuple[str, int], factory: Any) -> None:
        self.attempt: Any = None
        self.given_up = False
        self._network = network
        self._local = IPv4Address("TCP", *local)
        self._remote = IPv4Address("TCP", *remote)
        self._factory = factory
        self._transport: MemoryTransport | None = None
        self.transport: Any = network.outgoing
        factory.startedConnecting(self)

    def meet(self) -> None:
        where = (self._remote.host, self._remote.port)
        if where in self._network.deaf:
            self.attempt = self._network.callLater(3600, self.meet)
            return
        listener = self._network.listener(where) or self._network.listener(("0.0.0.0", where[1]))
        if listener is None:
            self._factory.clientConnectionFailed(self, _failure(error.ConnectionRefusedError))
            return
        ours = MemoryTransport(self._network, self._local, self._remote)
        theirs = MemoryTransport(self._network, self._remote, self._local)
        ours.other, theirs.other = theirs, ours
        self._transport = ours
        ours.attach(self._factory.buildProtocol(self._remote))
        theirs.attach(listener.buildProtocol(self._local))

    def disconnect(self) -> None:
        if self._transport is not None:
            self._transport.loseConnection()
        elif self.attempt is None or self.attempt.active():
            if self.attempt is not None:
                self.attempt.cancel()
            self.given_up = True
            self._factory.clientConnectionFailed(self, _failure(error.UserError))


class MemoryTransport:
    """One end. Bytes wait here until the other end reads; beyond HIGH_WATER a producer is paused."""

    def __init__(self, network: MemoryNetwork, host: IPv4Address, peer: IPv4Address) -> None:
        self.connected = True
        self.reading = True
        self.sent = b""
        self.other: MemoryTransport
        self.protocol: Any = None
        self._network = network
        self._host = host
        self._peer = peer
        self._outgoing = bytearray()
        self._ending = False
        self._producer: Any = None
        self._producer_paused = False
        self._pump: Any = None
        network.transports.append(self)

    def attach(self, protocol: Any) -> None:
        self.protocol = protocol
        protocol.makeConnection(self)

    def getHost(self) -> IPv4Address:  # noqa: N802 - Twisted's name
        return self._host

    def getPeer(self) -> IPv4Address:  # noqa: N802 - Twisted's name
        return self._peer

    @property
    def held(self) -> int:
        """Bytes written and not yet read by the other end."""
        return len(self._outgoing)

    def write(self, data: bytes) -> None:
        if not self.connected or self._ending:
            return
        self.sent += data
        self._outgoing += data
        if self._producer is not None and not self._producer_paused and len(self._outgoing) > HIGH_WATER:
            self._producer_paused = True
            self._producer.pauseProducing()
        self._schedule()

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802 - Twisted's name
        self._producer = producer

    def unregisterProducer(self) -> None:  # noqa: N802 - Twisted's name
        self._producer = None

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.reading = False

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.reading = True
        self.other._schedule()

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's name
        self._ending = True
        self._schedule()

    loseWriteConnection = loseConnection  # noqa: N815 - Twisted's name

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        """Both ends at once, bytes under way are lost."""
        self._network.callLater(0, self.lost, error.ConnectionLost)
        self._network.callLater(0, self.other.lost, error.ConnectionLost)

    def lost(self, why: type[Exception]) -> None:
        if self.connected:
            self.connected = False
            self._outgoing.clear()
            self.protocol.connectionLost(_failure(why))

    def _schedule(self) -> None:
        if self.connected and (self._pump is None or not self._pump.active()):
            self._pump = self._network.callLater(0, self._deliver)

    def _deliver(self) -> None:
        if not self.connected or not self.other.connected or not self.other.reading:
            return
        if self._outgoing:
            size = self._network.chunk or len(self._outgoing)
            chunk = bytes(self._outgoing[:size])
            del self._outgoing[:size]
            self.other.protocol.dataReceived(chunk)
        if self._outgoing:
            self._schedule()
        elif self._ending:
            self.other.lost(error.ConnectionDone)
            self.lost(error.ConnectionDone)
        elif self._producer_paused:
            self._producer_paused = False
            if self._producer is not None:
                self._producer.resumeProducing()
