"""Sessions end to end over a network in memory: up, down, duplicates, hold times, faults (reference/xmpp.md 1)."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from contrail_emulator.base.pcap import Capture
from contrail_emulator.control.xmpp import (
    ClientSettings,
    ServerSettings,
    Session,
    Stanza,
    XmppClient,
    XmppServer,
    pubsub,
    stream,
)
from contrail_emulator.control.xmpp.session import FRAMES_PER_TURN
from contrail_emulator.control.xmpp.socket_options import set_no_delay, set_timeouts
from contrail_emulator.control.xmpp.states import State

SUBSCRIBE = pubsub.Subscribe("default-domain:demo:red:red", 3).to_bytes("compute-7", "control/bgp-peer", "subscribe1")
RETRACT = pubsub.message_header("compute-7") + pubsub.retract_body("1/1/red", ["10.1.1.3/32"])


class Recorder:
    """A handler that writes down what it hears, and does what a test tells it to."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.sessions: list[Session] = []
        self.stanzas: list[Stanza] = []
        self.on_established: Callable[[Session], None] | None = None
        self.on_stanza: Callable[[Session], None] | None = None

    def established(self, session: Session) -> None:
        self.heard.append(f"established {session.peer_name}")
        self.sessions.append(session)
        if self.on_established is not None:
            self.on_established(session)

    def stanza(self, session: Session, stanza: Stanza) -> None:
        self.stanzas.append(stanza)
        if self.on_stanza is not None:
            self.on_stanza(session)

    def closed(self, session: Session, reason: str) -> None:
        self.heard.append(f"closed {session.peer_name}: {reason}")

    def unblocked(self, session: Session) -> None:
        self.heard.append("unblocked")

    def timed_out(self, client: XmppClient) -> None:
        self.heard.append("timed out")


class Bench:
    """One server and what is needed to connect clients to it."""

    def __init__(self, net: Any, **settings: Any) -> None:
        self.net = net
        self.control = Recorder()
        self.server = XmppServer(net, ServerSettings("ctrl-1", port=5269, **settings), self.control)
        self.server.listen()

    def client(self, name: str = "compute-7", bind: str = "10.0.0.7", **settings: Any) -> tuple[XmppClient, Recorder]:
        agent = Recorder()
        wanted = ClientSettings(name, "127.0.0.1", 5269, bind_address=bind, **settings)
        client = XmppClient(self.net, wanted, agent, rng=random.Random(7))
        client.start()
        return client, agent


@pytest.fixture
def bench(net: Any) -> Bench:
    return Bench(net)


def test_a_session_comes_up_and_carries_stanzas(net: Any, bench: Bench) -> None:
    client, agent = bench.client()
    net.run(1)
    assert bench.control.heard == ["established compute-7"]
    assert agent.heard == ["established ctrl-1"]
    there, here = bench.control.sessions[0], agent.sessions[0]
    assert (there.peer_address, there.local_address) == ("10.0.0.7", "127.0.0.1")
    assert (here.peer_address, here.local_address) == ("127.0.0.1", "10.0.0.7")
    assert client.session is here and bench.server.sessions == {"compute-7": there}
    assert there.counters.keepalives_in == 1, "a client sends a keepalive at once"
    assert here.counters.keepalives_in == 0, "a server does not"
    assert here.send(SUBSCRIBE) and there.send(RETRACT)
    net.settle()
    assert [stanza.id for stanza in bench.control.stanzas] == ["subscribe1"]
    assert [pubsub.read(stanza) for stanza in agent.stanzas] == [pubsub.Retract("1/1/red", ("10.1.1.3/32",))]
    assert there.rows()["state"] == "Established"
    assert client.rows()["flaps"] == 0


def test_keepalives_hold_a_session_up(net: Any, bench: Bench) -> None:
    client, agent = bench.client()
    net.run(1000)
    assert agent.heard == ["established ctrl-1"]
    assert bench.control.heard == ["established compute-7"]
    assert client.core.attempts == 0
    assert 30 <= agent.sessions[0].counters.keepalives_in <= 34


def test_a_stopped_client_stays_down(net: Any, bench: Bench) -> None:
    client, agent = bench.client()
    net.run(1)
    stopped: list[None] = []
    client.stop().addCallback(stopped.append)
    assert not stopped
    net.run(100)
    assert stopped == [None]
    assert agent.heard == ["established ctrl-1", "closed ctrl-1: stopped"]
    assert bench.control.heard == ["established compute-7", "closed compute-7: closed by the peer"]
    assert bench.server.connections == 0
    assert net.getDelayedCalls() == []


def test_a_stopped_server_is_connected_to_again(net: Any, bench: Bench) -> None:
    client, agent = bench.client()
    net.run(1)
    stopped: list[None] = []
    bench.server.stop().addCallback(stopped.append)
    net.run(5)
    assert stopped == [None]
    assert client.state in (State.ACTIVE, State.CONNECT)
    bench.server.listen()
    net.run(40)
    assert agent.heard == ["established ctrl-1", "closed ctrl-1: closed by the peer", "established ctrl-1"]
    assert client.core.flaps == 1


def test_a_client_stopped_while_it_connects(net: Any, bench: Bench) -> None:
    net.hanging = True
    client, agent = bench.client()
    net.run(0.5)
    assert client.state is State.CONNECT
    assert client.stop().called
    net.hanging = False
    net.run(60)
    assert agent.heard == [] and bench.control.heard == []
    assert net.getDelayedCalls() == []


def test_a_server_that_does_not_answer_times_out(net: Any, bench: Bench) -> None:
    bench.server.stop()
    client, agent = bench.client()
    net.run(200)
    assert agent.heard.count("timed out") >= 4
    assert client.core.attempts == agent.heard.count("timed out") + 3
    assert "refused" in client.last_error


def test_a_connect_that_hangs_is_given_up(net: Any, bench: Bench) -> None:
    net.hanging = True
    client, agent = bench.client()
    net.run(3)
    assert client.last_error == "connect timer expired"
    net.hanging = False
    net.run(30)
    assert agent.heard == ["established ctrl-1"]


def test_a_half_open_connection_is_found_by_the_hold_timer(net: Any, bench: Bench) -> None:
    client, agent = bench.client()
    net.run(5)
    for wire in net.wires:
        wire.frozen = True
    net.run(80)
    assert len(agent.heard) == len(bench.control.heard) == 1
    net.run(15)
    assert agent.heard[1] == "closed ctrl-1: hold timer expired"
    assert bench.control.heard[1] == "closed compute-7: hold timer expired"
    assert agent.heard[2:] == ["established ctrl-1"], "and connects anew"
    assert client.core.flaps == 1


def test_the_old_session_of_a_name_wins(net: Any, bench: Bench) -> None:
    bench.client()
    net.run(1)
    second, agent = bench.client()
    net.run(5)
    assert agent.heard == []
    assert second.core.attempts >= 2
    assert bench.control.heard == ["established compute-7"]
    assert bench.server.refused >= 2


def test_a_name_from_another_address_is_refused(net: Any, bench: Bench) -> None:
    bench.client()
    net.run(1)
    _, agent = bench.client(bind="10.0.0.8")
    net.run(2)
    assert agent.heard == []
    assert bench.control.heard == ["established compute-7"]


def test_with_the_helper_both_are_closed_and_the_next_is_taken(net: Any) -> None:
    bench = Bench(net, graceful_restart_helper=True)
    first, _ = bench.client()
    net.run(1)
    old = bench.control.sessions[0]
    first.core.attempts = 6  # the first one stays away for half a minute
    second, agent = bench.client()
    net.run(0.5, 0.05)
    assert bench.control.heard == ["established compute-7", "closed compute-7: the agent connected again"]
    assert agent.heard == []
    net.run(3)
    assert agent.heard == ["established ctrl-1"]
    assert bench.server.sessions["compute-7"] is not old
    assert second.core.attempts == 2


def test_a_name_under_cleanup_is_refused_until_it_is_done(net: Any, bench: Bench) -> None:
    bench.server.start_cleanup("compute-7", "10.0.0.7")
    _, agent = bench.client()
    net.run(5)
    assert agent.heard == []
    bench.server.end_cleanup("compute-7")
    net.run(20)
    assert agent.heard == ["established ctrl-1"]


@pytest.mark.parametrize(("offered", "accepted"), [("edge-1", True), ("", False), ("edge-2", False)])
def test_subcluster(net: Any, offered: str, accepted: bool) -> None:
    bench = Bench(net, subcluster="edge-1")
    _, agent = bench.client(subcluster=offered)
    net.run(2)
    assert bool(agent.heard) is accepted


def test_a_server_that_is_not_ready_closes_at_once(net: Any, bench: Bench) -> None:
    bench.control.on_established = lambda session: session.close("no configuration yet")
    client, agent = bench.client()
    net.run(0.5, 0.05)
    assert bench.control.heard == ["established compute-7", "closed compute-7: no configuration yet"]
    assert agent.heard == ["established ctrl-1", "closed ctrl-1: closed by the peer"]
    bench.control.on_established = None
    net.run(5)
    assert agent.heard[2:] == ["established ctrl-1"]
    assert client.core.attempts == 2


def test_a_client_s_session_closed_by_its_user_is_connected_again(net: Any, bench: Bench) -> None:
    _, agent = bench.client()
    net.run(1)
    agent.sessions[0].close("another configuration")
    assert agent.heard == ["established ctrl-1"], "not told inside its own call"
    net.run(3)
    assert agent.heard[1:] == ["closed ctrl-1: another configuration", "established ctrl-1"]


def test_clear_closes_all_sessions(net: Any, bench: Bench) -> None:
    agents = [bench.client(f"compute-{at}", f"10.0.0.{at}")[1] for at in range(3)]
    net.run(1)
    bench.server.clear("the router id changed")
    net.run(3)
    for agent in agents:
        assert agent.heard == ["established ctrl-1", "closed ctrl-1: closed by the peer", "established ctrl-1"]


def test_hold_time_changes_live(net: Any, bench: Bench) -> None:
    client, agent = bench.client()
    net.run(1)
    bench.server.set_hold_time(9)
    client.set_hold_time(9)
    net.run(10)
    assert agent.sessions[0].counters.keepalives_in == 3
    for wire in net.wires:
        wire.frozen = True
    net.run(10)
    assert agent.heard[1] == "closed ctrl-1: hold timer expired"
    _, late = bench.client("compute-8", "10.0.0.8")
    net.run(4)
    assert late.sessions[0].counters.keepalives_in == 1, "new sessions have it too"


def test_a_silent_connection_is_dropped_after_15_seconds(net: Any, bench: Bench) -> None:
    session = bench.server
    from_nowhere = net.connectTCP("127.0.0.1", 5269, Mute())
    net.run(14)
    assert session.connections == 1
    net.run(2)
    assert session.connections == 0
    assert not from_nowhere.pending
    assert bench.control.heard == [], "a session that was never up is not spoken of"


class Mute:
    """A client that connects and sends what it is told, nothing by itself."""

    def __init__(self, *sends: bytes) -> None:
        self.sends = sends
        self.got = b""
        self.lost = False

    def buildProtocol(self, address: object) -> Mute:  # noqa: N802 - Twisted's name
        return self

    def makeConnection(self, transport: Any) -> None:  # noqa: N802 - Twisted's name
        self.transport = transport
        for data in self.sends:
            transport.write(data)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        self.got += data

    def connectionLost(self, reason: object) -> None:  # noqa: N802 - Twisted's name
        self.lost = True


OPEN = stream.open_bytes("compute-7", "network-control@contrailsystems.com")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"<?xml version='1.0'?>" + OPEN, id="what Twisted's own XMPP sends"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: <stream:stream http://etherx.jabber.org/streams'>\r\n", id="HTTP"),
        pytest.param(OPEN + b"<iq><a></iq>", id="malformed iq"),
        pytest.param(OPEN + b"<message>\xff</message>", id="invalid UTF-8"),
        pytest.param(OPEN + b"<iq>&lol;</iq>", id="unknown entity"),
        pytest.param(OPEN + b"</stream:stream><iq></iq>", id="stream end, then an iq"),
        pytest.param(OPEN + b"<iq>" + b"x" * (9 << 20), id="9 MiB without an end tag"),
        pytest.param(b"<stream:stream " + b"x" * 70000, id="an endless open"),
    ],
)
def test_bad_bytes_close_the_connection_and_nothing_more(net: Any, bench: Bench, data: bytes) -> None:
    peer = Mute(data)
    net.connectTCP("127.0.0.1", 5269, peer)
    net.run(1)
    assert peer.lost
    assert bench.server.connections == 0
    _, agent = bench.client()
    net.run(1)
    assert agent.heard == ["established ctrl-1"], "the server goes on"


@pytest.mark.parametrize("data", [OPEN, b"<presence/>", b"</stream:stream>", b"\x00\xff" * 1000, b"<iq/>"])
def test_bytes_that_match_nothing_are_kept_and_ignored(net: Any, bench: Bench, data: bytes) -> None:
    peer = Mute(OPEN, data)
    net.connectTCP("127.0.0.1", 5269, peer)
    net.run(60)
    assert not peer.lost
    assert bench.control.stanzas == []
    net.run(60)
    assert peer.lost, "they are no sign of life"
    assert bench.control.heard[-1] == "closed compute-7: hold timer expired"


def test_a_stanza_pipelined_behind_the_open_is_taken(net: Any, bench: Bench) -> None:
    net.connectTCP("127.0.0.1", 5269, Mute(OPEN + SUBSCRIBE + SUBSCRIBE))
    net.run(1)
    assert len(bench.control.stanzas) == 2


def test_one_turn_handles_a_bounded_number_of_stanzas(net: Any, bench: Bench) -> None:
    count = FRAMES_PER_TURN * 5 + 1
    net.connectTCP("127.0.0.1", 5269, Mute(OPEN))
    net.run(1)
    agent, control = net.wires
    agent.write(b"<iq></iq>" * count)
    agent.flush()
    assert len(bench.control.stanzas) == FRAMES_PER_TURN
    assert not control.reading, "no more is read before this is done"
    net.settle()
    assert len(bench.control.stanzas) == count
    assert control.reading


def test_a_paused_session_delivers_nothing_and_does_not_expire(net: Any, bench: Bench) -> None:
    bench.control.on_stanza = lambda session: session.pause_reading()
    _, agent = bench.client()
    net.run(1)
    agent.sessions[0].send(SUBSCRIBE * 3)
    net.run(1)
    there = bench.control.sessions[0]
    assert len(bench.control.stanzas) == 1
    net.run(200)
    assert bench.control.heard == ["established compute-7"], "bytes wait, so the peer is not silent"
    for expected in (2, 3):
        there.resume_reading()
        net.run(1)
        assert len(bench.control.stanzas) == expected
    bench.control.on_stanza = None
    there.resume_reading()
    net.run(100)
    assert bench.control.heard == ["established compute-7"]


def test_a_handler_may_close_in_the_middle_of_a_read(net: Any, bench: Bench) -> None:
    bench.control.on_stanza = lambda session: session.close("spurious unsubscribe")
    _, agent = bench.client()
    net.run(1)
    agent.sessions[0].send(SUBSCRIBE * 3)
    net.run(0.5, 0.05)
    assert len(bench.control.stanzas) == 1
    assert bench.control.heard[1] == "closed compute-7: spurious unsubscribe"


def test_nothing_is_sent_on_a_closed_session(net: Any, bench: Bench) -> None:
    _, agent = bench.client()
    net.run(1)
    session = bench.control.sessions[0]
    session.close("done")
    assert session.send(RETRACT) is False
    session.close("again")
    net.run(0.5, 0.05)
    assert agent.stanzas == []
    assert session.state is State.IDLE
    assert bench.control.heard.count("closed compute-7: done") == 1


def test_a_server_with_tls_and_a_client_without_never_come_up_for_good(net: Any, bench: Bench) -> None:
    peer = Mute(stream.reply_bytes("ctrl-1", "compute-7") + stream.FEATURES)
    net.ports["127.0.0.1", 5270] = type(net.ports["127.0.0.1", 5269])(net, ("127.0.0.1", 5270), peer)
    agent = Recorder()
    client = XmppClient(net, ClientSettings("compute-7", "127.0.0.1", 5270), agent, rng=random.Random(1))
    client.start()
    net.run(120)
    assert agent.heard[:2] == ["established ctrl-1", "closed ctrl-1: hold timer expired"]


def test_bytes_in_the_socket_are_seen_without_reading_them(net: Any, bench: Bench) -> None:
    _, agent = bench.client()
    net.run(1)
    session = agent.sessions[0]
    near, far = socket.socketpair()
    with near, far:
        session.transport.wire.socket = near  # type: ignore[union-attr]
        assert session.core.input_waits() is False
        far.send(b"x")
        assert session.core.input_waits() is True
        assert near.recv(10) == b"x"
        far.close()
        assert session.core.input_waits() is False, "an end of file is not a sign of life"
    assert session.core.input_waits() is False, "nor is a socket that is closed"


def test_a_capture_sees_every_byte_of_both_ends(net: Any, tmp_path: Path) -> None:
    path = tmp_path / "session.pcapng"
    capture = Capture(path, clock=net.seconds)
    control, agent = Recorder(), Recorder()
    server = XmppServer(net, ServerSettings("ctrl-1", port=5269), control, capture=capture)
    server.listen()
    settings = ClientSettings("compute-7", "127.0.0.1", bind_address="127.0.0.7")
    client = XmppClient(net, settings, agent, rng=random.Random(7), capture=capture)
    client.start()
    net.run(1)
    agent.sessions[0].send(SUBSCRIBE)
    net.run(1)
    client.stop()
    net.run(1)
    server.stop()
    capture.close()
    data = path.read_bytes()
    assert data.count(OPEN) == 1, "one connection, one record of it"
    assert data.count(SUBSCRIBE) == 1
    assert control.heard == ["established compute-7", "closed compute-7: closed by the peer"]


def test_a_clock_that_jumps_ahead_costs_a_session_and_nothing_more(net: Any, bench: Bench) -> None:
    client, agent = bench.client()
    net.run(10)
    net.advance(3600)
    net.run(60)
    assert [word.split(":")[0] for word in agent.heard] == ["established ctrl-1", "closed ctrl-1", "established ctrl-1"]
    assert client.core.flaps == 1
    assert list(bench.server.sessions) == ["compute-7"]
    assert bench.server.connections == 1


def test_a_port_in_use_is_an_error_of_listen(net: Any, bench: Bench) -> None:
    def in_use(*arguments: object, **options: object) -> None:
        raise OSError("address in use")

    net.listenTCP = in_use
    second = XmppServer(net, ServerSettings("ctrl-2", port=5269), Recorder())
    failed: list[str] = []
    second.listen().addErrback(lambda failure: failed.append(failure.getErrorMessage()))
    assert failed == ["address in use"]
    assert second.stop().called


def test_tcp_timeouts_are_set_on_a_real_socket() -> None:
    with socket.socket() as link:
        set_timeouts(link, 30)
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 15000
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 5
    with socket.socket() as link:
        set_timeouts(link, 0)
        assert link.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
    set_timeouts(object(), 30)


def test_a_real_socket_does_not_delay() -> None:
    with socket.socket() as link:
        set_no_delay(link)
        assert link.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    set_no_delay(object())
