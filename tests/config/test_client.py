"""The client keeps its graph equal to the store, whatever is lost, repeated, reordered or broken."""

import contextlib
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs, formatEvent

from contrail_emulator.config.bus import Message, MessageError
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.layout import NAME_TABLE, UUID_TABLE
from contrail_emulator.config.store import Delete, Put, StoreError
from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.site import DEMO
from contrail_emulator.config.writer import WriterError

Picture = tuple[dict[tuple[str, str], Any], set[tuple[Any, ...]]]


def picture(graph: Graph) -> Picture:
    """Everything in a graph, to compare."""
    nodes = {(node.type, node.name): (node.present, node.properties) for node in graph.nodes()}
    links = set()
    for node in graph.nodes():
        for link in node.links():
            ends = sorted([(link.left.type, link.left.name), (link.right.type, link.right.name)])
            links.add((link.name, *ends))
    return nodes, links


def fresh(site: Site) -> Picture:
    return picture(site.client().graph)


def test_bulk_sync_then_changes() -> None:
    site = Site()
    site.network("blue", "10.1.0.0/24")
    client = site.client()
    assert client.synced
    graph = client.graph
    network = graph.get("virtual-network", "default-domain:demo:blue")
    assert network is not None and network.present
    assert {(node.type, node.name) for node in network.neighbours()} == {
        ("project", "default-domain:demo"),
        ("routing-instance", "default-domain:demo:blue:blue"),
        ("virtual-network-network-ipam", "attr(default-domain:demo:blue,default-domain:demo:ipam)"),
    }
    assert "perms2" not in network.properties
    port = site.interface("p", "blue")
    site.settle()
    node = graph.get("virtual-machine-interface", "default-domain:demo:p")
    assert node is not None and node in network.neighbours("virtual-machine-interface")
    instance = graph.get("routing-instance", "default-domain:demo:blue:blue")
    assert instance is not None
    assert graph.attribute("virtual-machine-interface-routing-instance", node, instance)["direction"] == "both"
    site.run(site.writer.delete("virtual-machine-interface", port))
    site.settle()
    assert graph.get("virtual-machine-interface", "default-domain:demo:p") is None
    assert not network.neighbours("virtual-machine-interface")
    assert picture(graph) == fresh(site)


def test_what_happens_during_the_bulk_sync_is_not_lost() -> None:
    site = Site()
    for number in range(600):  # more than one read
        site.create("virtual-machine", f"vm{number}")
    client = ConfigClient(site.clock, site.store, site.bus, site.schema, Graph())
    started: list[None] = []
    client.start().addCallback(started.append)
    assert not client.synced, "the rows are read in slices, one per turn"
    site.create("virtual-machine", "late")
    early = site.find("virtual-machine", "vm0")
    assert early is not None
    site.run(site.writer.delete("virtual-machine", early["uuid"]))
    site.settle()
    assert started == [None] and client.synced
    assert client.graph.get("virtual-machine", "late") and not client.graph.get("virtual-machine", "vm0")
    assert picture(client.graph) == fresh(site)


def test_end_of_configuration_comes_once_and_after_everything_is_in_the_graph() -> None:
    site = Site()
    client = ConfigClient(site.clock, site.store, site.bus, site.schema, Graph())
    seen: list[int] = []
    client.start().addCallback(lambda _: seen.append(len(client.graph)))
    site.settle()
    assert seen == [len(client.graph)]


def test_draft_objects_are_ignored_and_purged() -> None:
    site = Site()
    policy = site.create("application-policy-set", "default-policy-management", "aps",
                         parent_type="policy-management")  # fmt: skip
    client = site.client()
    name = "default-policy-management:aps"
    assert client.graph.get("application-policy-set", name)
    site.run(site.writer.update("application-policy-set", policy, {"draft_mode_state": "updated"}))
    site.settle()
    assert client.graph.get("application-policy-set", name) is None
    site.run(site.writer.update("application-policy-set", policy, {"draft_mode_state": None}))
    site.settle()
    assert client.graph.get("application-policy-set", name)


def test_a_vanished_row_is_a_delete_and_a_ghost_name_is_nothing() -> None:
    site = Site()
    site.network("blue")
    port = site.interface("p", "blue")
    ghost = "11111111-1111-4111-8111-111111111111"
    site.run(site.store.write([Put(NAME_TABLE, "virtual_network", f"default-domain:demo:ghost:{ghost}", "null")]))
    client = site.client()
    assert client.graph.get("virtual-network", "default-domain:demo:ghost") is None
    site.run(site.store.write([Delete(UUID_TABLE, port)]))
    site.run(site.bus.publish(Message("UPDATE", "virtual_machine_interface", port, (*DEMO, "p"))))
    site.settle()
    assert client.graph.get("virtual-machine-interface", "default-domain:demo:p") is None
    assert not client.feeder.faults


def test_an_unresolved_reference_is_dropped_and_retried_with_back_off() -> None:
    site = Site()
    site.project()
    client = site.client()
    target, holder = "22222222-2222-4222-8222-222222222222", site.create("virtual-machine", "vm")
    link = Put(UUID_TABLE, holder, f"ref:service_instance:{target}", '{"attr": null, "is_weakref": false}')
    site.run(site.store.write([link]))
    site.run(site.bus.publish(Message("UPDATE", "virtual_machine", holder, ("vm",))))
    site.settle(10)
    node = client.graph.get("virtual-machine", "vm")
    assert node is not None and node.degree() == 0
    retries = []
    for _ in range(70):
        site.clock.advance(0.1)
        retries.append(client.counters["retries"])
    assert retries[-1] == 6, "after 0.1, 0.2, 0.4, 0.8, 1.6 and 3.2 seconds"
    # The target appears without any message: the next retry finds its row by itself.
    made = [
        Put(UUID_TABLE, target, "fq_name", '["default-domain", "demo", "si"]'),
        Put(UUID_TABLE, target, "type", '"service_instance"'),
    ]
    site.run(site.store.write(made))
    site.clock.pump([0.1] * 64)
    assert [other.name for other in node.neighbours()] == ["default-domain:demo:si"]
    count = client.counters["retries"]
    site.clock.pump([10] * 10)
    assert client.counters["retries"] == count, "once resolved, the timer is gone"


def test_a_target_that_is_announced_wakes_its_holders_at_once() -> None:
    site = Site()
    site.project()
    holder = site.create("virtual-machine", "vm")
    target = "22222222-2222-4222-8222-222222222222"
    link = Put(UUID_TABLE, holder, f"ref:service_instance:{target}", '{"attr": null, "is_weakref": false}')
    site.run(site.store.write([link]))
    client = site.client()
    site.clock.advance(100)
    site.create("service-instance", *DEMO, "si", uuid=target)
    site.settle(5)
    node = client.graph.get("virtual-machine", "vm")
    assert node is not None and [other.name for other in node.neighbours()] == ["default-domain:demo:si"]


def test_a_gap_on_the_bus_means_reading_everything_again() -> None:
    site = Site()
    client = ConfigClient(site.clock, site.store, site.bus, site.schema, Graph())
    gaps: list[Any] = []
    subscribe = site.bus.subscribe

    async def deaf(queue: str, on_message: Any, on_gap: Any) -> Any:
        gaps.append(on_gap)
        return await subscribe(queue, lambda message: None, on_gap)

    site.bus.subscribe = deaf  # type: ignore[method-assign]
    client.start()
    site.settle()
    blue = site.network("blue")
    other = site.network("red")
    site.settle()
    assert client.graph.get("virtual-network", "default-domain:demo:blue") is None
    gaps[0]()
    site.settle()
    assert client.graph.get("virtual-network", "default-domain:demo:blue")
    site.run(site.writer.delete("virtual-network", blue))
    gaps[0]()
    gaps[0]()
    site.settle()
    assert client.graph.get("virtual-network", "default-domain:demo:blue") is None
    assert site.read("virtual-network", other) and picture(client.graph)[0].keys() >= {
        ("virtual-network", "default-domain:demo:red")
    }


def test_a_store_that_is_away_delays_but_loses_nothing() -> None:
    site = Site()
    client = ConfigClient(site.clock, site.store, site.bus, site.schema, Graph())
    rows, broken = site.store.rows, [True]

    async def sometimes(*arguments: Any, **named: Any) -> Any:
        if broken[0]:
            raise StoreError("away")
        return await rows(*arguments, **named)

    site.store.rows = sometimes  # type: ignore[method-assign]
    with capturedLogs() as events:
        client.start()
        site.clock.pump([1] * 20)
        assert not client.synced and client.counters["store_errors"] > 2
        assert [formatEvent(event) for event in events] == ["configuration: away; trying again"]
        broken[0] = False
        site.clock.pump([1] * 20)
        assert client.synced
        broken[0] = True
        site.run(site.bus.publish(Message("UPDATE", "project", "x", ("y",))))
        site.clock.pump([0.1] * 5)
        broken[0] = False
        site.create("virtual-machine", "vm")
        site.clock.pump([1] * 5)
    assert len(events) == 2, "once an outage"
    assert client.graph.get("virtual-machine", "vm") and picture(client.graph) == fresh(site)


def test_stop_ends_timers_and_reads() -> None:
    site = Site()
    client = site.client()
    size = len(client.graph)
    client.stop()
    client.stop()
    site.create("virtual-machine", "vm")
    site.settle()
    assert len(client.graph) == size and not site.clock.getDelayedCalls()


# -- bad data (issue 7, evidence 4)


def test_bad_rows_are_reported_once_with_object_and_field_and_all_else_works() -> None:
    site = Site()
    blue = site.network("blue")
    site.interface("p", "blue")
    bad = {
        "json": [("fq_name", '["json"]'), ("type", '"virtual_machine"'), ("prop:display_name", "{")],
        "type": [("fq_name", '["type"]'), ("type", '"spaceship"')],
        "property": [("fq_name", '["property"]'), ("type", '"virtual_machine"'), ("prop:display_name", "[1]")],
        "reference": [("fq_name", '["reference"]'), ("type", '"virtual_machine"'), ("ref:service_instance:no", "null")],
        "twin": [("fq_name", '["default-domain", "demo", "blue"]'), ("type", '"virtual_network"')],
        "parent": [("fq_name", '["a", "b"]'), ("type", '"virtual_machine"'), ("parent:project:x", "null")],
        "name": [("fq_name", "7"), ("type", '"virtual_machine"')],
    }
    for uuid, columns in bad.items():
        site.run(site.store.write([Put(UUID_TABLE, uuid, column, value) for column, value in columns]))
        kind = "virtual_network" if uuid == "twin" else "virtual_machine"
        site.run(site.store.write([Put(NAME_TABLE, kind, f"{uuid}:{uuid}", "null")]))
    with capturedLogs() as events:
        client = site.client()
        for uuid in bad:  # read again and again
            for _ in range(3):
                site.run(site.bus.publish(Message("UPDATE", "virtual_machine", uuid, (uuid,))))
                site.settle(5)
    told = [(event["uuid"], event["field"], event["expected"]) for event in events if "expected" in event]
    (owner,) = {uuid for uuid, (_, name) in client.feeder.names.items() if name == "default-domain:demo:blue"}
    assert owner in (blue, "twin")
    loser = "twin" if owner == blue else blue
    assert sorted(told) == sorted(
        [
            ("json", "prop:display_name", "JSON"),
            ("type", "type", "a type of the schema, not spaceship"),
            ("property", "display_name", "a text"),
            (loser, "fq_name", f"a name of its own, not that of {owner}"),
            ("parent", "parent_type", "one of config-root, not project"),
            ("name", "fq_name", "a list of texts"),
        ]
    )
    assert set(client.feeder.faults) == {"json", "type", "property", loser, "parent", "name"}
    for name in ("json", "property", "reference"):
        node = client.graph.get("virtual-machine", name)
        assert node is not None and "display_name" not in node.properties
    network = client.graph.get("virtual-network", "default-domain:demo:blue")
    assert network is not None and network.present
    # Mended, it is in the graph and no longer a fault; the twin takes the name when its owner goes.
    site.run(site.store.write([Put(UUID_TABLE, "type", "type", '"virtual_machine"')]))
    site.run(site.bus.publish(Message("UPDATE", "virtual_machine", "type", ("type",))))
    site.run(site.store.write([Delete(UUID_TABLE, owner)]))
    site.run(site.bus.publish(Message("DELETE", "virtual_network", owner)))
    site.settle()
    assert client.graph.get("virtual-machine", "type")
    assert client.feeder.names[loser] == ("virtual-network", "default-domain:demo:blue")
    assert not {"type", loser} & set(client.feeder.faults)


def test_messages_of_unknown_types_are_counted() -> None:
    site = Site()
    client = site.client()
    site.run(site.bus.publish(Message("UPDATE", "spaceship", "x", ("y",))))
    site.settle()
    assert client.counters["unknown_types"] == 1


# -- the property that matters


class World:
    """Random creates, updates, deletes and references through the writer."""

    def __init__(self, site: Site, rng: random.Random) -> None:
        self.site, self.rng = site, rng
        self.count = 0
        site.project()

    def some(self, type_name: str) -> tuple[list[str], str] | None:
        found = self.site.run(self.site.writer.objects(type_name))
        return self.rng.choice(found) if found else None

    def step(self) -> None:
        """One change; what the writer refuses is no change."""
        with contextlib.suppress(WriterError):
            self.rng.choice([self.create, self.create, self.update, self.refer, self.delete])()

    def create(self) -> None:
        self.count += 1
        name = f"n{self.rng.randrange(12)}"
        kind = self.rng.choice(["network", "router", "port", "group", "machine", "policy"])
        if kind == "network":
            self.site.network(name, f"10.{self.rng.randrange(250)}.0.0/24")
        elif kind == "router":
            self.site.router(name)
        elif kind == "port":
            network = self.some("virtual-network")
            if network is not None:
                self.site.create("virtual-machine-interface", *DEMO, name, parent_type="project",
                                 virtual_network_refs=[{"to": network[0]}])  # fmt: skip
        elif kind == "machine":
            self.site.create("virtual-machine", name)
        else:
            self.site.create("security-group" if kind == "group" else "network-policy", *DEMO, name)

    def update(self) -> None:
        found = self.some(self.rng.choice(["virtual-network", "virtual-machine-interface", "virtual-machine"]))
        if found is not None:
            type_name = "virtual-machine" if len(found[0]) == 1 else "virtual-network"
            value = self.rng.choice([None, "x", "y"])
            self.site.run(self.site.writer.update(type_name, found[1], {"display_name": value}))

    def refer(self) -> None:
        source, target = self.rng.choice(
            [
                ("bgp-router", "bgp-router"),
                ("virtual-network", "network-policy"),
                ("virtual-machine-interface", "security-group"),
                ("virtual-machine-interface", "virtual-machine"),
                ("routing-instance", "routing-instance"),
                ("virtual-network", "virtual-network"),
            ]
        )
        one, two = self.some(source), self.some(target)
        if one is not None and two is not None and one[1] != two[1]:
            attribute: dict[str, Any] | None = None
            if source == "virtual-network" and target == "network-policy":
                attribute = {"sequence": {"major": self.rng.randrange(3), "minor": 0}}
            operation = self.rng.choice(["ADD", "ADD", "DELETE"])
            self.site.run(self.site.writer.ref_update(source, one[1], target, two[1], operation, attribute))

    def delete(self) -> None:
        type_name = self.rng.choice(
            ["virtual-machine-interface", "virtual-network", "bgp-router", "virtual-machine", "security-group"]
        )
        found = self.some(type_name)
        if found is not None and found[0] != ["default-domain", "default-project", "default-virtual-network"]:
            self.site.run(self.site.writer.delete(type_name, found[1]))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_any_history_leaves_the_graph_equal_to_the_store(seed: int) -> None:
    site = Site(seed)
    rng = random.Random(seed)
    world = World(site, rng)
    client = site.client()
    for _ in range(60):
        world.step()
        if rng.random() < 0.3:
            site.settle(2)
    site.settle()
    assert picture(client.graph) == fresh(site)
    assert not client.feeder.faults


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32))
def test_messages_may_be_repeated_and_reordered(seed: int) -> None:
    site = Site(seed)
    rng = random.Random(seed)
    world = World(site, rng)
    client = site.client()
    held: list[Message] = []
    publish = site.bus.publish

    async def hold(message: Message) -> None:
        held.extend([message] * rng.choice([1, 1, 2]))

    site.bus.publish = hold  # type: ignore[method-assign]
    for _ in range(40):
        world.step()
    rng.shuffle(held)
    for message in held:
        site.run(publish(message))
        if rng.random() < 0.3:
            site.settle(2)
    site.settle()
    assert picture(client.graph) == fresh(site)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | st.sampled_from([b"{}", b"[]", b'{"oper": "CREATE"}', b"\xff"]))
def test_no_message_body_raises_anything_but_a_message_error(body: bytes) -> None:
    try:
        Message.decode(body)
    except MessageError:
        return
    raise AssertionError("random bytes are no message")


def test_a_message_has_the_fields_of_the_reference() -> None:
    message = Message("CREATE", "virtual_network", "u", ("a", "b"), "req-1", {"x": 1})
    assert message.encode() == (
        b'{"request-id": "req-1", "oper": "CREATE", "type": "virtual_network", "uuid": "u", "fq_name": ["a", "b"],'
        b' "obj_dict": {"x": 1}}'
    )
    assert Message.decode(message.encode()) == message
    dashes = b'{"oper": "DELETE", "type": "virtual-network", "uuid": "u"}'
    assert Message.decode(dashes) == Message("DELETE", "virtual_network", "u")
