"""The wrapper between transport and protocol: transparent both ways, and each connection written once."""
# ruff: noqa: N802 - Twisted's names

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from OpenSSL import SSL
from scapy.layers.inet import TCP, UDP
from scapy.packet import NoPayload
from scapy.utils import rdpcap
from twisted.internet import ssl
from twisted.internet.address import IPv4Address, UNIXAddress
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol, IOpenSSLServerConnectionCreator, ITCPTransport
from twisted.internet.protocol import (
    ClientFactory,
    DatagramProtocol,
    Factory,
    Protocol,
    ReconnectingClientFactory,
    connectionDone,
)
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.python.failure import Failure
from zope.interface import directlyProvides, implementer

from contrail_emulator.base.capture import capture_datagrams, capture_factory
from contrail_emulator.base.pcap import Capture

HERE = IPv4Address("TCP", "127.0.0.1", 179)
THERE = IPv4Address("TCP", "127.0.0.2", 40000)

Run = Callable[[Deferred[Any]], Any]

MemoryTransport: Any = StringTransportWithDisconnection
failure: Any = Failure


def fire(waited: Deferred[None]) -> None:
    if not waited.called:
        waited.callback(None)


class Recorder(Protocol):
    """Keeps what came, and when it ended."""

    transport: Any

    def __init__(self) -> None:
        self.got = b""
        self.made: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()
        self.reason: Failure | None = None

    def connectionMade(self) -> None:
        fire(self.made)

    def dataReceived(self, data: bytes) -> None:
        self.got += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reason = reason
        fire(self.lost)


class Echo(Protocol):
    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data.upper())


def connected(capture: Capture, factory: Any, transport: Any, **options: Any) -> Any:
    outer = capture_factory(capture, factory, **options).buildProtocol(THERE)
    transport.protocol = outer
    outer.makeConnection(transport)
    return outer


def flags(capture: Capture) -> list[tuple[int, str, bytes]]:
    capture.close()
    return [
        (tcp.sport, str(tcp.flags), b"" if isinstance(tcp.payload, NoPayload) else bytes(tcp.payload))
        for tcp in (frame[TCP] for frame in rdpcap(str(capture.path)))
    ]


@pytest.fixture
def capture(tmp_path: Path) -> Iterator[Capture]:
    made = Capture(tmp_path / "one.pcapng")
    yield made
    made.close()


def test_without_a_capture_the_factory_itself_comes_back() -> None:
    factory, datagrams = Factory(), DatagramProtocol()
    assert capture_factory(None, factory) is factory
    assert capture_datagrams(None, datagrams) is datagrams


def test_both_directions_and_our_close_are_recorded(capture: Capture) -> None:
    protocol = Recorder()
    transport = MemoryTransport(hostAddress=HERE, peerAddress=THERE)
    outer = connected(capture, Factory.forProtocol(lambda: protocol), transport)
    outer.dataReceived(b"open")
    protocol.transport.writeSequence([b"re", b"ply"])
    protocol.transport.loseConnection()
    assert protocol.got == b"open" and transport.value() == b"reply" and protocol.lost.called
    assert flags(capture) == [
        (40000, "S", b""),
        (179, "SA", b""),
        (40000, "A", b""),
        (40000, "PA", b"open"),
        (179, "PA", b"reply"),
        (179, "FA", b""),
        (40000, "FA", b""),
        (179, "A", b""),
    ]


@pytest.mark.parametrize(
    ("reason", "end"),
    [(ConnectionDone(), [(40000, "FA"), (179, "FA"), (40000, "A")]), (ConnectionLost(), [(40000, "RA")])],
)
def test_the_peers_close_is_theirs(capture: Capture, reason: Exception, end: list[tuple[int, str]]) -> None:
    outer = connected(capture, Factory.forProtocol(Recorder), MemoryTransport(hostAddress=HERE, peerAddress=THERE))
    outer.connectionLost(failure(reason))
    assert [entry[:2] for entry in flags(capture)[3:]] == end


def test_an_abort_is_our_reset(capture: Capture) -> None:
    protocol = Recorder()
    transport = MemoryTransport(hostAddress=HERE, peerAddress=THERE)
    outer = connected(capture, Factory.forProtocol(lambda: protocol), transport, initiator=True)
    transport.protocol = outer
    protocol.transport.abortConnection()
    assert not transport.connected
    assert flags(capture) == [(179, "S", b""), (40000, "SA", b""), (179, "A", b""), (179, "RA", b"")]


def test_everything_else_reaches_the_transport(capture: Capture) -> None:
    kept: list[bool] = []
    protocol = Recorder()
    transport = MemoryTransport(hostAddress=HERE, peerAddress=THERE)
    transport.setTcpKeepAlive = kept.append
    transport.getHandle = lambda: "socket"
    directlyProvides(transport, ITCPTransport)
    connected(capture, Factory.forProtocol(lambda: protocol), transport)
    wrapped: Any = protocol.transport
    producer = object()
    wrapped.registerProducer(producer, True)
    assert transport.producer is producer and transport.streaming
    wrapped.unregisterProducer()
    wrapped.pauseProducing()
    assert transport.producerState == "paused"
    wrapped.resumeProducing()
    wrapped.setTcpKeepAlive(True)
    assert kept == [True] and wrapped.getHandle() == "socket"
    assert wrapped.getPeer() == THERE and wrapped.getHost() == HERE
    with pytest.raises(AttributeError):
        wrapped.no_such_thing()
    assert ITCPTransport.providedBy(wrapped)


def test_half_closing_protocols_keep_their_interface(capture: Capture) -> None:
    halves: list[str] = []

    @implementer(IHalfCloseableProtocol)
    class Half(Protocol):
        def readConnectionLost(self) -> None:
            halves.append("read")

        def writeConnectionLost(self) -> None:
            halves.append("write")

    outer = connected(capture, Factory.forProtocol(Half), MemoryTransport(hostAddress=HERE, peerAddress=THERE))
    assert IHalfCloseableProtocol.providedBy(outer)
    outer.readConnectionLost()
    outer.writeConnectionLost()
    assert halves == ["read", "write"]


def test_a_factory_that_refuses_still_refuses(capture: Capture) -> None:
    class Refusing(Factory):
        def buildProtocol(self, addr: object) -> None:
            return None

    assert capture_factory(capture, Refusing()).buildProtocol(THERE) is None


def test_a_transport_without_ip_addresses_works_unrecorded(capture: Capture) -> None:
    protocol = Recorder()
    address = UNIXAddress(b"/run/socket")
    transport = MemoryTransport(hostAddress=address, peerAddress=address)
    outer = connected(capture, Factory.forProtocol(lambda: protocol), transport)
    outer.dataReceived(b"x")
    protocol.transport.write(b"y")
    outer.connectionLost(failure(ConnectionDone()))
    assert transport.value() == b"y" and capture.frames == 0


def test_reconnecting_over_real_sockets_is_written_once_per_connection(
    capture: Capture, reactor: Any, run: Run
) -> None:
    made: list[Recorder] = []
    everything: Deferred[None] = Deferred()

    class Client(Recorder):
        def connectionMade(self) -> None:
            made.append(self)
            self.transport.write(b"hello %d" % len(made))

        def dataReceived(self, data: bytes) -> None:
            super().dataReceived(data)
            if self.got == b"HELLO %d" % len(made):
                self.transport.loseConnection()

    class Again(ReconnectingClientFactory):
        noisy = False
        protocol = Client
        clock = reactor

        def clientConnectionLost(self, connector: Any, unused_reason: Failure) -> None:
            if len(made) < 3:
                connector.connect()
            else:
                everything.callback(None)

    server = Factory.forProtocol(Echo)
    server.noisy = False
    listening = reactor.listenTCP(0, capture_factory(capture, server), interface="127.0.0.1")
    server_port = listening.getHost().port
    reactor.connectTCP("127.0.0.1", server_port, capture_factory(capture, Again()))
    run(everything)
    run(listening.stopListening())
    frames = flags(capture)
    assert [flag for _, flag, _ in frames].count("S") == 3
    assert all(port != server_port for port, flag, _ in frames if flag == "S")
    assert [data for _, _, data in frames if data] == [
        text for number in (b"1", b"2", b"3") for text in (b"hello " + number, b"HELLO " + number)
    ]


def test_an_endpoint_client_is_the_initiator(capture: Capture, reactor: Any, run: Run) -> None:
    server_side, client_side = Recorder(), Recorder()
    server = Factory.forProtocol(lambda: server_side)
    client = Factory.forProtocol(lambda: client_side)
    server.noisy = client.noisy = False
    listening = reactor.listenTCP(0, server, interface="127.0.0.1")
    port = listening.getHost().port
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port)
    run(endpoint.connect(capture_factory(capture, client)))
    run(server_side.made)
    server_side.transport.write(b"good day")
    server_side.transport.loseConnection()
    run(gatherResults([client_side.lost, server_side.lost]))
    run(listening.stopListening())
    frames = flags(capture)
    assert frames[0][1] == "S" and frames[0][0] != port
    assert [entry for entry in frames[3:]][:2] == [(port, "PA", b"good day"), (port, "FA", b"")]


def test_a_client_that_is_refused_leaves_no_trace(capture: Capture, reactor: Any, run: Run) -> None:
    failed: Deferred[None] = Deferred()

    class Client(ClientFactory):
        noisy = False

        def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
            failed.callback(None)

    gone = reactor.listenTCP(0, Factory(), interface="127.0.0.1")
    port = gone.getHost().port
    run(gone.stopListening())
    reactor.connectTCP("127.0.0.1", port, capture_factory(capture, Client()))
    run(failed)
    assert capture.frames == 0


class Flood(Recorder):
    """Says more at once than a socket takes."""

    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.write(bytes(64 << 20))
        self.transport.write(b"never leaves our buffer")


def test_what_the_socket_never_took_is_not_in_the_capture(capture: Capture, reactor: Any, run: Run) -> None:
    server_side, client_side = Flood(), Recorder()
    server = Factory.forProtocol(lambda: server_side)
    client = Factory.forProtocol(lambda: client_side)
    server.noisy = client.noisy = False
    listening = reactor.listenTCP(0, capture_factory(capture, server), interface="127.0.0.1")
    run(TCP4ClientEndpoint(reactor, "127.0.0.1", listening.getHost().port).connect(client))
    run(server_side.made)
    client_side.transport.pauseProducing()
    client_side.transport.abortConnection()
    run(server_side.lost)
    run(listening.stopListening())
    frames = flags(capture)
    recorded = b"".join(data for _, _, data in frames)
    assert len(client_side.got) <= len(recorded) < 64 << 20
    assert frames[-1][1] == "RA" and b"never" not in recorded


def test_a_half_close_waits_for_what_was_written(capture: Capture, reactor: Any, run: Run) -> None:
    server_side, client_side = Recorder(), Recorder()
    server = Factory.forProtocol(lambda: server_side)
    client = Factory.forProtocol(lambda: client_side)
    server.noisy = client.noisy = False
    listening = reactor.listenTCP(0, capture_factory(capture, server), interface="127.0.0.1")
    port = listening.getHost().port
    run(TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(client))
    run(server_side.made)
    server_side.transport.write(b"last words")
    server_side.transport.loseWriteConnection()
    run(gatherResults([client_side.lost, server_side.lost]))
    run(listening.stopListening())
    assert client_side.got == b"last words"
    frames = [(source == port, flag, data) for source, flag, data in flags(capture)]
    assert frames[3:] == [(True, "PA", b"last words"), (True, "FA", b""), (False, "FA", b""), (True, "A", b"")]


@implementer(IOpenSSLServerConnectionCreator)
class ServerTls:
    """TLS with a certificate of its own (twisted.internet.ssl hands pyOpenSSL what that calls deprecated)."""

    def serverConnectionForTLS(self, tlsProtocol: object) -> SSL.Connection:  # noqa: N803 - Twisted's name
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "control-1")])
        start = datetime(2020, 1, 1)
        builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=36500))
        context = SSL.Context(SSL.TLS_METHOD)
        context.use_certificate(builder.sign(key, hashes.SHA256()))
        context.use_privatekey(key)
        return SSL.Connection(context, None)


def test_after_starttls_the_trace_goes_on_in_plain_text(capture: Capture, reactor: Any, run: Run) -> None:
    server_side, client_side = Recorder(), Recorder()
    server = Factory.forProtocol(lambda: server_side)
    client = Factory.forProtocol(lambda: client_side)
    server.noisy = client.noisy = False
    listening = reactor.listenTCP(0, capture_factory(capture, server), interface="127.0.0.1")
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", listening.getHost().port)
    run(endpoint.connect(capture_factory(capture, client)))
    run(server_side.made)
    server_side.transport.startTLS(ServerTls())
    client_side.transport.startTLS(ssl.CertificateOptions())
    client_side.transport.write(b"secret of the wire")
    client_side.transport.loseConnection()
    run(gatherResults([client_side.lost, server_side.lost]))
    run(listening.stopListening())
    assert server_side.got == b"secret of the wire"
    assert [data for _, _, data in flags(capture) if data] == [b"secret of the wire"]


def test_datagrams_over_real_sockets(capture: Capture, reactor: Any, run: Run) -> None:
    answered: Deferred[None] = Deferred()

    class Server(DatagramProtocol):
        noisy = False

        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            assert self.transport is not None
            self.transport.write(datagram.upper(), addr)

    class Client(Server):
        def datagramReceived(self, datagram: bytes, addr: Any) -> None:
            answered.callback(None)

    server = reactor.listenUDP(0, capture_datagrams(capture, Server()), interface="127.0.0.1")
    inner = Client()
    client = reactor.listenUDP(0, capture_datagrams(capture, inner), interface="127.0.0.1")
    port = server.getHost().port
    transport: Any = inner.transport
    transport.connect("127.0.0.1", port)
    assert transport.getHost() == client.getHost()
    transport.write(b"query")
    run(answered)
    run(gatherResults([server.stopListening(), client.stopListening()]))
    capture.close()
    seen = [(frame[UDP].dport == port, bytes(frame[UDP].payload)) for frame in rdpcap(str(capture.path))]
    assert seen == [(True, b"query"), (False, b"QUERY")]
