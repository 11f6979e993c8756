"""What several test files use: the schema, and a network in memory with a clock, back-pressure and real TLS."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure

Validate = Callable[[bytes], None]
BUFFER = 64 * 1024


@pytest.fixture(scope="session")
def validate() -> Validate:
    """Fails with the schema's words when a stanza has not the shape of the reference."""
    schema = etree.RelaxNG(etree.parse(str(Path(__file__).parent / "stanzas.rng")))

    def check(stanza: bytes) -> None:
        document = etree.fromstring(stanza.strip())
        schema.assertValid(document)

    return check


def _failure(why: Exception) -> Any:
    make: Any = Failure
    return make(why)


class Wire:
    """One end of a connection below TLS: a send buffer that pauses its producer as Twisted's does."""

    def __init__(self, net: Net, host: IPv4Address, peer: IPv4Address) -> None:
        self.net = net
        self.host, self.peer = host, peer
        self.other: Wire
        self.receiver: Any = None
        self.producer: Any = None
        self.paused = False
        self.buffer = bytearray()
        self.reading = True
        self.frozen = False
        self.disconnecting = False
        self.open = True

    def write(self, data: bytes) -> None:
        if self.open:
            self.net.tape += data
            self.buffer += data
            if len(self.buffer) > BUFFER and self.producer is not None and not self.paused:
                self.paused = True
                self.producer.pauseProducing()

    def writeSequence(self, data: list[bytes]) -> None:  # noqa: N802 - Twisted's name
        self.write(b"".join(data))

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802 - Twisted's name
        assert self.producer is None and streaming
        self.producer = producer

    def unregisterProducer(self) -> None:  # noqa: N802 - Twisted's name
        self.producer = None

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.reading = False

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's name
        self.reading = True

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's name
        self.disconnecting = True

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        self.buffer.clear()
        self.end(ConnectionAborted())

    def getHost(self) -> IPv4Address:  # noqa: N802 - Twisted's name
        return self.host

    def getPeer(self) -> IPv4Address:  # noqa: N802 - Twisted's name
        return self.peer

    def end(self, why: Exception) -> None:
        """This end is gone; the other learns it when it has read everything, unless the link is frozen."""
        if self.open:
            self.open = False
            self.net.callLater(0, self.receiver.connectionLost, _failure(why))

    def flush(self) -> bool:
        """Move what the other end takes; True when something happened."""
        if self.frozen or self.other.frozen:
            return False
        moved = False
        if self.buffer and self.other.open and self.other.reading:
            data = bytes(self.buffer[:BUFFER])
            del self.buffer[:BUFFER]
            self.other.receiver.dataReceived(data)
            moved = True
        if not self.buffer and self.open and self.paused:
            self.paused = False
            if self.producer is not None:
                self.producer.resumeProducing()
            moved = True
        if not self.buffer and self.open and self.disconnecting:
            self.end(ConnectionDone())
            moved = True
        if not self.open and self.other.open and (not self.buffer or not self.other.reading):
            self.other.end(ConnectionDone())
            moved = True
        return moved


class Connection:
    """The transport a protocol sees: the wire, or TLS above it after startTLS."""

    def __init__(self, wire: Wire, protocol: Any, client: bool) -> None:
        self.wire = wire
        self.protocol = protocol
        self._client = client
        self._above: Any = wire
        wire.receiver = protocol

    def startTLS(self, context: Any) -> None:  # noqa: N802 - Twisted's name
        producer = self.wire.producer
        self.wire.unregisterProducer()
        nothing: Any = None
        make: Any = TLSMemoryBIOProtocol
        tls = make(TLSMemoryBIOFactory(context, self._client, nothing, self.wire.net), self.protocol, False)
        self.wire.receiver = tls
        self._above = tls
        tls.makeConnection(self.wire)
        if producer is not None:
            tls.registerProducer(producer, True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._above, name)


class Port:
    """What listenTCP gives back."""

    def __init__(self, net: Net, key: tuple[str, int], factory: Any) -> None:
        self.net, self.key, self.factory = net, key, factory

    def getHost(self) -> IPv4Address:  # noqa: N802 - Twisted's name
        return IPv4Address("TCP", *self.key)

    def stopListening(self) -> None:  # noqa: N802 - Twisted's name
        del self.net.ports[self.key]


class Connector:
    """What connectTCP gives back."""

    def __init__(self, net: Net, target: tuple[str, int], factory: Any, source: str) -> None:
        self.net, self.target, self.factory, self.source = net, target, factory, source
        self.pending = True

    def go(self) -> None:
        if not self.pending or self.net.hanging:
            return
        self.pending = False
        port = self.net.ports.get(self.target)
        if port is None:
            self.factory.clientConnectionFailed(self, _failure(OSError("Connection was refused")))
            return
        self.net.join(self, port)

    def disconnect(self) -> None:
        if self.pending:
            self.pending = False
            self.factory.clientConnectionFailed(self, _failure(OSError()))


class Net(Clock):
    """A reactor in memory: its own clock, ports, and connections that `settle` moves bytes over."""

    def __init__(self) -> None:
        super().__init__()
        self.ports: dict[tuple[str, int], Port] = {}
        self.wires: list[Wire] = []
        self.hanging = False
        self.tape = bytearray()
        self._number = 40000

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Port:  # noqa: N802
        self._number += 1
        key = (interface, port or self._number)
        self.ports[key] = Port(self, key, factory)
        return self.ports[key]

    def connectTCP(  # noqa: N802 - Twisted's name
        self, host: str, port: int, factory: Any, timeout: float = 30, bindAddress: Any = None  # noqa: N803
    ) -> Connector:
        source = bindAddress[0] if bindAddress else "127.0.0.1"
        connector = Connector(self, (host, port), factory, source)
        self.callLater(0, connector.go)
        return connector

    def join(self, connector: Connector, port: Port) -> None:
        self._number += 1
        here, there = IPv4Address("TCP", connector.source, self._number), IPv4Address("TCP", *connector.target)
        near, far = Wire(self, here, there), Wire(self, there, here)
        near.other, far.other = far, near
        server, client = port.factory.buildProtocol(here), connector.factory.buildProtocol(there)
        self.wires += [near, far]
        for wire, protocol, is_client in ((far, server, False), (near, client, True)):
            if protocol is not None:
                protocol.makeConnection(Connection(wire, protocol, is_client))

    def settle(self) -> None:
        """Until nothing moves any more, at this moment."""
        for _ in range(10000):
            due = [call for call in self.getDelayedCalls() if call.getTime() <= self.seconds()]
            self.advance(0)
            if not [wire for wire in list(self.wires) if wire.flush()] and not due:
                return
        raise AssertionError("the network never comes to rest")

    def run(self, seconds: float, step: float = 1.0) -> None:
        """Let time pass."""
        end = self.seconds() + seconds
        self.settle()
        while self.seconds() < end:
            self.advance(min(step, end - self.seconds()))
            self.settle()


@pytest.fixture
def net() -> Net:
    return Net()
