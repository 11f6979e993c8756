"""Seeded random events over several control nodes, agents and routers.

At quiet points every RIB on every side must equal what a small independent model computes (the kinds of events are
those of reference/bgp.md section 8).

The model knows nothing of tables, paths or groups. It works because no two origins share a VPN prefix, and because what
an agent originates always beats what a router sent (a shorter AS path), so that every origin's route is exported.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from contrail_emulator.control.bgp import rd
from contrail_emulator.control.bgp.attributes import AsPath
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import Source, groups

if TYPE_CHECKING:
    from control.routing.conftest import Bench, Sink

VPN, RTARGET = "bgp.l3vpn.0", "bgp.rtarget.0"
INSTANCES = 5
TARGETS = [f"target:64512:{number}" for number in range(1, 7)]
PREFIXES = [f"10.0.{number}.0/24" for number in range(6)]

Instance = tuple[set[str], set[str]]
"""Imported and exported targets."""


class Session:
    """One way of a BGP session between two control nodes, or to a router: a member that hands routes on."""

    def __init__(self, sender: Bench, name: str, source: Source, table: str, filtered: bool, **key: Any) -> None:
        self.sender = sender
        self.sink: Sink = sender.join(RTARGET, "ibgp", "placeholder")
        sender.leave(self.sink)
        self.sink.name, self.sink.source = name, source
        self.table = table
        self.seen = 0
        kind = "ebgp" if source.ebgp else "ibgp"
        sender.rejoin(self.sink, table, sender.key(kind, **key), filtered=filtered)

    def pump(self, receiver: Bench, source: Source) -> None:
        """Give the receiver what arrived since last time."""
        while self.seen < len(self.sink.log):
            verb, key = self.sink.log[self.seen]
            self.seen += 1
            if verb == "reach" and key in self.sink.rib:
                attributes, payload = self.sink.rib[key][0]
                receiver.core.update(self.table, source, key, attributes, payload)
            else:
                receiver.core.withdraw(self.table, source, key)

    def close(self) -> None:
        self.sender.leave(self.sink)


class Agent:
    """What an agent is: where it is connected, what it subscribes to and what it has; RIBs per node and instance."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.sources: dict[int, Source] = {}
        self.subscribed: set[int] = set()
        self.routes: set[tuple[int, str]] = set()
        self.sinks: dict[tuple[int, int], Sink] = {}

    @property
    def address(self) -> str:
        return f"192.0.2.{self.number + 1}"


class Router:
    """An eBGP router with its own RD, peering with one control node."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.node: int | None = None
        self.source: Source | None = None
        self.session: Session | None = None
        self.routes: dict[str, frozenset[str]] = {}

    @property
    def autonomous_system(self) -> int:
        return 65001 + self.number % 3

    @property
    def address(self) -> str:
        return f"198.51.100.{self.number + 1}"


class Lab:
    def __init__(
        self, make_bench: Callable[..., Bench], seed: int, nodes: int, agents: int, routers: int, filtered: bool
    ) -> None:
        self.rng = random.Random(seed)
        self.filtered = filtered
        self.nodes = [make_bench(router_id=0x0A000001 + number) for number in range(nodes)]
        self.agents = [Agent(number) for number in range(agents)]
        self.routers = [Router(number) for number in range(routers)]
        self.instances: dict[int, Instance] = {}
        self.links: dict[tuple[int, int], tuple[Source, list[Session]]] = {}
        self.events: list[str] = []
        for one in range(nodes):
            for two in range(nodes):
                if one != two:
                    self.link(one, two)
        for number in range(3):
            self.add_instance(number)
        for agent in self.agents:
            agent.subscribed.update(self.rng.sample(range(INSTANCES), 3))
            agent.routes.update((instance, self.rng.choice(PREFIXES)) for instance in sorted(agent.subscribed))
            self.connect(agent, self.rng.randrange(nodes))
        for _ in self.routers:
            self.toggle_router()

    # --- events ------------------------------------------------------------------------------------------------------

    def link(self, sender: int, receiver: int) -> None:
        """`sender` tells `receiver`; the source is the sender as the receiver knows it."""
        there = self.nodes[sender].ibgp(f"node{receiver}", 0x0A000001 + receiver)
        sessions = [Session(self.nodes[sender], f"node{receiver}", there, RTARGET, False)]
        sessions.append(Session(self.nodes[sender], f"node{receiver}", there, VPN, self.filtered))
        self.links[sender, receiver] = (there, sessions)

    def unlink(self, one: int, two: int) -> None:
        for pair in ((one, two), (two, one)):
            source, sessions = self.links.pop(pair)
            for session in sessions:
                session.close()
            self.nodes[pair[0]].core.withdraw_source(source)

    def flap_link(self) -> None:
        if len(self.nodes) > 1:
            one, two = self.rng.sample(range(len(self.nodes)), 2)
            self.unlink(one, two)
            if self.rng.random() < 0.5:
                self.step()
            self.link(one, two)
            self.link(two, one)

    def add_instance(self, number: int) -> None:
        targets = self.rng.sample(TARGETS, 2)
        self.instances[number] = (set(targets), {targets[0]})
        for bench in self.nodes:
            bench.core.add_instance(self.settings(bench, number))
        for agent in self.agents:
            for node in agent.sources:
                self.activate(agent, node, number)

    def delete_instance(self) -> None:
        if self.instances:
            number = self.rng.choice(sorted(self.instances))
            for agent in self.agents:
                for node in agent.sources:
                    self.deactivate(agent, node, number)
            del self.instances[number]
            for bench in self.nodes:
                bench.core.delete_instance(f"vrf{number}")

    def toggle_instance(self) -> None:
        free = sorted(set(range(INSTANCES)) - set(self.instances))
        if free and (self.rng.random() < 0.6 or not self.instances):
            self.add_instance(self.rng.choice(free))
        else:
            self.delete_instance()

    def change_targets(self) -> None:
        if self.instances:
            number = self.rng.choice(sorted(self.instances))
            self.rng.choice(self.instances[number]).symmetric_difference_update({self.rng.choice(TARGETS)})
            for bench in self.nodes:
                bench.core.update_instance(self.settings(bench, number))

    def settings(self, bench: Bench, number: int) -> Any:
        imports, exports = self.instances[number]
        return bench.instance(f"vrf{number}", number + 1, sorted(imports), sorted(exports))

    def toggle_agent(self) -> None:
        """Connect an agent to one or two control nodes, or take a connection away."""
        agent = self.rng.choice(self.agents)
        node = self.rng.randrange(len(self.nodes))
        if node in agent.sources:
            self.disconnect(agent, node)
        elif len(agent.sources) < 2:
            self.connect(agent, node)

    def connect(self, agent: Agent, node: int) -> None:
        agent.sources[node] = self.nodes[node].agent(f"agent{agent.number}", agent.number)
        for instance in sorted(self.instances):
            self.activate(agent, node, instance)

    def disconnect(self, agent: Agent, node: int) -> None:
        for instance in sorted(self.instances):
            sink = agent.sinks.pop((node, instance), None)
            if sink is not None:
                self.nodes[node].leave(sink)
        self.nodes[node].core.withdraw_source(agent.sources.pop(node))

    def activate(self, agent: Agent, node: int, instance: int) -> None:
        """Subscribe and tell the agent's routes."""
        if instance in agent.subscribed and instance in self.instances:
            bench, source = self.nodes[node], agent.sources[node]
            bench.core.subscribe(f"vrf{instance}", source)
            agent.sinks[node, instance] = bench.join(f"vrf{instance}.inet.0", "xmpp", source.name, source)
            for where, prefix in sorted(agent.routes):
                if where == instance:
                    self.tell(agent, node, instance, prefix)

    def deactivate(self, agent: Agent, node: int, instance: int) -> None:
        sink = agent.sinks.pop((node, instance), None)
        if sink is not None:
            bench, source = self.nodes[node], agent.sources[node]
            bench.core.withdraw_source(source, f"vrf{instance}.inet.0")
            bench.leave(sink)
            bench.core.unsubscribe(f"vrf{instance}", source)

    def toggle_subscription(self) -> None:
        agent, instance = self.rng.choice(self.agents), self.rng.randrange(INSTANCES)
        if instance in agent.subscribed:
            for node in agent.sources:
                self.deactivate(agent, node, instance)
        agent.subscribed ^= {instance}
        if instance in agent.subscribed:
            for node in agent.sources:
                self.activate(agent, node, instance)

    def toggle_agent_route(self) -> None:
        agent = self.rng.choice(self.agents)
        route = (self.rng.randrange(INSTANCES), self.rng.choice(PREFIXES))
        agent.routes ^= {route}
        for node in agent.sources:
            if (node, route[0]) in agent.sinks:
                if route in agent.routes:
                    self.tell(agent, node, *route)
                else:
                    bench = self.nodes[node]
                    bench.core.withdraw(f"vrf{route[0]}.inet.0", agent.sources[node], bench.prefix(route[1]))

    def tell(self, agent: Agent, node: int, instance: int, prefix: str) -> None:
        bench = self.nodes[node]
        bench.core.update(
            f"vrf{instance}.inet.0",
            agent.sources[node],
            bench.prefix(prefix),
            bench.attributes(next_hop=agent.address, local_pref=100),
            bytes([0, instance + 1, 1]),
            rd=rd.parse(f"{agent.address}:{instance + 1}"),
        )

    def toggle_router(self) -> None:
        router = self.rng.choice(self.routers)
        if router.node is not None:
            assert router.session is not None and router.source is not None
            router.session.close()
            self.nodes[router.node].core.withdraw_source(router.source)
            router.node = router.source = router.session = None
            return
        router.node = self.rng.randrange(len(self.nodes))
        bench = self.nodes[router.node]
        router.source = bench.ebgp(f"router{router.number}", router.autonomous_system, 100 + router.number)
        key = {"peer_as": router.autonomous_system}
        router.session = Session(bench, router.source.name, router.source, VPN, False, **key)
        for prefix in sorted(router.routes):
            self.announce(router, prefix)

    def toggle_router_route(self) -> None:
        router, prefix = self.rng.choice(self.routers), self.rng.choice(PREFIXES)
        if prefix in router.routes and self.rng.random() < 0.5:
            del router.routes[prefix]
            if router.node is not None:
                assert router.source is not None
                bench = self.nodes[router.node]
                bench.core.withdraw(VPN, router.source, bench.vpn(f"65000:{router.number}", prefix))
            return
        router.routes[prefix] = frozenset(self.rng.sample(TARGETS, self.rng.randrange(1, 3)))
        if router.node is not None:
            self.announce(router, prefix)

    def announce(self, router: Router, prefix: str) -> None:
        assert router.node is not None and router.source is not None
        bench = self.nodes[router.node]
        attributes = bench.attributes(
            *sorted(router.routes[prefix]),
            next_hop=router.address,
            local_pref=100,
            as_path=AsPath.sequence(router.autonomous_system),
        )
        key = bench.vpn(f"65000:{router.number}", prefix)
        bench.core.update(VPN, router.source, key, attributes, bytes([1, router.number, 1]))

    def block(self) -> None:
        sinks = self.sinks()
        if sinks:
            self.rng.choice(sinks).block_next = True

    def unblock(self) -> None:
        blocked = [sink for sink in self.sinks() if sink.blocked]
        if blocked:
            self.rng.choice(blocked).unblock()

    def step(self) -> None:
        """Let some node do a little of its work, and some session carry what it has."""
        bench = self.rng.choice(self.nodes)
        bench.core.flush(max_items=1)
        if self.links:
            self.carry(self.rng.choice(sorted(self.links)))

    def carry(self, pair: tuple[int, int]) -> None:
        _, sessions = self.links[pair]
        back = self.links.get((pair[1], pair[0]))
        if back is not None:
            for session in sessions:
                session.pump(self.nodes[pair[1]], back[0])

    def sinks(self) -> list[Sink]:
        found = [sink for agent in self.agents for _, sink in sorted(agent.sinks.items())]
        found += [session.sink for _, (_, sessions) in sorted(self.links.items()) for session in sessions]
        return found + [router.session.sink for router in self.routers if router.session is not None]

    def run(self, events: int) -> None:
        kinds: list[tuple[Callable[[], None], int]] = [
            (self.toggle_agent_route, 70),
            (self.toggle_router_route, 50),
            (self.toggle_agent, 20),
            (self.toggle_subscription, 40),
            (self.toggle_router, 15),
            (self.flap_link, 5),
            (self.toggle_instance, 15),
            (self.change_targets, 10),
            (self.block, 20),
            (self.unblock, 10),
            (self.step, 60),
        ]
        weights = [weight for _, weight in kinds]
        for number in range(1, events + 1):
            (event,) = self.rng.choices([event for event, _ in kinds], weights)
            self.events.append(event.__name__)
            event()
            if number % 25 == 0:
                self.settle()
                self.check()

    def settle(self) -> None:
        """Until nobody has anything left to say."""
        for sink in self.sinks():
            sink.unblock()
        for _ in range(50):
            for bench in self.nodes:
                bench.flush()
            for pair in sorted(self.links):
                self.carry(pair)
            if all(bench.core.idle for bench in self.nodes):
                return
        pytest.fail("the control nodes do not come to rest")

    # --- the model ---------------------------------------------------------------------------------------------------

    def check(self) -> None:
        for node, bench in enumerate(self.nodes):
            assert bench.keys(VPN) == set(self.vpn_routes(node)), f"VPN table of node {node}"
            assert set(bench.core.targeted) == {table for table in bench.core.tables.values() if table.targets}
        for agent in self.agents:
            for (node, instance), sink in agent.sinks.items():
                told = {key: {(a.next_hop, p) for a, p in paths} for key, paths in sink.rib.items()}
                assert told == self.vrf(node, instance), f"agent {agent.number} at node {node}, instance {instance}"
        for router in self.routers:
            if router.session is not None:
                assert router.node is not None
                expected = {
                    key for key, (_, asn, _) in self.vpn_routes(router.node).items() if asn != router.autonomous_system
                }
                assert set(router.session.sink.rib) == expected, f"router {router.number}"

    def origins(self) -> list[tuple[set[int], int | None, str, str, set[str], bytes, bytes, int]]:
        """(nodes, instance, RD, prefix, targets, next hop, payload, AS) of everything there is."""
        bench = self.nodes[0]
        found: list[tuple[set[int], int | None, str, str, set[str], bytes, bytes, int]] = []
        for agent in self.agents:
            for instance, prefix in agent.routes:
                at = {node for node in agent.sources if (node, instance) in agent.sinks}
                if at:
                    hop = bench.attributes(next_hop=agent.address).next_hop
                    payload = bytes([0, instance + 1, 1])
                    targets = self.instances[instance][1]
                    found.append((at, instance, f"{agent.address}:{instance + 1}", prefix, targets, hop, payload, 0))
        for router in self.routers:
            if router.node is not None:
                for prefix, wanted in router.routes.items():
                    hop = bench.attributes(next_hop=router.address).next_hop
                    payload = bytes([1, router.number, 1])
                    name = f"65000:{router.number}"
                    asn = router.autonomous_system
                    found.append(({router.node}, None, name, prefix, set(wanted), hop, payload, asn))
        return found

    def wanted_at(self, node: int) -> set[str]:
        """The targets a node asks its peers for."""
        subscribed = {i for agent in self.agents for (where, i) in agent.sinks if where == node}
        return set().union(*(self.instances[instance][0] for instance in subscribed))

    def vpn_routes(self, node: int) -> dict[bytes, tuple[bytes, int, set[str]]]:
        """{key: (next hop, AS, targets)} of a node's VPN table."""
        bench, wanted = self.nodes[node], self.wanted_at(node)
        return {
            bench.vpn(distinguisher, prefix): (hop, asn, targets)
            for at, _, distinguisher, prefix, targets, hop, _, asn in self.origins()
            if targets and (node in at or not self.filtered or targets & wanted)
        }

    def vrf(self, node: int, instance: int) -> dict[bytes, set[tuple[bytes, bytes]]]:
        """{prefix: {(next hop, payload)}} of equal cost: agents' routes before routers'."""
        bench = self.nodes[node]
        imports = self.instances[instance][0]
        found: dict[bytes, dict[bool, set[tuple[bytes, bytes]]]] = {}
        for at, home, _, prefix, targets, hop, payload, asn in self.origins():
            if targets & imports or (home == instance and node in at):
                found.setdefault(bench.prefix(prefix), {}).setdefault(bool(asn), set()).add((hop, payload))
        return {prefix: by_kind.get(False) or by_kind[True] for prefix, by_kind in found.items()}

    # --- the end -----------------------------------------------------------------------------------------------------

    def tear_down(self) -> None:
        """Everyone leaves; nothing may be left anywhere."""
        for agent in self.agents:
            for node in list(agent.sources):
                self.disconnect(agent, node)
        for router in self.routers:
            if router.node is not None:
                assert router.session is not None and router.source is not None
                router.session.close()
                self.nodes[router.node].core.withdraw_source(router.source)
                router.node = router.source = router.session = None
        self.settle()
        self.check()
        for one, two in [pair for pair in self.links if pair[0] < pair[1]]:
            self.unlink(one, two)
        for bench in self.nodes:
            for number in self.instances:
                bench.core.delete_instance(f"vrf{number}")
            bench.flush()
            bench.assert_empty()
            assert len(bench.core.tables) == len(bench.core.master.tables)
            assert Family.INET in bench.core.master.tables


@pytest.mark.parametrize(
    ("seed", "nodes", "agents", "routers", "filtered"),
    [
        (1, 1, 4, 2, False),
        (2, 2, 6, 3, False),
        (3, 2, 6, 3, True),
        (4, 3, 10, 5, True),
        (5, 4, 20, 20, False),
        (6, 4, 20, 20, True),
    ],
)
def test_every_rib_equals_the_model(
    make_bench: Callable[..., Bench],
    monkeypatch: pytest.MonkeyPatch,
    seed: int,
    nodes: int,
    agents: int,
    routers: int,
    filtered: bool,
) -> None:
    monkeypatch.setattr(groups, "SLICE", 5)
    lab = Lab(make_bench, seed, nodes, agents, routers, filtered)
    lab.run(250)
    lab.tear_down()


def test_two_reflectors_with_everything_in_common_come_to_rest(make_bench: Callable[..., Bench]) -> None:
    """A client and an agent at both: neither reflector may take the other's copy for a reason to be silent."""
    lab = Lab(make_bench, 0, 2, 0, 0, False)
    reflectors = [make_bench(router_id=0x0A000001 + number, cluster_id=101 + number) for number in range(2)]
    lab.nodes = reflectors
    lab.links.clear()
    for one, two in ((0, 1), (1, 0)):
        there = reflectors[one].ibgp(f"node{two}", 0x0A000001 + two)
        key = {"cluster_id": 101 + one}
        lab.links[one, two] = (there, [Session(reflectors[one], f"node{two}", there, VPN, False, **key)])
    clients = [bench.ibgp("client", 77) for bench in reflectors]
    agents = [bench.agent("agent", 5) for bench in reflectors]
    sinks = [
        bench.join(VPN, "ibgp", "client", client, cluster_id=101 + number)
        for number, (bench, client) in enumerate(zip(reflectors, clients, strict=True))
    ]
    for bench, client, agent in zip(reflectors, clients, agents, strict=True):
        bench.add("blue", 1, [TARGETS[0]], [TARGETS[0]])
        bench.core.update(VPN, client, bench.vpn("65000:1", PREFIXES[0]), bench.attributes(TARGETS[0]), b"\0\0\1")
        attributes = bench.attributes(local_pref=100)
        bench.core.update("blue.inet.0", agent, bench.prefix(PREFIXES[1]), attributes, b"\0\0\1", rd=bytes(8))
    lab.settle()
    for bench, sink in zip(reflectors, sinks, strict=True):
        assert set(sink.rib) == {bytes(8) + bench.prefix(PREFIXES[1])}, "not back to the client"
        assert len(bench.keys(VPN)) == 2
    lab.links[0, 1][1][0].close()
    reflectors[1].core.withdraw_source(lab.links[1, 0][0])
    reflectors[0].core.withdraw_source(clients[0])
    reflectors[0].flush()
    assert bytes(8) + reflectors[0].prefix(PREFIXES[1]) in reflectors[0].keys(VPN)


def test_a_seed_replays_exactly(make_bench: Callable[..., Bench]) -> None:
    logs = []
    for _ in range(2):
        lab = Lab(make_bench, 11, 3, 8, 4, True)
        lab.run(150)
        logs.append((lab.events, [sink.log for sink in lab.sinks()]))
    assert logs[0] == logs[1]
