"""A whole control node in memory: who gets in when, and what a new identity does (reference/xmpp.md 1.7, 1.8)."""

from __future__ import annotations

from collections.abc import Coroutine
from pathlib import Path
from random import Random
from typing import Any

import pytest
from control.node.conftest import load_schema
from control.xmpp.certificates import make_files
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure

from contrail_emulator.base.behaviour import CONTRAIL, RFC, Behaviour
from contrail_emulator.config.graph import Graph
from contrail_emulator.control import introspect
from contrail_emulator.control.bgp.capability import Multiprotocol
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.message import MARKER, Keepalive, Open
from contrail_emulator.control.bgp.notification import Cease
from contrail_emulator.control.bgp.settings import PeerSettings
from contrail_emulator.control.node import ControlNode, ControlSettings
from contrail_emulator.control.routing import MASTER_INSTANCE
from contrail_emulator.control.xmpp import TlsSettings
from contrail_emulator.control.xmpp.stream import FEATURES
from contrail_emulator.control.xmpp.tls import TlsError

ME = ("bgp-router", f"{MASTER_INSTANCE}:control-1")
SYSTEM = ("global-system-config", "default-global-system-config")
BLUE = ("routing-instance", "default-domain:demo:blue:blue")


class FakeClient:
    """A configuration client whose graph the test fills."""

    def __init__(self) -> None:
        self.graph = Graph()
        self.synced = False
        self.counters: dict[str, int] = {}

    async def start(self) -> None:
        self.synced = True

    def stop(self) -> None:
        self.synced = False


class Transport(StringTransport):
    """Knows whether it was closed, and tells the protocol so in the next turn."""

    site: Site
    protocol: Any

    def loseConnection(self) -> None:  # noqa: N802 - Twisted's name
        if not self.disconnecting:
            self.disconnecting = True
            make: Any = Failure
            self.site.reactor.callLater(0, self.protocol.connectionLost, make(ConnectionDone()))

    def loseWriteConnection(self) -> None:  # noqa: N802 - Twisted's name
        self.loseConnection()

    def replied(self) -> bytes:
        """Everything the node wrote."""
        return bytes(self.io.getvalue())

    def abortConnection(self) -> None:  # noqa: N802 - Twisted's name
        self.loseConnection()


class Site:
    """A node on a reactor in memory."""

    def __init__(self, behaviour: Behaviour = CONTRAIL, tls: TlsSettings | None = None, **more: Any) -> None:
        memory: Any = MemoryReactorClock
        self.reactor = memory()
        self.client = FakeClient()
        client: Any = self.client
        self.node = ControlNode(
            self.reactor, ControlSettings(name="control-1", introspect_port=None, tls=tls, **more), client,
            load_schema(), rng=Random(1), behaviour=behaviour,
        )  # fmt: skip

    def run(self, coroutine: Coroutine[Any, Any, None]) -> None:
        done: list[object] = []
        Deferred.fromCoroutine(coroutine).addBoth(done.append)
        for _ in range(20):
            self.reactor.advance(0.01)
        assert done == [None], done

    def configure(self, *, system: dict[str, object] | None = None, **parameters: object) -> None:
        router = {"autonomous_system": 64512, "identifier": "10.255.0.1", "address": "127.0.0.1", **parameters}
        with self.client.graph.batch():
            self.client.graph.put(*SYSTEM, {"autonomous_system": 64512, **(system or {})})
            self.client.graph.put(*ME, {"bgp_router_parameters": router})
            self.client.graph.put(*BLUE, {})
        for _ in range(20):
            self.reactor.advance(0.01)

    def agent(self, name: str = "compute-1", address: str = "192.0.2.1", subcluster: str = "") -> Transport:
        """A connection on which the agent has opened its stream."""
        factory = self.reactor.tcpServers[0][1]
        where = IPv4Address("TCP", address, 40000)
        protocol = factory.buildProtocol(where)
        make: Any = Transport
        transport: Transport = make(IPv4Address("TCP", "127.0.0.1", 5269), where)
        transport.site, transport.protocol = self, protocol
        protocol.makeConnection(transport)
        protocol.dataReceived(
            f'<stream:stream from="{name}" to="network-control@contrailsystems.com" version="1.0" xml:lang="en" '
            f'xmlns="{subcluster}" xmlns:stream="http://etherx.jabber.org/streams"  >'.encode()
        )
        self.reactor.advance(0.01)
        return transport

    def neighbour(self, name: str, autonomous_system: int) -> Transport:
        """A connection on which a BGP peer, configured here unless it is, has come up. Its number says its AS."""
        number = autonomous_system & 0xFF | 1
        settings = PeerSettings(
            name=name, address=f"192.0.2.{number}", passive=True, autonomous_system=autonomous_system,
            families=(Family.INET,),
        )  # fmt: skip
        self.node.peer_changed(settings)
        factory = next(server[1] for server in self.reactor.tcpServers if server[0] == 179)
        where = IPv4Address("TCP", settings.address, 40000)
        protocol = factory.buildProtocol(where)
        make: Any = Transport
        transport: Transport = make(IPv4Address("TCP", "127.0.0.1", 179), where)
        transport.site, transport.protocol = self, protocol
        protocol.makeConnection(transport)
        opening = Open(autonomous_system, 90, number, (Multiprotocol.of(Family.INET),))
        protocol.dataReceived(opening.encode() + Keepalive().encode())
        self.reactor.advance(0.01)
        assert not transport.disconnecting
        return transport

    def names(self) -> list[str]:
        return [str(row["peer"]) for row in introspect.agents(self.node) if row["state"] == "Established"]


def cease(transport: Transport) -> int | None:
    """The subcode of the Cease with which the node ended a BGP session, None while it goes on."""
    said = transport.replied()
    if not transport.disconnecting:
        return None
    assert said[-21:-1] == MARKER + bytes((0, 21, 3, 6))
    return said[-1]


@pytest.fixture
def site() -> Site:
    made = Site()
    made.run(made.node.start())
    made.configure()
    return made


def test_an_agent_gets_in_only_with_a_complete_configuration() -> None:
    site = Site()
    assert introspect.identity(site.node) == {"name": "control-1", "configured": False}
    site.run(site.node.start())
    refused = site.agent()
    assert refused.replied().startswith(b"<stream:stream") and refused.disconnecting, "reply, then close"
    assert site.names() == []
    site.configure()
    site.client.synced = False
    assert site.agent().disconnecting
    site.client.synced = True
    accepted = site.agent()
    assert not accepted.disconnecting and site.names() == ["compute-1"]
    site.configure(admin_down=True)
    assert accepted.disconnecting and site.agent().disconnecting
    site.run(site.node.stop())


def test_a_new_identity_makes_everything_anew(site: Site) -> None:
    agent, old = site.agent(), site.node.plane
    assert old is not None and BLUE[1] in old.core.instances
    site.configure(identifier="10.255.0.2")
    new = site.node.plane
    assert new is not None and new is not old and new.identity.router_id == "10.255.0.2"
    assert agent.disconnecting and site.names() == []
    assert BLUE[1] in new.core.instances and introspect.identity(site.node)["router_id"] == "10.255.0.2"
    assert not site.agent().disconnecting and site.names() == ["compute-1"]
    site.client.graph.remove(*ME)
    for _ in range(20):
        site.reactor.advance(0.01)
    assert site.node.plane is None and introspect.agents(site.node) == []
    assert site.agent().disconnecting


def test_a_new_cluster_id_clears_the_ibgp_sessions_alone(site: Site) -> None:
    """Agents, instances and their routes stay (reference/bgp.md 1.7)."""
    agent, plane = site.agent(), site.node.plane
    assert plane is not None
    inside, outside = site.neighbour("inside", 64512), site.neighbour("outside", 65001)
    core, instance = plane.core, plane.core.instances[BLUE[1]]
    site.configure(cluster_id=0x0AFF0001)
    assert site.node.plane is plane and plane.core is core and core.instances[BLUE[1]] is instance
    assert not agent.disconnecting and site.names() == ["compute-1"]
    assert cease(inside) == Cease.CONFIG_CHANGE and cease(outside) is None
    assert core.settings.cluster_id == 0x0AFF0001
    assert introspect.identity(site.node)["cluster_id"] == 0x0AFF0001
    site.reactor.advance(10)
    site.neighbour("inside", 64512)
    assert {key.peer_type: key.cluster_id for key in core.tables["inet.0"].groups} == {"ebgp": 0, "ibgp": 0x0AFF0001}


@pytest.mark.parametrize("parameters", [{"hold_time": 30}, {"system": {"enable_4byte_as": True}},
                                        {"system": {"bgp_always_compare_med": True}}])  # fmt: skip
def test_what_only_concerns_bgp_leaves_agents_alone(site: Site, parameters: dict[str, Any]) -> None:
    agent, plane = site.agent(), site.node.plane
    inside, outside = site.neighbour("inside", 64512), site.neighbour("outside", 65001)
    site.configure(**parameters)
    assert site.node.plane is plane and not agent.disconnecting
    assert cease(inside) == cease(outside) == Cease.CONFIG_CHANGE


def test_the_same_identity_changes_nothing(site: Site) -> None:
    agent, old = site.agent(), site.node.plane
    site.client.graph.put(*SYSTEM, {"autonomous_system": 64512, "display_name": "x"})
    site.client.graph.put(*ME, {**site.client.graph.get(*ME).properties, "display_name": "x"})  # type: ignore[union-attr]
    site.reactor.advance(0.01)
    assert site.node.plane is old and not agent.disconnecting


def test_the_hold_time_changes_on_live_sessions(site: Site) -> None:
    agent, old = site.agent(), site.node.plane
    convergence = {"enable": True, "xmpp_hold_time": 9}
    site.client.graph.put(*SYSTEM, {"autonomous_system": 64512, "fast_convergence_parameters": convergence})
    site.reactor.advance(0.01)
    assert site.node.plane is old and not agent.disconnecting
    assert introspect.agents(site.node)[0]["session"]["hold_time"] == 9
    site.reactor.advance(9)
    assert agent.disconnecting


@pytest.mark.parametrize("bgp", [True, False])
@pytest.mark.parametrize("xmpp", [True, False])
def test_helper_modes_are_on_where_both_configuration_and_conf_file_have_them(bgp: bool, xmpp: bool) -> None:
    site = Site(bgp_helper=bgp, xmpp_helper=xmpp)
    site.run(site.node.start())
    wanted = {"enable": True, "bgp_helper_enable": True, "xmpp_helper_enable": True}
    site.configure(system={"graceful_restart_parameters": wanted})
    plane = site.node.plane
    assert plane is not None and plane.speaker.settings.graceful_restart.enabled
    assert plane.speaker.settings.graceful_restart.helper is bgp
    assert site.node.xmpp.graceful_restart_helper is xmpp
    site.configure()
    assert site.node.plane is not plane, "graceful restart is off for everybody"
    assert not site.node.xmpp.graceful_restart_helper


def test_a_stanza_longer_than_the_settings_allow_ends_the_session() -> None:
    site = Site(max_stanza=100_000)
    site.run(site.node.start())
    site.configure()
    agent = site.agent()
    agent.protocol.dataReceived(b"<iq " + b"x" * 99_000)
    site.reactor.advance(0.01)
    assert not agent.disconnecting
    agent.protocol.dataReceived(b"x" * 2_000)
    site.reactor.advance(0.01)
    assert agent.disconnecting


def test_the_traffic_class_changes_on_live_sessions(site: Site) -> None:
    agent, plane, peer = site.agent(), site.node.plane, site.neighbour("inside", 64512)
    marks = {"control_traffic_dscp": {"control": 56, "analytics": 40}}
    site.client.graph.put("global-qos-config", "default-global-system-config:default-global-qos-config", marks)
    site.reactor.advance(0.01)
    assert plane is not None and site.node.plane is plane and not agent.disconnecting and cease(peer) is None
    assert plane.speaker.settings.dscp == site.node.xmpp.dscp == 56
    site.configure(hold_time=30)
    assert plane.speaker.settings.dscp == 56


@pytest.mark.parametrize("behaviour", [CONTRAIL, RFC], ids=["contrail", "rfc"])
def test_two_sessions_of_one_name(behaviour: Behaviour) -> None:
    site = Site(behaviour)
    site.run(site.node.start())
    site.configure()
    old, new = site.agent(), site.agent()
    assert (old.disconnecting, new.disconnecting) == ((False, True) if behaviour is CONTRAIL else (True, False))
    assert site.names() == ["compute-1"]


def test_helper_mode_follows_the_configuration(site: Site) -> None:
    assert not site.node.xmpp.graceful_restart_helper
    restart = {"enable": True, "xmpp_helper_enable": True}
    site.client.graph.put(*SYSTEM, {"autonomous_system": 64512, "graceful_restart_parameters": restart})
    for _ in range(20):
        site.reactor.advance(0.01)
    assert site.node.xmpp.graceful_restart_helper
    old, new = site.agent(), site.agent()
    assert old.disconnecting and new.disconnecting, "the old one is closed, the new one has to try again"
    assert [row["restart"] for row in introspect.agents(site.node)] == ["GR_TIMER"]
    assert not site.agent().disconnecting
    assert [row["restart"] for row in introspect.agents(site.node)] == ["BACK"]


def test_instances_come_and_go(site: Site) -> None:
    assert BLUE[1] in {row["name"] for row in introspect.instances(site.node)}
    site.client.graph.remove(*BLUE)
    assert BLUE[1] not in {row["name"] for row in introspect.instances(site.node)}
    site.client.graph.put(*BLUE, {})
    assert BLUE[1] in {row["name"] for row in introspect.instances(site.node)}


def test_secrets_are_not_shown(site: Site) -> None:
    site.configure(auth_data={"key_type": "md5", "key_items": [{"key": "hush", "key_id": 0}]})
    assert "hush" not in repr(introspect.config(site.node, {"type": "bgp-router"}))
    assert introspect.config(site.node, {"name": ME[1]})


def test_stop_leaves_no_timer(site: Site) -> None:
    site.agent()
    site.run(site.node.stop())
    assert site.node.plane is None and site.names() == []
    assert site.reactor.getDelayedCalls() == []


def test_with_tls_agents_must_use_it(tmp_path: Path) -> None:
    site = Site(tls=make_files(tmp_path).good)
    site.run(site.node.start())
    site.configure()
    agent = site.agent()
    assert FEATURES in agent.replied() and site.names() == []
    assert site.node.xmpp_port == site.reactor.tcpServers[0][0]


def test_certificate_files_that_cannot_be_used_are_said_at_once(tmp_path: Path) -> None:
    good = make_files(tmp_path).good
    with pytest.raises(TlsError, match="missing"):
        Site(tls=good._replace(certificate=str(tmp_path / "missing.pem")))


def test_agents_of_another_subcluster_are_refused(site: Site) -> None:
    """It is in the stream's default namespace; a change of the node's own clears all sessions (xmpp.md 1.2, 1.7)."""
    free = site.agent("compute-1")
    assert site.names() == ["compute-1"]
    site.client.graph.link("bgp-router-sub-cluster", ME, ("sub-cluster", "edge-1"))
    for _ in range(20):
        site.reactor.advance(0.01)
    assert free.disconnecting and site.names() == []
    for name, subcluster in (("compute-1", ""), ("compute-2", "edge-2"), ("compute-3", "edge-1")):
        assert site.agent(name, "192.0.2.9", subcluster).disconnecting is (subcluster != "edge-1")
    assert site.names() == ["compute-3"]
    site.client.graph.unlink("bgp-router-sub-cluster", ME, ("sub-cluster", "edge-1"))
    for _ in range(20):
        site.reactor.advance(0.01)
    site.agent("compute-2", "192.0.2.2", "edge-2")
    assert site.names() == ["compute-2"], "a node without one takes anybody"
