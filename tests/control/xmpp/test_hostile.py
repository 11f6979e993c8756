"""Hostile documents at either end of a session: closed with a reason, bounded memory, everybody else goes on.

(A stanza that is well formed and says nonsense is another matter: see `test_bad_items`.)
"""

from __future__ import annotations

import random
from typing import Any

import pytest
from control.xmpp.test_session import Bench, Recorder
from twisted.logger import LogLevel, capturedLogs

from contrail_emulator.control.xmpp import ClientSettings, XmppClient, stream

LIMIT = 1 << 20
CHUNK = 64 * 1024
JID = "network-control@contrailsystems.com"
LAUGHS = b"".join(b'<!ENTITY l%d "%b">' % (at, b"&l%d;" % (at - 1) * 10) for at in range(1, 10))
DOCUMENTS = [
    pytest.param(b"<iq><a></iq>", "malformed XML", id="malformed iq"),
    pytest.param(b"<message><event></message>", "malformed XML", id="malformed message"),
    pytest.param(b"<iq a=1></iq>", "malformed XML", id="no quotes"),
    pytest.param(b'<?xml version="1.0"?><!DOCTYPE iq [<!ENTITY l0 "lol">' + LAUGHS + b"]><iq>&l9;</iq>",
                 "document type", id="a billion laughs"),
    pytest.param(b'<!DOCTYPE iq [<!ENTITY x SYSTEM "file:///etc/passwd">]><iq>&x;</iq>', "document type", id="a file"),
    pytest.param(b'<!DOCTYPE iq SYSTEM "http://192.0.2.1/x.dtd"><iq></iq>', "document type", id="the network"),
    pytest.param(b"<iq>&nothing;</iq>", "malformed XML", id="an entity"),
    pytest.param(b"<iq>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</iq>", "malformed XML", id="deep nesting"),
    pytest.param(b"<iq>" + b"<a>" * 100_000 + b"</iq>", "malformed XML", id="deep and open"),
    pytest.param(b"<iq>" + b"x" * (10 << 20), "more than 1048576 bytes", id="10 MB without an end tag"),
    pytest.param(b"<iq>" + b"x" * (2 << 20) + b"</iq>", "more than 1048576 bytes", id="2 MB with one"),
    pytest.param(b"<iq><?" + b"x" * (10 << 20), "more than 1048576 bytes", id="an endless instruction"),
    pytest.param(b" <presence" + b"x" * (10 << 20), "more than 1048576 bytes", id="an endless element of no use"),
    pytest.param(b"<message>\xff\xfe</message>", "malformed XML", id="invalid UTF-8"),
    pytest.param(b"<iq>\xed\xa0\x80</iq>", "malformed XML", id="a surrogate"),
    pytest.param(b"<iq>\x00</iq>", "malformed XML", id="a null byte"),
    pytest.param(b"</stream:stream><iq></iq>", "malformed XML", id="a stream end, then an iq"),
    pytest.param(b"<iq>" + b"".join(b"<n%d/>" % at for at in range(200_000)) + b"</iq>",
                 "more than 1048576 bytes", id="many names"),
]  # fmt: skip


class Peer:
    """The other end of a session that misbehaves once it is up; says how much the victim held at most."""

    def __init__(self, first: bytes, data: bytes) -> None:
        self.first, self.data = first, data
        self.held = 0
        self.lost = False
        self.victim: Any = None

    def buildProtocol(self, address: object) -> Peer:  # noqa: N802 - Twisted's name
        return self

    def makeConnection(self, transport: Any) -> None:  # noqa: N802 - Twisted's name
        self.transport = transport
        transport.write(self.first)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        """What the victim says does not matter."""

    def connectionLost(self, reason: object) -> None:  # noqa: N802 - Twisted's name
        self.lost = True

    def attack(self, net: Any) -> None:
        for at in range(0, len(self.data), CHUNK):
            if self.lost:
                return
            self.transport.write(self.data[at : at + CHUNK])
            net.settle()
            self.held = max(self.held, self.victim.core.buffered)


@pytest.mark.parametrize(("data", "reason"), DOCUMENTS)
def test_a_server(net: Any, data: bytes, reason: str) -> None:
    bench = Bench(net, max_stanza=LIMIT)
    _, good = bench.client("compute-8", "10.0.0.8")
    peer = Peer(stream.open_bytes("compute-7", JID), data)
    net.connectTCP("127.0.0.1", 5269, peer)
    net.run(1)
    peer.victim = next(session for session in bench.control.sessions if session.peer_name == "compute-7")
    with capturedLogs() as events:
        peer.attack(net)
        net.run(1)
    warnings = [event["reason"] for event in events if event["log_level"] is LogLevel.warn]
    assert warnings == [peer.victim.reason]
    assert peer.lost and peer.held <= LIMIT + CHUNK and peer.victim.core.buffered == 0
    assert reason in peer.victim.reason and len(peer.victim.reason) < 300
    assert f"closed compute-7: {peer.victim.reason}" in bench.control.heard
    assert peer.victim.counters.malformed == 1
    assert bench.control.stanzas == [] and good.heard == ["established ctrl-1"]


@pytest.mark.parametrize(("data", "reason"), DOCUMENTS)
def test_a_client(net: Any, data: bytes, reason: str) -> None:
    """It drops the connection, and connects again after its back-off."""
    peers: list[Peer] = []

    class Site:
        def buildProtocol(self, address: object) -> Peer:  # noqa: N802 - Twisted's name
            peers.append(Peer(stream.reply_bytes("ctrl-1", "compute-7"), data))
            return peers[-1]

    net.listenTCP(5269, Site(), interface="127.0.0.1")
    agent = Recorder()
    settings = ClientSettings("compute-7", "127.0.0.1", max_stanza=LIMIT)
    client = XmppClient(net, settings, agent, rng=random.Random(7))
    client.start()
    net.run(0.5, 0.1)
    assert agent.heard == ["established ctrl-1"]
    (peer,) = peers
    peer.victim = agent.sessions[0]
    peer.attack(net)
    net.run(3, 0.1)
    assert peer.lost and peer.held <= LIMIT + CHUNK and client.core.buffered == 0
    assert reason in peer.victim.reason and len(client.last_error) < 300
    assert agent.heard == ["established ctrl-1", f"closed ctrl-1: {peer.victim.reason}", "established ctrl-1"]
    assert agent.stanzas == [] and client.core.flaps == 1
