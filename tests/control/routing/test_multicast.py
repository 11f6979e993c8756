"""Edge replication trees of one and of several control nodes (reference/bgp.md 4.8, 7.1 row 23)."""

from __future__ import annotations

import itertools
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contrail_emulator.control.bgp import ext_community, rd
from contrail_emulator.control.bgp.attributes import Edge
from contrail_emulator.control.routing import RoutingCore, Source
from contrail_emulator.control.routing.ermvpn_key import GLOBAL_TREE, LOCAL_TREE, NATIVE, ErmVpnKey
from contrail_emulator.control.routing.multicast import Forwarder, LabelBlocks, link

if TYPE_CHECKING:
    from control.routing.conftest import Bench, Sink

TARGET = "target:64512:1"
GROUP = bytes([255, 255, 255, 255])
UDP = ext_community.encapsulation("udp")


def native_key(number: int, instance_id: int = 1) -> bytes:
    return ErmVpnKey(NATIVE, rd.parse(f"192.0.2.{number}:{instance_id}"), bytes(4), bytes(4), GROUP).write()


def address(number: int) -> bytes:
    return bytes([192, 0, 2, number])


class Agents:
    """Agents of one control node, each with its label range and what it was told."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.sources: dict[int, Source] = {}
        self.sinks: dict[int, Sink] = {}

    def add(self, number: int, first: int = 0, last: int = 0) -> None:
        bench = self.bench
        if number not in self.sources:
            self.sources[number] = bench.agent(f"agent{number}", number)
            self.sinks[number] = bench.join("blue.ermvpn.0", "xmpp", f"agent{number}", self.sources[number])
        first = first or number * 1000
        edge = Edge(address(number), ((first, last or first + 99),))
        attributes = bench.attributes(
            next_hop=f"192.0.2.{number}", extra=(UDP,), local_pref=100, edge_discovery=(edge,)
        )
        source = self.sources[number]
        bench.core.update("blue.ermvpn.0", source, native_key(number), attributes, rd=rd.parse(f"192.0.2.{number}:1"))

    def remove(self, number: int) -> None:
        self.bench.core.withdraw("blue.ermvpn.0", self.sources[number], native_key(number))

    def edges(self) -> dict[int, list[tuple[int, int]]]:
        """{agent: [(neighbour, its label)]} as told."""
        return {
            number: sorted((entry.address[3], entry.label) for entry in sink.olists[native_key(number)].entries)
            for number, sink in self.sinks.items()
            if native_key(number) in sink.olists
        }

    def labels(self) -> dict[int, int]:
        return {number: sink.olists[native_key(number)].label for number, sink in self.sinks.items() if sink.olists}


def assert_connected(edges: dict[int, list[tuple[int, int]]], labels: dict[int, int]) -> None:
    """Every edge is known at both ends, labels are those the neighbour accepts, and all agents hang together."""
    for number, neighbours in edges.items():
        for other, label in neighbours:
            assert label == labels[other]
            assert number in [back for back, _ in edges[other]]
    seen: set[int] = set()
    todo = [min(edges)] if edges else []
    while todo:
        number = todo.pop()
        if number not in seen:
            seen.add(number)
            todo.extend(other for other, _ in edges[number])
    assert seen == set(edges)
    assert sum(map(len, edges.values())) == 2 * max(len(edges) - 1, 0), "a tree, no cycle"


@pytest.fixture
def agents(bench: Bench) -> Agents:
    bench.add("blue", 1, [TARGET], [TARGET])
    return Agents(bench)


def test_one_agent_hears_nothing(agents: Agents) -> None:
    agents.add(1)
    agents.bench.flush()
    assert agents.edges() == {}


def test_tree_of_seven_agents(agents: Agents) -> None:
    for number in range(1, 8):
        agents.add(number)
    agents.bench.flush()
    neighbours = {number: [other for other, _ in found] for number, found in agents.edges().items()}
    assert neighbours == {1: [2, 3, 4, 5], 2: [1, 6, 7], 3: [1], 4: [1], 5: [1], 6: [2], 7: [2]}
    assert_connected(agents.edges(), agents.labels())
    assert agents.sinks[1].olists[native_key(1)].entries[0].encapsulations == ("udp",)
    agents.remove(1)
    agents.bench.flush()
    assert [other for other, _ in agents.edges()[2]] == [3, 4, 5, 6]
    assert native_key(1) not in agents.sinks[1].olists
    for number in range(3, 8):
        agents.remove(number)
    agents.bench.flush()
    assert agents.edges() == {}


@given(st.permutations(range(1, 9)))
def test_tree_depends_on_the_set_only(make_bench: type[Bench], order: list[int]) -> None:
    results = []
    for numbers in (order, sorted(order)):
        bench = make_bench()
        bench.add("blue", 1, [TARGET], [TARGET])
        agents = Agents(bench)
        for number in numbers:
            agents.add(number)
            bench.flush()
        results.append(agents.edges())
    assert results[0] == results[1]


def test_agent_without_a_free_label_is_left_out(agents: Agents) -> None:
    bench = agents.bench
    for number in (1, 2, 3):
        agents.add(number, 2000 + number, 2000 + number)
    bench.flush()
    other = ErmVpnKey(NATIVE, rd.parse("192.0.2.2:1"), bytes(4), bytes(4), bytes([225, 0, 0, 1])).write()
    edge = Edge(address(2), ((2002, 2002),))
    attributes = bench.attributes(next_hop="192.0.2.2", local_pref=100, edge_discovery=(edge,))
    bench.core.update("blue.ermvpn.0", agents.sources[2], other, attributes)
    bench.flush()
    assert other not in agents.sinks[2].olists
    assert agents.edges() == {1: [(2, 2002), (3, 2003)], 2: [(1, 2001)], 3: [(1, 2001)]}


def test_local_tree_route_names_the_last_agent(agents: Agents) -> None:
    for number in (1, 2, 3):
        agents.add(number)
    bench = agents.bench
    peer = bench.join("bgp.ermvpn.0", "ibgp", "peer")
    bench.flush()
    (key,) = peer.rib
    read = ErmVpnKey.read(key)
    assert (read.type, read.rd, read.router_id) == (LOCAL_TREE, rd.parse("192.0.2.3:1"), bytes([10, 0, 0, 1]))
    attributes = peer.attributes(key)
    assert attributes.edge_discovery == (Edge(address(3), ((3000, 3000),)),) * 3
    assert attributes.next_hop == bytes([10, 0, 0, 1])
    assert {ext_community.text(value) for value in attributes.ext_communities} == {
        TARGET,
        "encapsulation:udp",
        "originvn:64512:101",
    }


def test_nothing_is_left(agents: Agents) -> None:
    for number in range(1, 6):
        agents.add(number)
    agents.bench.flush()
    for number in range(1, 6):
        agents.remove(number)
        agents.bench.leave(agents.sinks[number])
    agents.bench.flush()
    assert len(agents.bench.core.label_blocks) == 0
    agents.bench.core.delete_instance("blue")
    agents.bench.flush()
    agents.bench.assert_empty()


def test_labels_come_back_with_a_deleted_instance(agents: Agents) -> None:
    for number in range(1, 6):
        agents.add(number)
    agents.bench.flush()
    agents.bench.core.delete_instance("blue")
    agents.bench.flush()
    assert len(agents.bench.core.label_blocks) == 0
    agents.bench.assert_empty()


def test_labels_of_a_range_are_given_once() -> None:
    blocks = LabelBlocks()
    block = (address(1), 10, 12)
    assert [blocks.allocate(block) for _ in range(4)] == [10, 11, 12, 0]
    blocks.release(block, 11)
    assert blocks.allocate(block) == 11
    for label in (10, 11, 12):
        blocks.release(block, label)
    assert len(blocks) == 0


class Mesh:
    """Control nodes that hand each other their BGP routes."""

    def __init__(self, make_bench: type[Bench], count: int) -> None:
        self.benches = [make_bench(router_id=0x0A000001 + i) for i in range(count)]
        self.agents = [Agents(bench) for bench in self.benches]
        for bench in self.benches:
            bench.add("blue", 1, [TARGET], [TARGET])
        for (i, one), (j, two) in itertools.permutations(enumerate(self.benches), 2):
            _Link(one, two, one.ibgp(f"node{i}", 0x0A000001 + i), f"node{j}")

    def settle(self) -> None:
        while any(not bench.core.idle for bench in self.benches):
            for bench in self.benches:
                bench.flush()

    def check(self) -> None:
        self.settle()
        edges: dict[int, list[tuple[int, int]]] = {}
        labels: dict[int, int] = {}
        for agents in self.agents:
            edges |= agents.edges()
            labels |= agents.labels()
        assert_connected(edges, labels)
        present = {number for agents in self.agents for number in agents.edges()}
        everyone = {
            number
            for agents in self.agents
            for number, source in agents.sources.items()
            if agents.bench.core.tables["blue.ermvpn.0"].sources.get(source)
        }
        assert present == (everyone if len(everyone) > 1 else set())


class _Link:
    """What one control node tells another."""

    def __init__(self, sender: Bench, receiver: Bench, source: Source, name: str) -> None:
        self.name = name
        self.source = source
        self.core: RoutingCore = receiver.core
        self.sink = sender.join("bgp.ermvpn.0", "ibgp", name)
        self.sink.deliver = self.deliver  # type: ignore[method-assign]
        self._plain = type(self.sink).deliver

    def deliver(self, message: bytes) -> bool:
        before = len(self.sink.log)
        self._plain(self.sink, message)
        for verb, key in self.sink.log[before:]:
            if verb == "reach":
                self.core.update("bgp.ermvpn.0", self.source, key, self.sink.attributes(key))
            else:
                self.core.withdraw("bgp.ermvpn.0", self.source, key)
        return True


@pytest.mark.parametrize("count", [2, 3, 5])
def test_trees_of_several_control_nodes(make_bench: type[Bench], count: int) -> None:
    mesh = Mesh(make_bench, count)
    for number in range(1, 4 * count + 1):
        mesh.agents[number % count].add(number)
    mesh.check()
    first = mesh.benches[0]
    own = [ErmVpnKey.read(key) for key in first.keys("bgp.ermvpn.0")]
    assert sum(key.type == LOCAL_TREE for key in own) == count
    assert sum(key.type == GLOBAL_TREE for key in own) == count
    for number in list(mesh.agents[0].sources):
        mesh.agents[0].remove(number)
    mesh.check()


def test_copies_across_control_nodes_are_encapsulated_as_the_agents_can(make_bench: type[Bench]) -> None:
    """GlobalTree routes carry the encapsulations of the node they are for; without them agents would take GRE."""
    mesh = Mesh(make_bench, 2)
    for number in (1, 2):
        mesh.agents[number - 1].add(number)
    mesh.check()
    for number in (1, 2):
        (entry,) = mesh.agents[number - 1].sinks[number].olists[native_key(number)].entries
        assert entry.encapsulations == ("udp",)


def test_random_joins_and_leaves(make_bench: type[Bench]) -> None:
    rng = random.Random(5)
    mesh = Mesh(make_bench, 3)
    present: set[int] = set()
    for _ in range(60):
        number = rng.randrange(1, 25)
        agents = mesh.agents[number % 3]
        if number in present:
            agents.remove(number)
        else:
            agents.add(number)
        present ^= {number}
        mesh.check()


def test_link_makes_a_tree_of_the_degree(bench: Bench) -> None:
    route = bench.core.tables  # any object will do for the route
    nodes = [
        Forwarder(route, bytes(4), Edge(bytes([i]), ((1, 1),)), bench.attributes())  # type: ignore[arg-type]
        for i in range(10)
    ]
    link(nodes, 3)
    assert [len(node.links) for node in nodes] == [3, 4, 4, 1, 1, 1, 1, 1, 1, 1]
