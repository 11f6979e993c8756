"""Between a Twisted transport and a protocol: every byte that crosses is put in a capture, and neither side notices.

After startTLS the trace goes on with the plain text: what a person wants to read, not what is on the wire.
"""
# ruff: noqa: N802 - Twisted's names

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IAddress, ILoggingContext, IProtocol, IProtocolFactory, ITransport
from twisted.internet.protocol import AbstractDatagramProtocol, ClientFactory, connectionDone
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer, providedBy

from .pcap import Address, Capture, UdpTrace
from .tcp_trace import TcpTrace


def capture_factory(capture: Capture | None, factory: Any, initiator: bool | None = None) -> Any:
    """The factory, wrapped so that its connections are traced; the factory itself when there is no capture.

    Works for listening and connecting, for connectTCP and endpoints. Who began a connection is read from the transport;
    ``initiator`` says so where the transport cannot (in-memory ones).
    """
    if capture is None:
        return factory
    return RecordedFactory(capture, factory, initiator)


def capture_datagrams(capture: Capture | None, protocol: Any) -> Any:
    """The datagram protocol for listenUDP, wrapped likewise; the protocol itself when there is no capture."""
    if capture is None:
        return protocol
    return RecordedDatagrams(capture, protocol)


@implementer(IProtocolFactory)
class RecordedFactory:
    """Builds a RecordedConnection around each protocol of the wrapped factory; all else is the wrapped factory's."""

    def __init__(self, capture: Capture, factory: Any, initiator: bool | None) -> None:
        self.capture = capture
        self._factory = factory
        self._initiator = initiator

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> RecordedConnection | None:
        protocol = self._factory.buildProtocol(addr)
        return None if protocol is None else RecordedConnection(self, protocol)

    def initiated(self, transport: object) -> bool:
        """True when our end opened the connection of this transport."""
        if self._initiator is not None:
            return self._initiator
        return getattr(transport, "connector", None) is not None or isinstance(self._factory, ClientFactory)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._factory, name)


@implementer(IProtocol)
class RecordedConnection:
    """Protocol towards the transport, transport towards the protocol."""

    transport: Any = None
    _trace: TcpTrace | None = None
    _at_socket = False
    """The transport tells us what its socket takes; otherwise a write counts as sent at once."""
    _half_closing = False
    _closed_by_us = False
    _aborted = False

    def __init__(self, factory: RecordedFactory, protocol: Any) -> None:
        self.factory = factory
        self._protocol = protocol
        self._unsent: deque[int] = deque()
        """The lengths of what was written in plain and not taken by the socket yet: a segment is at most one write."""

    # As seen by the transport

    def makeConnection(self, transport: ITransport) -> None:
        self.transport = transport
        directlyProvides(self, providedBy(transport), providedBy(self._protocol))
        local, remote = _address(transport.getHost()), _address(transport.getPeer())
        if local is not None and remote is not None:
            self._trace = self.factory.capture.tcp(local, remote, self.factory.initiated(transport))
            self._watch_socket(transport)
        self._protocol.makeConnection(self)

    def _watch_socket(self, transport: Any) -> None:
        """Sees what the socket takes: what is left in a buffer when the connection dies never crossed.

        Not so under TLS: there the socket takes what nobody can read.
        """
        send = getattr(transport, "writeSomeData", None)
        if send is None:
            return

        def watched(data: bytes) -> Any:
            taken = send(data)
            if isinstance(taken, int):
                self._taken(data, taken)
            return taken

        transport.writeSomeData = watched
        self._at_socket = True

    def _taken(self, data: bytes, count: int) -> None:
        pieces = []
        at = 0
        while at < count and self._unsent:
            length = min(self._unsent[0], count - at)
            pieces.append(bytes(data[at : at + length]))
            at += length
            self._unsent[0] -= length
            if not self._unsent[0]:
                self._unsent.popleft()
        if self._trace is not None:
            self._trace.sent(*pieces)
        self._finish_when_sent()

    def _finish_when_sent(self) -> None:
        if self._half_closing and not self._unsent and self._trace is not None:
            self._trace.half_closed(by_us=True)

    def connectionMade(self) -> None:
        self._protocol.connectionMade()

    def dataReceived(self, data: bytes) -> None:
        if self._trace is not None:
            self._trace.received(data)
        self._protocol.dataReceived(data)

    def readConnectionLost(self) -> None:
        if self._trace is not None:
            self._trace.half_closed(by_us=False)
        self._protocol.readConnectionLost()

    def writeConnectionLost(self) -> None:
        self._protocol.writeConnectionLost()

    def handshakeCompleted(self) -> None:
        self._protocol.handshakeCompleted()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._trace is not None:
            orderly = self._closed_by_us or isinstance(reason.value, ConnectionDone)
            self._trace.closed(by_us=self._closed_by_us, reset=self._aborted or not orderly)
        self._protocol.connectionLost(reason)

    def logPrefix(self) -> str:
        return str(self._protocol.logPrefix()) if ILoggingContext.providedBy(self._protocol) else "RecordedConnection"

    # As seen by the protocol

    def write(self, data: bytes) -> None:
        if self._trace is not None:
            if self._at_socket and not getattr(self.transport, "TLS", False):
                if data:
                    self._unsent.append(len(data))
            else:
                self._trace.sent(data)
        self.transport.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))

    def loseConnection(self) -> None:
        self._closed_by_us = True
        self.transport.loseConnection()

    def loseWriteConnection(self) -> None:
        self._half_closing = True
        self._finish_when_sent()
        self.transport.loseWriteConnection()

    def abortConnection(self) -> None:
        self._closed_by_us = self._aborted = True
        self.transport.abortConnection()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


class RecordedDatagrams(AbstractDatagramProtocol):
    """What listenUDP gets: it records what comes in, and what goes out through the transport it hands on."""

    def __init__(self, capture: Capture, protocol: Any) -> None:
        self._capture = capture
        self._protocol = protocol
        self._trace: UdpTrace | None = None

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport
        local = _address(transport.getHost())
        if local is not None:
            self._trace = self._capture.udp_socket(local)
        self._protocol.makeConnection(_RecordedPort(transport, self._trace))

    def doStart(self) -> None:
        self._protocol.doStart()

    def doStop(self) -> None:
        if self._trace is not None:
            self._trace.closed()
        self._protocol.doStop()

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        if self._trace is not None:
            self._trace.received((addr[0], addr[1]), datagram)
        self._protocol.datagramReceived(datagram, addr)

    def connectionRefused(self) -> None:
        self._protocol.connectionRefused()


class _RecordedPort:
    """A UDP transport that records write(); everything else goes to the real one."""

    def __init__(self, transport: Any, trace: UdpTrace | None) -> None:
        self._transport = transport
        self._trace = trace
        self._connected: Address | None = None

    def connect(self, host: str, port: int) -> None:
        self._connected = (host, port)
        self._transport.connect(host, port)

    def write(self, datagram: bytes, addr: Any = None) -> Any:
        destination = self._connected if addr is None else (addr[0], addr[1])
        result = self._transport.write(datagram, addr)
        if self._trace is not None and destination is not None:
            self._trace.sent(destination, datagram)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def _address(address: object) -> Address | None:
    if isinstance(address, (IPv4Address, IPv6Address)):
        return address.host, address.port
    return None
