"""The traffic class of XMPP sessions, read back from the sockets of both ends."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from control.xmpp.certificates import make_files

from contrail_emulator.control.xmpp import ClientSettings, ServerSettings, Session, XmppClient, XmppServer

Until = Callable[[Callable[[], object]], None]


class Handler:
    """Keeps the sessions that are up."""

    def __init__(self) -> None:
        self.sessions: list[Session] = []

    def established(self, session: Session) -> None:
        self.sessions.append(session)

    def stanza(self, session: Session, stanza: Any) -> None: ...

    def closed(self, session: Session, reason: str) -> None:
        self.sessions.remove(session)

    def unblocked(self, session: Session) -> None: ...

    def timed_out(self, client: XmppClient) -> None: ...


def dscp(session: Session) -> int:
    transport: Any = session.transport
    marks: int = transport.socket.getsockopt(socket.IPPROTO_IP, socket.IP_TOS)
    return marks >> 2


@pytest.mark.parametrize("tls", [False, True])
def test_both_ends_mark_sessions_that_are_up_and_those_that_come(
    reactor: Any, until: Until, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tls: bool
) -> None:
    # Twisted's TLS gathers small writes until the next turn of the process's own reactor, whichever it is used with
    monkeypatch.setattr("twisted.protocols.tls._get_default_clock", lambda: reactor)

    certificates = make_files(tmp_path).good if tls else None
    here, there = Handler(), Handler()
    server = XmppServer(reactor, ServerSettings("control-1", port=0, tls=certificates), here)
    ports: list[int] = []
    server.listen().addCallback(ports.append)
    until(lambda: ports)
    client = XmppClient(
        reactor, ClientSettings("compute-1", "127.0.0.1", ports[0], tls=certificates), there, rng=random.Random(1)
    )
    client.start()
    until(lambda: here.sessions and there.sessions)
    session, agent = here.sessions[0], there.sessions[0]
    assert dscp(session) == dscp(agent) == 0
    server.set_dscp(56)
    client.set_dscp(46)
    assert (dscp(session), dscp(agent), client.rows()["dscp"]) == (56, 46, 46)
    session.close("test")
    until(lambda: here.sessions not in ([], [session]) and there.sessions not in ([], [agent]))
    assert (dscp(here.sessions[0]), dscp(there.sessions[0])) == (56, 46)
    stopped: list[object] = []
    client.stop().addCallback(stopped.append)
    server.stop().addCallback(stopped.append)
    until(lambda: len(stopped) == 2)
