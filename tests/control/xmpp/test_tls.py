"""StartTLS with real certificates over a network in memory (reference/xmpp.md 1.4)."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from control.xmpp.certificates import Files, make_files

from contrail_emulator.control.xmpp import (
    ClientSettings,
    ServerSettings,
    Session,
    Stanza,
    TlsSettings,
    XmppClient,
    XmppServer,
    stream,
)
from contrail_emulator.control.xmpp.tls import TlsContext, TlsError

STANZA = b"<iq to='x'></iq>"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("pem"))


class Handler:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.session: Session | None = None
        self.stanzas: list[Stanza] = []

    def established(self, session: Session) -> None:
        self.heard.append("established")
        self.session = session

    def stanza(self, session: Session, stanza: Stanza) -> None:
        self.stanzas.append(stanza)

    def closed(self, session: Session, reason: str) -> None:
        self.heard.append(reason)

    def unblocked(self, session: Session) -> None:
        self.heard.append("unblocked")

    def timed_out(self, client: XmppClient) -> None:
        self.heard.append("timed out")


class Pair(NamedTuple):
    """Both ends."""

    server: XmppServer
    control: Handler
    client: XmppClient
    agent: Handler


def pair(net: Any, here: TlsSettings | None, there: TlsSettings | None) -> Pair:
    control, agent = Handler(), Handler()
    server = XmppServer(net, ServerSettings("ctrl-1", tls=here), control)
    server.listen()
    settings = ClientSettings("compute-7", "127.0.0.1", tls=there)
    client = XmppClient(net, settings, agent, rng=random.Random(1))
    client.start()
    return Pair(server, control, client, agent)


def test_a_session_over_tls(net: Any, files: Files) -> None:
    ends = pair(net, files.good, files.good)
    net.run(1)
    assert ends.control.heard == ends.agent.heard == ["established"]
    assert ends.control.session is not None and ends.agent.session is not None
    ends.agent.session.send(STANZA)
    ends.control.session.send(STANZA * 100)
    net.run(100)
    assert (len(ends.control.stanzas), len(ends.agent.stanzas)) == (1, 100)
    assert ends.control.heard == ends.agent.heard == ["established"]
    assert ends.agent.session.rows()["tls"] is True
    text = bytes(net.tape)
    assert b"<iq" not in text
    assert text.count(b"<stream:stream") == 2, "the second pair went over TLS"
    assert text.count(b"<stream:features") == 1


def test_back_pressure_over_tls(net: Any, files: Files) -> None:
    ends = pair(net, files.good, files.good)
    net.run(1)
    assert ends.control.session is not None and ends.agent.session is not None
    ends.agent.session.pause_reading()
    sent = 1
    while ends.control.session.send(b"<iq>" + b"x" * 9000 + b"</iq>"):
        sent += 1
        assert sent < 1000
    net.run(1)
    ends.agent.session.resume_reading()
    net.run(1)
    assert ends.control.heard == ["established", "unblocked"]
    assert len(ends.agent.stanzas) == sent


def test_a_session_over_tls_closes_and_comes_back(net: Any, files: Files) -> None:
    ends = pair(net, files.good, files.good)
    net.run(1)
    assert ends.control.session is not None
    ends.control.session.close("cleared")
    net.run(3)
    assert ends.control.heard == ["established", "cleared", "established"]
    assert ends.agent.heard[0::2] == ["established", "established"]
    assert ends.client.stop() is not None
    net.run(1)
    assert ends.server.connections == 0


def test_a_server_whose_certificate_does_not_verify(net: Any, files: Files) -> None:
    ends = pair(net, files.self_signed, files.good)
    net.run(3)
    assert ends.control.heard == ends.agent.heard == []
    assert ends.client.core.attempts >= 2, "dropped without a word, and tried again"
    assert "certificate verify failed" in ends.client.last_error


def test_a_client_whose_certificate_does_not_verify(net: Any, files: Files) -> None:
    ends = pair(net, files.good, files.self_signed)
    net.run(3)
    assert ends.control.heard == []
    assert ends.client.core.attempts >= 2


def test_no_authority_means_no_verification(net: Any, files: Files) -> None:
    loose = files.self_signed._replace(ca="")
    ends = pair(net, loose, loose)
    net.run(1)
    assert ends.control.heard == ends.agent.heard == ["established"]


def test_a_client_without_tls_at_a_server_with_it(net: Any, files: Files) -> None:
    ends = pair(net, files.good, None)
    net.run(60)
    assert ends.control.heard == []
    net.run(60)
    assert ends.agent.heard[1] in ("hold timer expired", "closed by the peer"), "it never comes up for good"


def test_a_client_with_tls_at_a_server_without_it(net: Any, files: Files) -> None:
    ends = pair(net, None, files.good)
    net.run(200)
    assert ends.agent.heard == []
    assert ends.control.heard[:2] == ["established", "hold timer expired"] or "closed by the peer" in ends.control.heard


def test_garbage_instead_of_a_handshake(net: Any, files: Files) -> None:
    ends = pair(net, files.good, files.good)
    net.run(1)

    class Peer:
        lost = False

        def buildProtocol(self, address: object) -> Peer:  # noqa: N802 - Twisted's name
            return self

        def makeConnection(self, transport: Any) -> None:  # noqa: N802 - Twisted's name
            self.transport = transport
            transport.write(stream.open_bytes("intruder", "x"))

        def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
            if b"<stream:features>" in data:
                self.transport.write(stream.STARTTLS)
            if b"<proceed" in data:
                self.transport.write(b"<iq>not a handshake</iq>" * 10)

        def connectionLost(self, reason: object) -> None:  # noqa: N802 - Twisted's name
            self.lost = True

    peer = Peer()
    net.connectTCP("127.0.0.1", 5269, peer)
    net.run(1)
    assert peer.lost
    assert list(ends.server.sessions) == ["compute-7"]


@pytest.mark.parametrize("field", ["certificate", "key", "ca"])
@pytest.mark.parametrize("content", [None, b"no PEM"])
def test_files_that_cannot_be_used(files: Files, tmp_path: Path, field: str, content: bytes | None) -> None:
    path = tmp_path / "broken.pem"
    if content is not None:
        path.write_bytes(content)
    broken = files.good._replace(**{field: str(path)})
    for server in (True, False):
        with pytest.raises(TlsError, match=r"broken\.pem"):
            TlsContext(broken, server)


def test_a_key_of_another_certificate(files: Files) -> None:
    with pytest.raises(TlsError):
        TlsContext(files.good._replace(key=files.self_signed.key), server=True)
