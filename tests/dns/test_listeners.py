"""Connections on port 53 over memory transports: idle ones, too many, peers that do not read, peers that are gone."""

from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransportWithDisconnection

from contrail_emulator.dns import listeners
from contrail_emulator.dns.listeners import IDLE_TIME, DnsConnections, DnsDatagrams, Respond

MemoryTransport: Any = StringTransportWithDisconnection


class Server:
    """Keeps the questions; answers when told to."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.questions: list[tuple[bytes, Respond, bool]] = []
        self.connections = DnsConnections(self.asked, self.clock.callLater)

    def asked(self, data: bytes, respond: Respond, over_tcp: bool) -> None:
        self.questions.append((data, respond, over_tcp))

    def connect(self) -> tuple[Any, Any]:
        protocol: Any = self.connections.buildProtocol(None)
        transport = MemoryTransport()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        return protocol, transport


@pytest.fixture
def server() -> Server:
    return Server()


def test_questions_may_come_in_any_pieces_and_answers_in_any_order(server: Server) -> None:
    protocol, transport = server.connect()
    for byte in b"\x00\x03one\x00\x03two":
        protocol.dataReceived(bytes([byte]))
    assert [(data, over_tcp) for data, _, over_tcp in server.questions] == [(b"one", True), (b"two", True)]
    for _, respond, _ in reversed(server.questions):
        respond(b"answer")
    assert transport.value() == b"\x00\x06answer" * 2


def test_an_idle_connection_is_cut_and_a_busy_one_is_not(server: Server) -> None:
    protocol, transport = server.connect()
    server.clock.advance(IDLE_TIME - 1)
    protocol.dataReceived(b"\x00\x01q")
    server.clock.advance(IDLE_TIME - 1)
    assert transport.connected
    server.clock.advance(1)
    assert not transport.connected and not server.connections.open
    assert not server.clock.getDelayedCalls()


def test_an_answer_that_comes_too_late_is_dropped(server: Server) -> None:
    protocol, transport = server.connect()
    protocol.dataReceived(b"\x00\x01q")
    transport.loseConnection()
    ((_, respond, _),) = server.questions
    respond(b"answer")
    assert transport.value() == b"" and not server.clock.getDelayedCalls()


def test_a_peer_that_does_not_read_is_not_read(server: Server) -> None:
    protocol, transport = server.connect()
    transport.producer.pauseProducing()
    protocol.dataReceived(b"\x00\x01a\x00\x01b")
    assert not server.questions and transport.producerState == "paused"
    transport.producer.resumeProducing()
    assert [data for data, _, _ in server.questions] == [b"a", b"b"] and transport.producerState == "producing"


def test_too_many_connections_are_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listeners, "MAX_CONNECTIONS", 2)
    transports = [server.connect()[1] for _ in range(2)]
    assert server.connections.buildProtocol(None) is None and server.connections.refused == 1
    transports[0].loseConnection()
    server.connect()
    server.connections.close()
    assert not server.connections.open


def test_what_the_kernel_does_not_send_is_counted() -> None:
    class Refusing:
        def write(self, data: bytes, addr: object) -> None:
            raise OSError(22, "Invalid argument")

    responds: list[Callable[[bytes], None]] = []
    datagrams = DnsDatagrams(lambda data, respond, over_tcp: responds.append(respond))
    transport: Any = Refusing()
    datagrams.transport = transport
    datagrams.datagramReceived(b"q", ("127.0.0.1", 0))
    responds[0](b"answer")
    assert datagrams.send_errors == 1
    datagrams.transport = None
    responds[0](b"answer")
    assert datagrams.send_errors == 1
