"""The twenty kinds of events of reference/bgp.md section 8, seeded, over control nodes that talk in bytes.

At quiet points every RIB on every side must equal what a small independent model computes: VPN tables and route-target
tables of the control nodes, what routers were told, and of each agent the routes of every family, its replication lists
and its configuration. The model is sets of facts: who is where, who imports and exports what.

It can be so small because no two origins share an RD and a prefix, and because an agent's route always beats a router's
(a shorter AS path), so that the best path of a VRF never hides an origin from others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from control.node.conftest import AS, mac, route, tree
from control.node.wire_lab import Connection, MeshSession, Node, RouterSession, instance_name

from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.bgp.nlri import codec
from contrail_emulator.control.routing import core, groups
from contrail_emulator.control.xmpp.items import EnetEntry, UnicastEntry

INSTANCES = 4
TARGETS = [f"target:64512:{number}" for number in range(1, 6)]
PREFIXES = ["10.0.0.0/24", "10.0.1.3/32", "2001:db8::/64", "2001:db8::7/128"]
MACS = ["02:00:00:00:00:01", "02:00:00:00:00:02"]
THINGS = PREFIXES + MACS
EVERYONE = "ff:ff:ff:ff:ff:ff"
Hop = tuple[str, int]


class Agent:
    """What an agent is: where it is connected, what it subscribes to, and what it has there."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.address = f"192.0.2.{number + 1}"
        self.connections: dict[int, Connection] = {}
        self.subscribed: set[int] = set()
        self.things: set[tuple[int, str]] = set()
        self.configured = False
        self.builder: int | None = None
        """The node that hears of its broadcast and multicast routes: one of those it is connected to."""

    def hop(self, instance: int) -> Hop:
        return self.address, 100 + instance


class Router:
    def __init__(self, number: int) -> None:
        self.number = number
        self.autonomous_system = 65001 + number % 3
        self.address = f"198.51.100.{number + 1}"
        self.session: RouterSession | None = None
        self.routes: dict[str, frozenset[str]] = {}

    def key(self, prefix: str) -> bytes:
        return codec(Family.INET_VPN).key(f"65000:{self.number}:{prefix}")


class Lab:
    def __init__(self, seed: int, nodes: int, agents: int, routers: int) -> None:
        self.rng = random.Random(seed)
        self.nodes = [Node(number) for number in range(nodes)]
        self.agents = [Agent(number) for number in range(agents)]
        self.routers = [Router(number) for number in range(routers)]
        self.instances: dict[int, tuple[set[str], set[str]]] = {}
        self.mesh: dict[tuple[int, int], MeshSession] = {}
        self.log: list[str] = []
        for node in self.nodes:
            for number in range(agents):
                node.graph.put("virtual-router", f"default-global-system-config:agent{number}", {})
                node.graph.put("virtual-machine", f"vm{number}", {})
        for one in range(nodes):
            for two in range(one + 1, nodes):
                self.mesh[one, two] = MeshSession(self.nodes[one], self.nodes[two])
        for number in range(INSTANCES - 1):
            self.create(number)
        for agent in self.agents:
            agent.subscribed.update(self.rng.sample(range(INSTANCES), 2))
            agent.things.update((instance, self.rng.choice(THINGS)) for instance in sorted(agent.subscribed))
            self.connect(agent, self.rng.randrange(nodes))
        for router in self.routers:
            router.routes[PREFIXES[0]] = frozenset(self.rng.sample(TARGETS, 2))
            self.peer_up(router)

    # --- events ------------------------------------------------------------------------------------------------------

    def add_bgp_route(self) -> None:
        router, prefix = self.rng.choice(self.routers), self.rng.choice(PREFIXES[:2])
        router.routes[prefix] = frozenset(self.rng.sample(TARGETS, self.rng.randrange(1, 3)))
        self.announce(router, prefix)

    def delete_bgp_route(self) -> None:
        router = self.rng.choice(self.routers)
        if router.routes:
            prefix = self.rng.choice(sorted(router.routes))
            del router.routes[prefix]
            if router.session is not None:
                router.session.withdraw(router.key(prefix))

    def add_agent_route(self) -> None:
        agent = self.rng.choice(self.agents)
        thing = self.rng.randrange(INSTANCES), self.rng.choice(THINGS)
        agent.things.add(thing)
        self.publish(agent, *thing)

    def delete_agent_route(self) -> None:
        agent = self.rng.choice(self.agents)
        if agent.things:
            thing = self.rng.choice(sorted(agent.things))
            agent.things.discard(thing)
            self.publish(agent, *thing, add=False)

    def agent_up(self) -> None:
        agent, node = self.rng.choice(self.agents), self.rng.randrange(len(self.nodes))
        if node not in agent.connections and len(agent.connections) < 2:
            self.connect(agent, node)

    def agent_down(self) -> None:
        if agent := self.pick(agent for agent in self.agents if agent.connections):
            self.disconnect(agent, self.rng.choice(sorted(agent.connections)))

    def agent_clear(self) -> None:
        if agent := self.pick(agent for agent in self.agents if agent.connections):
            node = self.rng.choice(sorted(agent.connections))
            self.disconnect(agent, node)
            self.some_work()
            self.connect(agent, node)

    def subscribe(self) -> None:
        agent, instance = self.rng.choice(self.agents), self.rng.randrange(INSTANCES)
        if instance not in agent.subscribed:
            agent.subscribed.add(instance)
            for node in sorted(agent.connections):
                self.enter(agent, node, instance)

    def unsubscribe(self) -> None:
        agent, instance = self.rng.choice(self.agents), self.rng.randrange(INSTANCES)
        if instance in agent.subscribed:
            agent.subscribed.discard(instance)
            for _, connection in sorted(agent.connections.items()):
                connection.agent.unsubscribe(instance_name(instance))
                connection.forget(instance_name(instance))

    def subscribe_configuration(self) -> None:
        if agent := self.pick(agent for agent in self.agents if not agent.configured):
            agent.configured = True
            for _, connection in sorted(agent.connections.items()):
                connection.agent.machine(f"vm{agent.number}")

    def unsubscribe_configuration(self) -> None:
        if agent := self.pick(agent for agent in self.agents if agent.configured):
            agent.configured = False
            for _, connection in sorted(agent.connections.items()):
                connection.agent.machine(f"vm{agent.number}", subscribe=False)

    def add_peer(self) -> None:
        pairs = [(one, two) for one in range(len(self.nodes)) for two in range(one + 1, len(self.nodes))]
        if missing := [pair for pair in pairs if pair not in self.mesh]:
            one, two = self.rng.choice(missing)
            self.mesh[one, two] = MeshSession(self.nodes[one], self.nodes[two])
        elif router := self.pick(router for router in self.routers if router.session is None):
            self.peer_up(router)

    def delete_peer(self) -> None:
        if self.mesh and self.rng.random() < 0.3:
            self.mesh.pop(self.rng.choice(sorted(self.mesh))).close()
        elif router := self.pick(router for router in self.routers if router.session is not None):
            self.peer_down(router)

    def clear_peer(self) -> None:
        if self.mesh and self.rng.random() < 0.5:
            one, two = self.rng.choice(sorted(self.mesh))
            self.mesh.pop((one, two)).close()
            self.some_work()
            self.mesh[one, two] = MeshSession(self.nodes[one], self.nodes[two])
        elif router := self.pick(router for router in self.routers if router.session is not None):
            self.peer_down(router)
            self.some_work()
            self.peer_up(router)

    def add_instance(self) -> None:
        if free := sorted(set(range(INSTANCES)) - self.instances.keys()):
            self.create(self.rng.choice(free))

    def delete_instance(self) -> None:
        if self.instances:
            number = self.rng.choice(sorted(self.instances))
            del self.instances[number]
            for node in self.nodes:
                node.remove_instance(instance_name(number))
            for _, _, connection in self.connections():
                connection.forget(instance_name(number))

    def add_target(self) -> None:
        self.change_target(lambda targets: targets.add(self.rng.choice(TARGETS)))

    def delete_target(self) -> None:
        self.change_target(lambda targets: targets.discard(self.rng.choice(TARGETS)))

    def change_target(self, change: Callable[[set[str]], None]) -> None:
        if self.instances:
            number = self.rng.choice(sorted(self.instances))
            change(self.rng.choice(self.instances[number]))
            for node in self.nodes:
                node.set_instance(number, *self.instances[number])

    def change_buffer(self) -> None:
        """A socket takes no more, or takes again."""
        if self.rng.random() < 0.5:
            connections = list(self.connections())
            if connections:
                _, _, connection = self.rng.choice(connections)
                connection.session.blocked = True
        elif pipes := [end for session in self.mesh.values() for end in session.ends]:
            pipes += [router.session.pipe for router in self.routers if router.session is not None]
            self.rng.choice(pipes).block_next = True
        if self.rng.random() < 0.4:
            self.unblock()

    def show_all(self) -> None:
        for node in self.nodes:
            found = node.core
            for row in found.table_rows():
                assert row["paths"] == sum(len(route["paths"]) for route in found.rows(row["name"]))
            assert found.instance_rows() and found.group_rows() is not None and found.target_rows() is not None
            for agent in node.agents:
                assert agent.row()["state"] == "Established"

    # --- what events are made of -------------------------------------------------------------------------------------

    def pick(self, found: Iterator[Any]) -> Any:
        candidates = list(found)
        return self.rng.choice(candidates) if candidates else None

    def create(self, number: int) -> None:
        targets = self.rng.sample(TARGETS, 2)
        self.instances[number] = set(targets), {targets[0]}
        for node in self.nodes:
            node.set_instance(number, *self.instances[number])

    def connect(self, agent: Agent, node: int) -> None:
        connection = agent.connections[node] = Connection(self.nodes[node], agent.number)
        connection.agent.router(f"default-global-system-config:agent{agent.number}")
        if agent.configured:
            connection.agent.machine(f"vm{agent.number}")
        for instance in sorted(agent.subscribed):
            self.enter(agent, node, instance)
        self.choose_builder(agent)

    def disconnect(self, agent: Agent, node: int) -> None:
        agent.connections.pop(node).close()
        if agent.builder == node:
            agent.builder = None
        self.choose_builder(agent)

    def choose_builder(self, agent: Agent) -> None:
        if agent.builder is None and agent.connections:
            agent.builder = min(agent.connections)
            for instance in sorted(agent.subscribed):
                self.flood(agent, instance)

    def enter(self, agent: Agent, node: int, instance: int) -> None:
        """Subscribe to an instance, whether it exists or not, and tell what there is."""
        agent.connections[node].agent.subscribe(instance_name(instance), instance + 1)
        for where, thing in sorted(agent.things):
            if where == instance:
                self.publish(agent, where, thing, node)
        if agent.builder == node:
            self.flood(agent, instance)

    def flood(self, agent: Agent, instance: int) -> None:
        assert agent.builder is not None
        to, number, name = agent.connections[agent.builder].agent, agent.number + 1, instance_name(instance)
        to.publish(mac(EVERYONE, "0.0.0.0/32", number, edge_replication_not_supported=True), instance=name)
        to.publish(tree(number, f"{number}{instance}00-{number}{instance}99"), instance=name)

    def publish(self, agent: Agent, instance: int, thing: str, node: int | None = None, add: bool = True) -> None:
        if instance not in agent.subscribed:
            return
        label = agent.hop(instance)[1]
        if thing in MACS:
            entry: UnicastEntry | EnetEntry = mac(thing, "10.9.9.9/32", agent.number + 1)
        else:
            entry = route(thing, agent.number + 1, label)
        for where, connection in sorted(agent.connections.items()):
            if node in (None, where):
                connection.agent.publish(entry, instance=instance_name(instance), add=add)

    def peer_up(self, router: Router) -> None:
        node = self.rng.choice(self.nodes)
        router.session = RouterSession(
            node, f"router{router.number}", router.address, router.autonomous_system, 1000 + router.number
        )
        for prefix in sorted(router.routes):
            self.announce(router, prefix)

    def peer_down(self, router: Router) -> None:
        assert router.session is not None
        router.session.close()
        router.session = None

    def announce(self, router: Router, prefix: str) -> None:
        if router.session is not None:
            hop = bytes(map(int, router.address.split(".")))
            label = (router.number + 16 << 4 | 1).to_bytes(3, "big")
            router.session.announce(router.key(prefix), router.routes[prefix], hop, label)

    def connections(self) -> Iterator[tuple[Agent, int, Connection]]:
        for agent in self.agents:
            for node, connection in sorted(agent.connections.items()):
                yield agent, node, connection

    def unblock(self) -> None:
        for _, _, connection in self.connections():
            if connection.session.blocked:
                connection.unblock()
        for session in self.mesh.values():
            for end in session.ends:
                end.unblock()
        for router in self.routers:
            if router.session is not None:
                router.session.pipe.unblock()

    def some_work(self) -> None:
        """Some node does a little, and some of what was sent arrives."""
        self.rng.choice(self.nodes).core.flush(max_items=1)
        if self.mesh:
            self.mesh[self.rng.choice(sorted(self.mesh))].pump()

    KINDS = (
        (add_bgp_route, 25), (delete_bgp_route, 25), (add_agent_route, 35), (delete_agent_route, 35),
        (agent_up, 7), (agent_down, 5), (agent_clear, 8), (subscribe, 10), (unsubscribe, 10),
        (subscribe_configuration, 10), (unsubscribe_configuration, 10), (add_peer, 5), (delete_peer, 5),
        (clear_peer, 20), (add_instance, 15), (delete_instance, 15), (add_target, 5), (delete_target, 5),
        (change_buffer, 10), (show_all, 10),
    )  # fmt: skip

    def run(self, events: int) -> None:
        kinds, weights = zip(*self.KINDS, strict=True)
        self.settle()
        self.check()
        for number in range(1, events + 1):
            (event,) = self.rng.choices(kinds, weights)
            self.log.append(event.__name__)
            event(self)
            if self.rng.random() < 0.3:
                self.some_work()
            if number % 20 == 0:
                self.settle()
                self.check()

    def settle(self) -> None:
        """Until nobody has anything left to say, End-of-RIBs included."""
        self.unblock()
        quiet = 0
        for _ in range(100):
            moved = False
            for node in self.nodes:
                moved = bool(node.core.dirty) or moved
                node.flush()
                node.clock.advance(1)
            for session in self.mesh.values():
                moved = session.pump() or moved
            for router in self.routers:
                moved = (router.session is not None and router.session.pump()) or moved
            for _, _, connection in self.connections():
                moved = connection.pump() or moved
            quiet = 0 if moved else quiet + 1
            if quiet == 4:
                return
        pytest.fail("the control nodes do not come to rest")

    # --- the model ---------------------------------------------------------------------------------------------------

    def present(self, agent: Agent, instance: int) -> set[int]:
        """The nodes at which an agent's routes of an instance are."""
        return set(agent.connections) if instance in agent.subscribed and instance in self.instances else set()

    def wanted(self, node: int) -> set[str]:
        """The configured targets that a node asks the others for."""
        subscribed = {i for agent in self.agents for i in agent.subscribed if node in self.present(agent, i)}
        return set().union(*(self.instances[instance][0] for instance in subscribed))

    def reaches(self, at: set[int], node: int, targets: set[str]) -> bool:
        """Whether a node's VPN table has what originates at some nodes: its own, or a neighbour's that it asked for."""
        if node in at:
            return bool(targets)
        near = {one + two - node for one, two in self.mesh if node in (one, two)}
        return bool(at & near and targets & self.wanted(node))

    def origins(self, family: str) -> Iterator[tuple[set[int], int | None, str, set[str], Hop, int, str]]:
        """(nodes, home, prefix, targets, hop, AS, printed RD) of everything unicast, or of every MAC."""
        for agent in self.agents:
            for instance, thing in agent.things:
                at = self.present(agent, instance)
                if at and family == ("25/242" if thing in MACS else "2/1" if ":" in thing else "1/1"):
                    one = (agent.address, 5001) if thing in MACS else agent.hop(instance)
                    yield at, instance, thing, self.instances[instance][1], one, 0, f"{agent.address}:{instance + 1}"
        if family == "1/1":
            for router in self.routers:
                if router.session is not None:
                    at = {router.session.node.number}
                    for prefix, targets in router.routes.items():
                        label = (router.address, router.number + 16)
                        yield at, None, prefix, set(targets), label, router.autonomous_system, f"65000:{router.number}"

    def vpn(self, node: int, family: str = "1/1") -> dict[str, int]:
        """{printed prefix: AS} of a node's VPN table."""
        return {
            f"{distinguisher}:{prefix}": asn
            for at, _, prefix, targets, _, asn, distinguisher in self.origins(family)
            if self.reaches(at, node, targets)
        }

    def unicast(self, node: int, instance: int, family: str) -> dict[str, set[Hop]]:
        """What an agent hears of an instance: for each prefix the hops of equal cost, agents' before routers'."""
        imports = self.instances[instance][0]
        found: dict[str, dict[bool, set[Hop]]] = {}
        for at, home, prefix, targets, hop, asn, _ in self.origins(family):
            if (home == instance and node in at) or (targets & imports and self.reaches(at, node, targets)):
                found.setdefault(prefix, {}).setdefault(bool(asn), set()).add(hop)
        return {prefix: kinds.get(False) or kinds[True] for prefix, kinds in found.items()}

    def macs(self, node: int, instance: int) -> dict[str, set[Hop]]:
        """Of other networks nothing; of other nodes only where the instance imports what it exports."""
        found: dict[str, set[Hop]] = {}
        for at, home, thing, _, hop, _, _ in self.origins("25/242"):
            if home == instance and self.hears(at, node, instance):
                found.setdefault(f"{thing},10.9.9.9/32", set()).add(hop)
        return found

    def hears(self, at: set[int], node: int, instance: int) -> bool:
        imports, exports = self.instances[instance]
        return node in at or bool(imports & exports and self.reaches(at, node, exports))

    def floods(self, instance: int) -> Iterator[tuple[Agent, int]]:
        """The agents with a broadcast route, and where they have it."""
        for agent in self.agents:
            if agent.builder is not None and self.present(agent, instance):
                yield agent, agent.builder

    def receivers(self, agent: Agent, node: int, instance: int) -> set[Hop]:
        return {
            (other.address, 5001)
            for other, at in self.floods(instance)
            if other is not agent and self.hears({at}, node, instance)
        }

    # --- against the model -------------------------------------------------------------------------------------------

    def check(self) -> None:
        for number, node in enumerate(self.nodes):
            for table, family in (("bgp.l3vpn.0", "1/1"), ("bgp.l3vpn-inet6.0", "2/1")):
                assert set(node.prefixes(table)) == set(self.vpn(number, family)), f"{table} of node {number}"
            asked = {
                row["prefix"]
                for row in node.core.rows("bgp.rtarget.0", protocol="XMPP")
                if ":target:64512:" in row["prefix"] and not row["prefix"].endswith(":7999999")
            }
            assert asked == {f"{AS}:{target}" for target in self.wanted(number)}
        for router in self.routers:
            if router.session is not None:
                own = router.autonomous_system
                expected = {prefix for prefix, asn in self.vpn(router.session.node.number).items() if asn != own}
                assert set(router.session.rib) == expected, f"router {router.number}"
                assert all(path.startswith(str(AS)) for _, path in router.session.rib.values())
        for agent, number, connection in self.connections():
            assert (f"virtual-machine vm{agent.number}" in connection.objects) == agent.configured
            expected_rib: dict[tuple[str, str], set[Hop]] = {}
            for instance in agent.subscribed & self.instances.keys():
                name = instance_name(instance)
                for family in ("1/1", "2/1"):
                    for prefix, hops in self.unicast(number, instance, family).items():
                        expected_rib[f"{family}/{name}", prefix] = hops
                for ident, hops in self.macs(number, instance).items():
                    expected_rib[f"25/242/{name}", ident] = hops
                receivers = self.receivers(agent, number, instance)
                if agent.builder == number and receivers:
                    expected_rib[f"25/242/{name}", f"{EVERYONE},0.0.0.0/32"] = receivers
            heard = {
                where: {(one.address, int(one.label)) for one in (*entry.next_hops, *getattr(entry, "olist", ()))}
                for where, entry in connection.rib.items()
                if not where[0].startswith("1/241/")
            }
            assert heard == expected_rib, f"agent {agent.number} at node {number}"
        for instance in self.instances:
            self.check_tree(instance)

    def check_tree(self, instance: int) -> None:
        """Who floods hangs together in trees: one over all nodes that hear of each other, else one a node."""
        members = {agent.address: (agent, node) for agent, node in self.floods(instance)}
        edges: dict[str, set[str]] = {}
        labels: dict[str, int] = {}
        lists: dict[str, dict[str, int]] = {}
        for address, (agent, node) in members.items():
            ident = f"{address}:{instance + 1}:255.255.255.255,0.0.0.0"
            entry = agent.connections[node].rib.get((f"1/241/{instance_name(instance)}", ident))
            lists[address] = {one.address: int(one.label) for one in entry.olist} if entry is not None else {}
            edges[address] = set(lists[address])
            if entry is not None:
                labels[address] = entry.source_label
        for address, others in lists.items():
            for other, label in others.items():
                assert address in edges[other] and label == labels[other], f"instance {instance}: {address} to {other}"
        if len(self.mesh) == len(self.nodes) * (len(self.nodes) - 1) // 2:
            together: dict[int, set[str]] = {}
            imports, exports = self.instances[instance]
            for address, (_, node) in members.items():
                together.setdefault(0 if imports & exports else node, set()).add(address)
            for group in together.values():
                assert sum(len(edges[address]) for address in group) == 2 * (len(group) - 1)
                assert _reached(min(group), edges) == group, f"the tree of instance {instance}"

    # --- the end -----------------------------------------------------------------------------------------------------

    def tear_down(self) -> None:
        for agent in self.agents:
            for node in list(agent.connections):
                self.disconnect(agent, node)
        for router in self.routers:
            if router.session is not None:
                self.peer_down(router)
        self.settle()
        self.check()
        for session in self.mesh.values():
            session.close()
        self.mesh.clear()
        for number in list(self.instances):
            for each in self.nodes:
                each.remove_instance(instance_name(number))
        self.instances.clear()
        self.settle()
        for each in self.nodes:
            assert each.sizes() == each.empty


def _reached(start: str, edges: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        address = waiting.pop()
        if address not in seen:
            seen.add(address)
            waiting.extend(edges[address])
    return seen


def test_there_are_twenty_kinds() -> None:
    assert len({kind.__name__ for kind, _ in Lab.KINDS}) == 20


@pytest.mark.parametrize(
    ("seed", "nodes", "agents", "routers", "events"),
    [(1, 1, 4, 2, 200), (2, 2, 6, 3, 200), (3, 3, 8, 5, 160), (4, 4, 20, 20, 80)],
)
def test_every_rib_equals_the_model(
    monkeypatch: pytest.MonkeyPatch, seed: int, nodes: int, agents: int, routers: int, events: int
) -> None:
    monkeypatch.setattr(groups, "SLICE", 7)
    monkeypatch.setattr(core, "STEP", 16)
    lab = Lab(seed, nodes, agents, routers)
    lab.run(events)
    lab.tear_down()


def test_a_seed_replays_exactly() -> None:
    runs = []
    for _ in range(2):
        lab = Lab(11, 3, 8, 4)
        lab.run(60)
        runs.append((lab.log, [connection.heard for _, _, connection in lab.connections()]))
    assert runs[0] == runs[1]
