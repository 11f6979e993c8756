"""Labs with two and three control nodes: both know everything, either may die, and what returns is what was there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address
from pathlib import Path
from random import Random
from typing import Any

from lab.conftest import on_own_addresses

from contrail_emulator.agent.oper.prefix import Prefix
from contrail_emulator.config.graph import Graph
from contrail_emulator.control.node import ControlNode
from contrail_emulator.lab.checks import checks, run
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.sync import Lab, Machine

RunLab = Callable[..., Lab]
State = dict[tuple[str, ...], list[tuple[Any, ...]]]
TWO = Path(__file__).with_name("two_nodes.yaml")
REFLECTOR = Path(__file__).with_name("reflector.yaml")
BLUE = "default-domain:two-nodes:blue:blue"
VM1, VM2 = "10.1.0.3/32", "10.1.0.4/32"
GATEWAY_PREFIX = "203.0.113.0/24"
TREES = ("bgp.ermvpn.0", ".ermvpn.0")


def load(path: Path) -> LabFile:
    return on_own_addresses(LabFile.load(path))


def returned(lab: Lab, name: str) -> ControlNode:
    """A control node of this name, started afresh on the ports of the one that stopped."""
    old, config = lab.lab.control[name], lab.lab.config
    assert config is not None
    client = config.client(lab.lab.reactor, Graph(), f"contrail-control.{name}")
    node = ControlNode(
        lab.lab.reactor, old.settings, client, config.schema, rng=Random(name), behaviour=old.behaviour, capture=None
    )
    lab.lab.control[name] = node
    lab.call(node.start)
    return node


def control_state(lab: Lab, name: str) -> State:
    """Every route of a control node with its paths, but for the broadcast trees: who builds them changes."""
    plane = lab.lab.control[name].plane
    assert plane is not None
    return {
        (table, row["prefix"]): sorted(
            (path["source"], path["next_hop"], path["label"], path["flags"], path["replicated"])
            for path in row["paths"]
        )
        for table in plane.core.tables
        if not table.endswith(TREES)
        for row in plane.core.rows(table)
    }


def agent_state(lab: Lab, name: str) -> State:
    """Every route of an agent with its paths, and for each the peer and the hops."""
    agent = lab.lab.computes[name].agent
    return {
        (vrf.name, table.name, str(route.key)): sorted((path.peer.text, path.hops) for path in route.paths)
        for vrf in agent.oper.rib.vrfs.values()
        for table, route in vrf.routes()
        if table.name != "MULTICAST"
    }


def everything(lab: Lab) -> State:
    found: State = {}
    for name, node in lab.lab.control.items():
        if node.plane is not None:
            found.update({(name, *key): value for key, value in control_state(lab, name).items()})
    for name in lab.lab.computes:
        found.update({(name, *key): value for key, value in agent_state(lab, name).items()})
    return found


def settled(lab: Lab) -> State:
    """The state of the lab once the control nodes have told each other their VPN routes."""
    nodes = [name for name, node in lab.control.items() if node.node.plane is not None]

    def told(name: str) -> bool:
        others = set(nodes) - {name}
        (route,) = lab.control[name].routes("bgp.l3vpn.0", VM2)
        return others <= {path["source"] for path in route["paths"]}

    lab.wait_for("VPN routes of each other", lambda: all(told(name) for name in nodes), 90)
    return everything(lab)


def sources(lab: Lab, name: str) -> list[tuple[str, ...]]:
    """The routes of control nodes with a path that came from there."""
    return [key for key, paths in everything(lab).items() for path in paths if path[0] == name]


def bgp_sessions(lab: Lab) -> list[tuple[str, str]]:
    return sorted((one.left, one.right) for one in lab.lab.status().sessions if one.protocol == "BGP")


def hops_of(lab: Lab, compute: str, vrf: str) -> Iterator[tuple[str, str, int]]:
    """(prefix, peer, number of hops) of every path an agent heard from a control node."""
    for route in lab.lab.computes[compute].agent.oper.rib.vrfs[vrf].inet.values():
        assert isinstance(route.key, Prefix)
        for path in route.paths:
            if path.peer.kind.name == "BGP":
                yield f"{IPv4Address(route.key.address)}/{route.key.length}", path.peer.name, len(path.hops)


def test_two_nodes_know_the_same_and_every_session_counts_once(run_lab: RunLab) -> None:
    lab = run_lab(load(TWO))
    lab.converge(timeout=90)
    assert bgp_sessions(lab) == [("control-1", "control-2"), ("control-1", "gateway"), ("control-2", "gateway")]
    agents = [(one.left, one.right) for one in lab.lab.status().sessions if one.protocol == "XMPP"]
    assert sorted(agents) == [(f"control-{n}", f"compute-{c}") for n in (1, 2) for c in (1, 2)]
    found = [lab.call(lambda check=check: run(check, lab.driver.reactor)) for check in checks(lab.lab)]  # type: ignore[misc]
    assert len(found) == 4
    assert [result for result in found if not result.passed] == []
    lab.converge(timeout=90)
    settled(lab)
    for name, other in (("control-1", "control-2"), ("control-2", "control-1")):
        (route,) = lab.control[name].routes("bgp.l3vpn.0", VM2)
        assert [path["source"] for path in route["paths"]] == ["compute-2", other], "the agent's own path is best"
    heard = list(hops_of(lab, "compute-1", BLUE))
    nodes = {str(node.address) for node in lab.file.control_nodes}
    for prefix in (VM2, GATEWAY_PREFIX):
        assert {peer for route, peer, _ in heard if route == prefix} == nodes
    assert {count for _, _, count in heard} == {1}, "the same hop from two sources is one hop"


def test_one_node_stops_and_returns(run_lab: RunLab) -> None:
    """The other one carries on, agents keep what they knew (reference/agent.md 3.4); afterwards all is as before."""
    lab = run_lab(load(TWO))
    lab.converge(timeout=90)
    before = settled(lab)
    for gone, left in (("control-1", "control-2"), ("control-2", "control-1")):
        lab.call(lab.lab.control[gone].stop)
        assert lab.machine("vm1").ping(lab.machine("vm2").address).received == 1
        lab.wait_for(f"no path of {gone} at {left}", lambda gone=gone: sources(lab, gone) == [], 90)  # type: ignore[misc]
        for key, paths in everything(lab).items():
            assert paths == [path for path in before[key] if path[0] != gone]
        assert lab.machine("vm2").ping(lab.machine("vm1").address).received == 1
        for compute in lab.lab.computes.values():
            server = compute.agent.controller.config_channel
            assert server is not None and server.address == str(lab.lab.control[left].settings.address)
        returned(lab, gone)
        lab.converge(timeout=90)
        assert settled(lab) == before
        assert lab.machine("vm1").ping(lab.machine("vm2").address).received == 1


def test_what_goes_while_a_node_is_away_is_gone_when_it_returns(run_lab: RunLab) -> None:
    """Until then the agent holds the last path it heard from that node; after the resync nobody does."""
    lab = run_lab(load(TWO))
    lab.converge(timeout=90)
    address = str(lab.lab.control["control-1"].settings.address)
    lab.call(lab.lab.control["control-1"].stop)
    lab.call(lab.lab.computes["compute-2"].agent.stop)

    def heard() -> list[str]:
        return [peer for prefix, peer, _ in hops_of(lab, "compute-1", BLUE) if prefix == VM2]

    lab.wait_for("vm2 gone at control-2", lambda: not lab.control["control-2"].routes("bgp.l3vpn.0", VM2), 90)
    lab.wait_for("only the lost node's path left", lambda: heard() == [address], 90)
    returned(lab, "control-1")
    lab.wait_for("vm2 gone at compute-1", lambda: heard() == [], 90)
    state = everything(lab)
    assert not [key for key, paths in state.items() for path in paths if path[0] == "compute-2"]


def test_a_bridged_network_outlives_its_tree_builder(run_lab: RunLab) -> None:
    lab = run_lab(load(TWO))
    lab.converge(timeout=90)
    settled(lab)
    here, there = lab.machine("vm4"), lab.machine("vm5")
    ask(lab, here, there)
    one, two = (compute.agent.controller for compute in lab.lab.computes.values())
    assert one.builder is not None and one.builder.session is not None and two.builder is not None
    if one.builder.address == two.builder.address:
        one.builder.session.close("the other one shall build")
        lab.run_for(0.1)
        lab.converge(timeout=90)
    assert one.builder is not None and one.builder.address != two.builder.address
    ask(lab, here, there)
    for gone in ("control-1", "control-2"):
        lab.call(lab.lab.control[gone].stop)
        lab.wait_for(f"no path of {gone}", lambda gone=gone: sources(lab, gone) == [], 90)  # type: ignore[misc]
        ask(lab, there, here)
        returned(lab, gone)
        lab.converge(timeout=90)
        ask(lab, here, there)


def ask(lab: Lab, here: Machine, there: Machine) -> None:
    """A ping, and before it an ARP request to everybody: nothing is known of the other machine any more."""
    lab.lab.machines[here.name]._neighbours.clear()
    received = any(here.ping(there.address, timeout=1).received for _ in range(20))
    assert received, f"{here.name} finds {there.name}; {lab.lab.compute_of(here.name).drops}"


def test_a_reflector_tells_nodes_without_a_session_of_each_other(run_lab: RunLab) -> None:
    lab = run_lab(load(REFLECTOR), rng=Random(3))  # compute-2 is with control-2 and control-3, which others use too
    lab.converge(timeout=90)
    assert bgp_sessions(lab) == [("control-1", "control-2"), ("control-1", "control-3")]
    assert lab.machine("vm1").ping(lab.machine("vm2").address).received == 1
    assert lab.machine("vm2").ping(lab.machine("vm3").address).received == 1
    names = {str(node.address): node.name for node in lab.file.control_nodes}
    controller = lab.lab.computes["compute-2"].agent.controller
    kept = next(channel for channel in controller.channels if names[channel.address] != "control-1")
    (other,) = [channel for channel in controller.channels if channel is not kept]
    lab.call(controller.client_of(other).stop)
    origin = names[kept.address]
    (third,) = {"control-1", "control-2", "control-3"} - {"control-1", origin}

    def path(node: str) -> tuple[str, list[str], str]:
        (route,) = lab.control[node].routes("bgp.l3vpn.0", VM2) or [{"paths": []}]
        (found,) = route["paths"] or [{"source": "", "cluster_list": [], "originator_id": ""}]
        return found["source"], found["cluster_list"], found["originator_id"]

    lab.wait_for("vm2 reflected", lambda: path(third)[0] == "control-1", 90)
    router_ids = {node.name: str(node.router_id) for node in lab.file.control_nodes}
    assert path(origin) == ("compute-2", [], "")
    assert path("control-1") == (origin, [], "")
    assert path(third) == ("control-1", ["0.0.0.77"], router_ids[origin])
    lab.call(lab.lab.computes["compute-2"].agent.stop)
    lab.wait_for("vm2 gone", lambda: not any(node.routes("bgp.l3vpn.0", VM2) for node in lab.control.values()), 90)
