"""A hundred agents at two control nodes: one node dies, an agent stops reading, a connection is dead without a word."""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address
from random import Random
from typing import Any

import pytest
from lab.conftest import on_own_addresses

from contrail_emulator.agent.oper.prefix import Prefix
from contrail_emulator.config.graph import Graph
from contrail_emulator.control.bgp import ext_community, rd
from contrail_emulator.control.bgp.attributes import Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.flusher import SLICE_ROUTES
from contrail_emulator.control.node import ControlNode
from contrail_emulator.control.routing import Source, SourceKind
from contrail_emulator.control.xmpp import stream
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.items import UnicastEntry
from contrail_emulator.control.xmpp.names import BGP_PEER, CONTROL_NODE_JID
from contrail_emulator.control.xmpp.next_hop import NextHop
from contrail_emulator.control.xmpp.outbox import BLOCKED_ABOVE
from contrail_emulator.control.xmpp.pubsub import Collection, Publish, Subscribe
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.sync import Lab

RunLab = Callable[..., Lab]
AGENTS, NETWORKS = 100, 4
LARGEST_ITEM = 1024
Heard = dict[str, dict[str, list[str]]]


def many(agents: int = AGENTS, control_nodes: int = 2) -> LabFile:
    """Agents without data plane, a machine each in one of four networks, every tenth with a second one."""
    file: dict[str, Any] = {
        "name": "many",
        "autonomous_system": 64512,
        "end_of_rib_timeout": 5,
        "control_nodes": [{"address": f"127.0.0.{n + 1}"} for n in range(control_nodes)],
        "networks": [{"name": f"net{n}", "subnet": f"10.{n}.0.0/16"} for n in range(NETWORKS)],
        "agents": [],
    }
    for n in range(agents):
        machines = [{"name": f"vm{n}", "network": f"net{n % NETWORKS}"}]
        if n % 10 == 0:
            machines.append({"name": f"vm{n}b", "network": f"net{(n + 1) % NETWORKS}"})
        file["agents"].append({"bind": f"127.0.2.{n + 1}", "dataplane": "none", "machines": machines})
    return on_own_addresses(LabFile.parse(file))


def instance(network: str) -> str:
    return f"default-domain:many:{network}:{network}"


def heard(lab: Lab) -> dict[str, Heard]:
    """For each agent, instance and prefix: the control nodes it was heard from, once for each hop."""
    names = {str(node.address): node.name for node in lab.file.control_nodes}
    return {
        compute.name: {
            vrf.name: {
                text(route.key): sorted(
                    names[path.peer.name] for path in route.paths if path.peer.name in names for _ in path.hops
                )
                for route in vrf.inet.values()
            }
            for vrf in compute.agent.oper.rib.vrfs.values()
        }
        for compute in lab.lab.computes.values()
    }


def text(key: object) -> str:
    assert isinstance(key, Prefix)
    return f"{IPv4Address(key.address)}/{key.length}"


def expected(lab: Lab, nodes: list[str], without: frozenset[str] = frozenset()) -> dict[str, Heard]:
    """The same from the lab file: every machine of the network, from every node, with one hop."""
    file = lab.file
    of: Heard = {
        instance(network.name): {
            f"{lab.lab.addresses[machine.name]}/32": nodes
            for agent in file.agents
            if agent.name not in without
            for machine in agent.machines
            if machine.network == network.name
        }
        for network in file.networks
    }
    return {
        agent.name: {instance(machine.network): of[instance(machine.network)] for machine in agent.machines}
        for agent in file.agents
        if agent.name not in without
    }


def of_machines(found: dict[str, Heard], without: frozenset[str] = frozenset()) -> dict[str, Heard]:
    """Without the fabric's instance, and without what no control node said (subnets, gateways)."""
    return {
        agent: {
            vrf: {prefix: nodes for prefix, nodes in routes.items() if nodes}
            for vrf, routes in vrfs.items()
            if vrf.startswith("default-domain:many:")
        }
        for agent, vrfs in found.items()
        if agent not in without
    }


def paths(lab: Lab, name: str) -> dict[str, list[str]]:
    """The VPN routes of a control node and who they came from."""
    rows = lab.control[name].routes("bgp.l3vpn.0")
    return {row["prefix"]: sorted(path["source"] for path in row["paths"]) for row in rows}


def config_servers(lab: Lab) -> set[str]:
    channels = (compute.agent.controller.config_channel for compute in lab.lab.computes.values())
    return {channel.address for channel in channels if channel is not None}


def start_again(lab: Lab, name: str) -> None:
    old, config = lab.lab.control[name], lab.lab.config
    assert config is not None
    client = config.client(lab.lab.reactor, Graph(), f"contrail-control.{name}")
    node = ControlNode(lab.lab.reactor, old.settings, client, config.schema, rng=Random(name), behaviour=old.behaviour)
    lab.lab.control[name] = node
    lab.call(node.start)


def update(lab: Lab, kind: str, name: list[str], change: dict[str, Any]) -> None:
    config = lab.lab.config
    assert config is not None

    async def write() -> None:
        found = await config.writer.find(kind, name)
        assert found is not None
        await config.writer.update(kind, found, change)

    lab.call(write)


@pytest.mark.xdist_group("many agents")
def test_a_hundred_agents_outlive_a_control_node(run_lab: RunLab) -> None:
    lab = run_lab(many(), timeout=60)
    lab.converge(timeout=90)
    names = [node.name for node in lab.file.control_nodes]
    both = expected(lab, names)
    lab.wait_for("every route from both nodes, once", lambda: of_machines(heard(lab)) == both, 90)
    machines = sum(len(agent.machines) for agent in lab.file.agents)
    for name in names:
        rows = [row for row in lab.control[name].agents() if row["state"] == "Established"]
        assert len(rows) == AGENTS and {row["flap_count"] for row in rows} == {0}

    def told() -> bool:
        found = paths(lab, "control-2").values()
        return len(found) == machines and all(len(sources) == 2 and "control-1" in sources for sources in found)

    lab.wait_for("the nodes told each other", told, 90)
    before = paths(lab, "control-2")
    two = str(lab.file.control_nodes[1].address)
    lab.call(lab.lab.control["control-1"].stop)
    lab.wait_for("configuration from the other one", lambda: config_servers(lab) == {two}, 90)
    alone = {prefix: [source for source in found if source != "control-1"] for prefix, found in before.items()}
    lab.wait_for("no path of the lost node left at the other", lambda: paths(lab, "control-2") == alone, 90)
    assert of_machines(heard(lab)) == both, "agents keep what they heard (reference/agent.md 3.4)"
    update(lab, "virtual-network", ["default-domain", "many", "net0"], {"flood_unknown_unicast": True})

    def changed() -> bool:
        graphs = (compute.agent.graph for compute in lab.lab.computes.values())
        nodes = [graph.get("virtual-network", "default-domain:many:net0") for graph in graphs]
        wanted = [node for node in nodes if node is not None and node.present]
        return len(wanted) == AGENTS // NETWORKS and all(
            node.properties.get("flood_unknown_unicast") is True for node in wanted
        )

    lab.wait_for("a change of configuration at every agent that has the network", changed, 90)

    gone = frozenset(f"compute-{n}" for n in (1, 50, 100))
    for name in gone:
        lab.call(lab.lab.computes[name].agent.stop)
    start_again(lab, "control-1")
    left = expected(lab, names, gone)
    lab.wait_for("nothing stale after the resync", lambda: of_machines(heard(lab), gone) == left, 90)
    remaining = {prefix: found for prefix, found in before.items() if not gone & set(found)}
    lab.wait_for("the same paths as before", lambda: paths(lab, "control-2") == remaining, 90)
    assert config_servers(lab) == {two}, "who lost its server does not go back"


class Injector:
    """Routes of a network put into a control node's tables as if an agent that is not there had published them."""

    def __init__(self, lab: Lab, network: str, count: int) -> None:
        plane = lab.lab.control["control-1"].plane
        assert plane is not None
        self.core = plane.core
        self.table = self.core.instances[instance(network)].tables[Family.INET].name
        self.keys = [bytes((32, 192, 0, n >> 8, n & 255)) for n in range(count)]
        self.prefixes = {f"192.0.{n >> 8}.{n & 255}/32" for n in range(count)}
        self.address = bytes((10, 255, 9, 9))
        self.source = Source(SourceKind.XMPP, "injector", address=self.address, router_id=1)

    def say(self, label: int) -> None:
        attributes = Attributes.make(
            origin=0, next_hop=self.address, local_pref=100, ext_communities=(ext_community.encapsulation("udp"),)
        )
        payload = (label << 4 | 1).to_bytes(3, "big")
        distinguisher = rd.make_ipv4(self.address, 1)
        routes = [(key, payload) for key in self.keys]
        self.core.update_many(self.table, self.source, attributes, routes, rd=distinguisher)

    def heard_by(self, lab: Lab, compute: str, network: str) -> set[int]:
        """The labels of the routes at an agent, all of them there; else nothing."""
        vrf = lab.lab.computes[compute].agent.oper.rib.vrfs[instance(network)]
        found = {text(route.key): hop.label for route in vrf.inet.values() for path in route.paths for hop in path.hops}
        return {found[prefix] for prefix in self.prefixes} if self.prefixes <= found.keys() else set()


@pytest.mark.xdist_group("many agents")
def test_an_agent_that_stops_reading_holds_up_nobody(run_lab: RunLab) -> None:
    """What waits for it is bounded; reading again, it hears the newest of each route, not all that was in between."""
    lab = run_lab(many(agents=8, control_nodes=1))
    lab.converge(timeout=90)
    deaf, other = "compute-1", "compute-5"
    channel = lab.lab.computes[deaf].agent.controller.channels[0]
    agent_side: Any = channel.session
    server_side: Any = lab.lab.control["control-1"].xmpp.sessions[deaf]
    for transport, option in ((agent_side.transport, socket.SO_RCVBUF), (server_side.transport, socket.SO_SNDBUF)):
        transport.getHandle().setsockopt(socket.SOL_SOCKET, option, 65536)
    stanzas = {name: lab.lab.control["control-1"].xmpp.sessions[name].counters.stanzas_out for name in (deaf, other)}
    agent_side.pause_reading()
    injector = Injector(lab, "net0", 1000)
    rounds = range(101, 107)
    waiting = []
    for label in rounds:
        injector.say(label)
        lab.wait_for(f"label {label}", lambda label=label: injector.heard_by(lab, other, "net0") == {label}, 90)  # type: ignore[misc]
        waiting.append(server_side.pending_bytes)
    assert server_side.blocked
    assert max(waiting) < BLOCKED_ABOVE + SLICE_ROUTES * LARGEST_ITEM
    assert waiting[2:] == sorted(waiting[2:], reverse=True), "nothing more is held for it"
    assert injector.heard_by(lab, deaf, "net0") == set()
    rows = {row["peer"]: row["state"] for row in lab.control["control-1"].agents()}
    assert set(rows.values()) == {"Established"}
    agent_side.resume_reading()
    lab.wait_for("the last label", lambda: injector.heard_by(lab, deaf, "net0") == {rounds[-1]}, 90)
    lab.wait_for("not blocked any more", lambda: not server_side.blocked, 90)
    said = {
        name: lab.lab.control["control-1"].xmpp.sessions[name].counters.stanzas_out - before
        for name, before in stanzas.items()
    }
    assert said[deaf] <= said[other] / 2


@pytest.mark.xdist_group("many agents")
def test_a_connection_that_is_dead_without_a_word_is_cut(run_lab: RunLab) -> None:
    """The hold time is configuration, and counts for sessions that are up (reference/xmpp.md 1.6)."""
    lab = run_lab(many(agents=4, control_nodes=1))
    lab.converge(timeout=90)
    node = lab.file.control_nodes[0]
    control = lab.control["control-1"]
    name, network = "half-open", instance("net0")
    receiver = f"{CONTROL_NODE_JID}/{BGP_PEER}"
    entry = UnicastEntry(ItemFamily.INET, "10.0.0.9/32", (NextHop("10.255.2.9", 16, ("udp",)),))
    item_node = ItemFamily.INET.node(network)

    def state() -> str:
        return next((str(row["state"]) for row in control.agents() if row["peer"] == name), "")

    with socket.create_connection((str(node.address), node.xmpp_port), timeout=60) as peer:
        peer.sendall(stream.open_bytes(name, CONTROL_NODE_JID))
        lab.wait_for("the session", lambda: state() == "Established", 90)
        peer.sendall(Subscribe(network, 1).to_bytes(name, receiver, "subscribe1"))
        peer.sendall(Publish.write(item_node, [entry.to_xml()], name, receiver, "pubsub1"))
        peer.sendall(Collection(network, item_node, True).to_bytes(name, receiver, "collection1"))
        lab.wait_for("its route", lambda: bool(control.routes("bgp.l3vpn.0", "10.0.0.9/32")), 90)
        convergence = {"enable": True, "xmpp_hold_time": 3}
        system = "default-global-system-config"
        update(lab, "global-system-config", [system], {"fast_convergence_parameters": convergence})
        lab.wait_for("the end of the session", lambda: state() == "Idle", 90)
        peer.settimeout(60)
        while peer.recv(65536):
            pass
    (row,) = [row for row in control.agents() if row["peer"] == name]
    assert "hold" in row["last_error"]
    assert not control.routes("bgp.l3vpn.0", "10.0.0.9/32")
    lab.run_for(1)
    living = {row["peer"]: (row["state"], row["flap_count"]) for row in control.agents() if row["peer"] != name}
    assert living == {agent.name: ("Established", 0) for agent in lab.file.agents}, "agents follow the hold time"
    session = lab.lab.control["control-1"].xmpp.sessions["compute-1"]
    assert session.counters.keepalives_in >= 3
