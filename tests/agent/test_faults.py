"""Faults on real sockets, seen from the agent: a control node that is gone without a word, one that cannot be trusted.

Half-open TCP comes in two kinds: the other end's machine is silent (found by the hold timer), or it has forgotten the
connection (found by the reset that answers the next byte).
"""

from __future__ import annotations

import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from agent.test_sockets import Node, Until
from control.xmpp.certificates import Files, make_files

from contrail_emulator.agent import Agent, AgentSettings, DnsServerAddress, NoDataPlane
from contrail_emulator.agent import introspect as pages
from contrail_emulator.control.xmpp import ServerSettings, TlsSettings, XmppServer, stream
from contrail_emulator.control.xmpp.names import DNS_JID
from contrail_emulator.control.xmpp.tls import TlsError

RED = "default-domain:demo:red"
TCP_REPAIR = 19
"""Linux: a socket closed in this mode is forgotten without a word to the other end. Needs CAP_NET_ADMIN."""


class Site:
    """A reactor, real servers, and agents that are stopped at the end."""

    def __init__(self, reactor: Any, until: Until, config: Any) -> None:
        self.reactor, self.until, self.config = reactor, until, config
        self.closing: list[Any] = []

    def node(self, tls: TlsSettings | None = None) -> tuple[Node, int]:
        node = Node(self.config)
        server = XmppServer(self.reactor, ServerSettings("control-1", port=0, tls=tls), node)
        ports: list[int] = []
        server.listen().addCallback(ports.append)
        self.until(lambda: ports)
        self.closing.append(server)
        return node, ports[0]

    def agent(self, *ports: int, **more: Any) -> Agent:
        nodes = tuple(("127.0.0.1", port) for port in ports)
        settings = AgentSettings("compute-1", "10.0.0.1", "127.0.0.1", nodes, **more)
        agent = Agent(self.reactor, settings, NoDataPlane(), rng=random.Random(1), uuid=uuid4)
        started: list[None] = []
        agent.start().addCallback(started.append)
        self.until(lambda: started)
        self.closing.append(agent)
        return agent

    def close(self) -> None:
        stopped: list[object] = []
        for one in reversed(self.closing):
            one.stop().addBoth(stopped.append)
        self.until(lambda: len(stopped) == len(self.closing))


@pytest.fixture
def site(
    reactor: Any, until: Until, config: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Site]:
    # Twisted's TLS gathers small writes until the next turn of the process's own reactor, whichever it is used with
    monkeypatch.setattr("twisted.protocols.tls._get_default_clock", lambda: reactor)
    config.network("red", "10.1.0.0/24")
    made = Site(reactor, until, config)
    yield made
    made.close()


class Mute:
    """A control node's machine that answers the open, and then nothing more: a blocking socket nobody reads."""

    def __init__(self, listening: socket.socket) -> None:
        self.listening = listening
        self.port: int = listening.getsockname()[1]
        self.links: list[socket.socket] = []

    def answer(self, site: Site) -> socket.socket:
        """Accept the agent's connection and reply to its open."""
        self.listening.setblocking(False)

        def accepted() -> bool:
            try:
                self.links.append(self.listening.accept()[0])
            except BlockingIOError:
                return False
            return True

        site.until(accepted)
        self.links[-1].sendall(stream.reply_bytes("control-mute", "compute-1"))
        return self.links[-1]


@contextmanager
def mute() -> Iterator[Mute]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        made = Mute(listening)
        yield made
        for link in made.links:
            link.close()


def last_error(agent: Agent) -> str:
    row: Any = pages.xmpp(agent)[0]["client"]
    return str(row["last_error"])


def test_a_silent_control_node_is_given_up_at_the_hold_time(site: Site) -> None:
    """Its kernel still takes all that is sent. Configuration then comes from the other one."""
    with mute() as dead:
        agent = site.agent(dead.port, hold_time=1)
        dead.answer(site)
        site.until(lambda: agent.controller.config_channel is not None)
        channel = agent.controller.config_channel
        assert channel is not None and channel.port == dead.port
        node, port = site.node()
        agent.move([("127.0.0.1", dead.port), ("127.0.0.1", port)], [])
        site.until(lambda: agent.controller.config_channel not in (channel, None))
        assert channel.last_reason == last_error(agent) == "hold timer expired"
        site.until(lambda: f"{RED}:red" in agent.oper.rib.vrfs)
        assert len(node.sessions) == 1
        again = dead.answer(site)  # it is tried again
        site.until(lambda: channel.is_ready)
        assert again.recv(20).startswith(b"<stream:stream")


def test_a_control_node_that_forgot_the_connection(site: Site) -> None:
    with mute() as dead:
        agent = site.agent(dead.port, hold_time=6)
        link = dead.answer(site)
        site.until(lambda: agent.controller.config_channel is not None)
        try:
            link.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
        except PermissionError:
            pytest.skip("closing a connection without a word takes CAP_NET_ADMIN")
        link.close()
        (channel,) = agent.controller.channels
        began = site.reactor.seconds()
        site.until(lambda: not channel.is_ready)  # with the next keepalive, a third of the hold time on
        assert site.reactor.seconds() - began < 5
        assert "hold" not in channel.last_reason
        dead.answer(site)
        site.until(lambda: channel.is_ready)
        assert agent.receiver.sequence == 2


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("pem"))


def test_control_node_and_name_server_over_tls(site: Site, files: Files) -> None:
    node, port = site.node(files.good)
    names, dns_port = site.node(files.good)
    agent = site.agent(
        port, tls=files.good, dns_tls=files.good, dns_servers=(DnsServerAddress("127.0.0.1", 53, dns_port),)
    )
    site.until(lambda: f"{RED}:red" in agent.oper.rib.vrfs)
    site.until(lambda: names.sessions)
    assert [session.rows()["tls"] for session in (*node.sessions, *names.sessions)] == [True, True]
    assert names.sessions[0].core.opened.to == DNS_JID
    assert agent.name_servers.channels[0].is_ready


@pytest.mark.parametrize("whose", ["the control node's", "the agent's"])
def test_a_certificate_that_does_not_verify(site: Site, files: Files, whose: str) -> None:
    """No session, a reason, and another try each time; the other control node is not concerned."""
    theirs, ours = files.self_signed, files.good
    if whose == "the agent's":
        theirs, ours = ours, theirs
    bad, bad_port = site.node(theirs)
    agent = site.agent(bad_port, tls=ours)
    (channel,) = agent.controller.channels

    def client() -> Any:
        return agent.controller.client_of(channel).rows()

    site.until(lambda: client()["attempts"] >= 2 and last_error(agent))
    assert bad.heard == [] and bad.sessions == [] and not channel.is_ready
    assert client()["state"] != "Established"
    assert ("certificate" in last_error(agent)) or whose == "the agent's"
    good, port = site.node(files.good._replace(ca=""))  # asks agents for nothing
    agent.move([("127.0.0.1", bad_port), ("127.0.0.1", port)], [])
    site.until(lambda: good.sessions)
    assert not channel.is_ready


def test_tls_on_one_side_only_never_comes_up(site: Site, files: Files) -> None:
    plain, port = site.node()
    agent = site.agent(port, tls=files.good, hold_time=1)
    (channel,) = agent.controller.channels
    client: Any = agent.controller.client_of(channel)
    site.until(lambda: client.core.attempts >= 2)
    assert not channel.counters["ready"] and plain.heard == []


def test_certificate_files_that_cannot_be_used_are_said_at_once(tmp_path: Path, reactor: Any) -> None:
    missing = TlsSettings(*(str(tmp_path / name) for name in ("a.pem", "a.key", "ca.pem")))
    for field in ("tls", "dns_tls"):
        settings = AgentSettings("compute-1", "10.0.0.1", **{field: missing})  # type: ignore[arg-type] # two fields
        with pytest.raises(TlsError, match=r"a\.pem"):
            Agent(reactor, settings, NoDataPlane(), rng=random.Random(1), uuid=uuid4)
