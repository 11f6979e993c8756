"""The whole configuration node over real servers, and over a shared file: same results, and what faults do to it."""

import copy
import random
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.task import deferLater

from contrail_emulator.base.conf import ConfError, ConfFile
from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config import schema
from contrail_emulator.config.backends import Backends, ConfigDbSettings, cluster, embedded
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.layout import UUID_TABLE
from contrail_emulator.config.store import Delete, StoreError
from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.cassandra import Cassandra
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.testing.relay import Relay
from contrail_emulator.config.testing.servers import RabbitMq, Server, ZooKeeper
from contrail_emulator.config.testing.site import DEMO
from contrail_emulator.config.transformer import Transformer
from contrail_emulator.config.writer import Conflict, Writer

RESTART_SECONDS = 240.0
"""How long a restarted server may take until it answers again."""
Picture = tuple[dict[tuple[str, str], Any], set[tuple[Any, ...]]]


def picture(graph: Graph, timeless: bool = False) -> Picture:
    """Everything in a graph; `timeless` leaves out what differs between two runs."""
    nodes: dict[tuple[str, str], Any] = {}
    links: set[tuple[Any, ...]] = set()
    for node in graph.nodes():
        properties = copy.deepcopy(node.properties)
        if timeless:
            properties.pop("id_perms", None)
            for subnet in (properties.get("value") or {}).get("ipam_subnets", []):
                subnet.pop("subnet_uuid")
            if "subnet_uuid" in properties:
                del properties["subnet_uuid"]
            if node.type == "virtual-machine-interface":
                properties.pop("virtual_machine_interface_mac_addresses", None)
        nodes[node.type, node.name] = (node.present, properties)
        for link in node.links():
            ends = sorted([(link.left.type, link.left.name), (link.right.type, link.right.name)])
            links.add((link.name, *ends))
    return nodes, links


class Process:
    """One process of the configuration node: its own connections, writer and (if started) client and transformer."""

    def __init__(self, loop: Loop, backends: Backends, name: str) -> None:
        self.loop, self.backends, self.name = loop, backends, name
        self.schema = schema.load()
        assert backends.ids is not None
        self.writer = Writer(backends.store, backends.bus, backends.ids, self.schema, uuid=uuid.uuid4, clock=time.time)
        self.transformer = Transformer(
            loop.reactor, backends.store, backends.bus, backends.ids, self.schema, self.writer, name=name
        )
        self._client: ConfigClient | None = None
        loop.run(backends.open())

    def start_client(self) -> ConfigClient:
        """A client of this process, synced."""
        queue = f"contrail-control.{self.name}.{uuid.uuid4().hex[:8]}"
        client = ConfigClient(self.loop.reactor, self.backends.store, self.backends.bus, self.schema, Graph(), queue)
        client.start()
        self.loop.wait(lambda: client.synced)
        return client

    def create(self, type_name: str, *fq_name: str, **fields: Any) -> str:
        return self.loop.run(self.writer.create(type_name, {"fq_name": list(fq_name), **fields}))

    def close(self) -> None:
        self.transformer.stop()
        self.loop.run(self.backends.close())


def settings_of(cassandra: Server, rabbitmq: Server, zookeeper: Server, cluster_id: str = "") -> ConfigDbSettings:
    here = "127.0.0.1"
    return ConfigDbSettings(
        (Endpoint(here, cassandra.port),),
        (Endpoint(here, rabbitmq.port),),
        (Endpoint(here, zookeeper.port),),
        cluster_id=cluster_id,
    )


@pytest.fixture(params=["file", "cluster"])
def processes(request: pytest.FixtureRequest, loop: Loop, tmp_path: Path) -> Iterator[tuple[Process, Process]]:
    """Two processes over one configuration."""
    if request.param == "file":
        backends = [embedded(loop.reactor, str(tmp_path / "config.db")) for _ in range(2)]
    else:
        servers = [request.getfixturevalue(name) for name in ("cassandra", "rabbitmq", "zookeeper")]
        backends = [cluster(loop.reactor, settings_of(*servers), random.Random(n)) for n in range(2)]
    made = (Process(loop, backends[0], "one"), Process(loop, backends[1], "two"))
    yield made
    for process in made:
        process.close()


def demo(create: Any) -> None:
    """What a small lab writes."""
    create("project", *DEMO)
    create("network-ipam", *DEMO, "ipam")
    create("security-group", *DEMO, "web")
    for number, name in enumerate(("blue", "red")):
        subnet = {"subnet": {"ip_prefix": f"10.{number}.0.0", "ip_prefix_len": 24}}
        create(
            "virtual-network",
            *DEMO,
            name,
            network_ipam_refs=[{"to": [*DEMO, "ipam"], "attr": {"ipam_subnets": [subnet]}}],
            route_target_list={"route_target": ["target:64512:100"]},
        )
        create("virtual-machine", f"vm-{name}")
        create(
            "virtual-machine-interface",
            *DEMO,
            f"port-{name}",
            parent_type="project",
            virtual_network_refs=[{"to": [*DEMO, name]}],
            virtual_machine_refs=[{"to": [f"vm-{name}"]}],
            security_group_refs=[{"to": [*DEMO, "web"]}],
        )
        create(
            "instance-ip",
            f"ip-{name}",
            virtual_network_refs=[{"to": [*DEMO, name]}],
            virtual_machine_interface_refs=[{"to": [*DEMO, f"port-{name}"]}],
        )
    for name in ("control-1", "control-2"):
        create(
            "bgp-router",
            "default-domain",
            "default-project",
            "ip-fabric",
            "__default__",
            name,
            bgp_router_parameters={"vendor": "contrail", "autonomous_system": 64512, "address": "127.0.0.1"},
        )


def settle(loop: Loop, process: Process, client: ConfigClient) -> None:
    """Until nobody has read a row for a while."""
    before = -1
    while before != client.counters["rows"] + process.transformer.counters["evaluations"]:
        before = client.counters["rows"] + process.transformer.counters["evaluations"]
        loop.run(pause(loop))


async def pause(loop: Loop) -> None:
    """Longer than any message takes."""
    await deferLater(loop.reactor, 0.3)


def in_memory() -> Picture:
    """The demo in memory on a virtual clock: what every other back end must give."""
    site = Site()
    site.transformer()
    demo(site.create)
    site.settle()
    return picture(site.client().graph, timeless=True)


def test_the_demo_gives_the_same_graph_over_every_back_end(processes: tuple[Process, Process], loop: Loop) -> None:
    one, two = processes
    loop.run(one.writer.initialise())
    active: list[None] = []
    one.transformer.start().addCallback(active.append)
    loop.wait(lambda: bool(active))
    client = two.start_client()  # another process than the writer and the transformer
    demo(one.create)
    expected = in_memory()
    loop.wait(lambda: picture(client.graph, timeless=True)[0].keys() == expected[0].keys())
    loop.wait(lambda: picture(client.graph, timeless=True) == expected)
    settle(loop, one, client)
    assert picture(client.graph, timeless=True) == expected, "and so it stays"
    assert not client.feeder.faults
    fresh = two.start_client()
    assert picture(fresh.graph) == picture(client.graph)
    # Everything written by one process may be changed and taken away by the other.
    port = loop.run(two.writer.find("virtual-machine-interface", [*DEMO, "port-red"]))
    address = loop.run(two.writer.find("instance-ip", ["ip-red"]))
    network = loop.run(two.writer.find("virtual-network", [*DEMO, "red"]))
    assert port and address and network
    loop.run(two.writer.delete("instance-ip", address))
    loop.run(two.writer.delete("virtual-machine-interface", port))
    loop.run(two.writer.delete("virtual-network", network))
    loop.wait(lambda: client.graph.get("route-target", "target:64512:8000005") is None)
    loop.wait(lambda: client.graph.get("routing-instance", "default-domain:demo:red:red") is None)
    again = two.start_client()
    loop.wait(lambda: picture(again.graph) == picture(client.graph))


def test_two_transformers_race_and_the_second_takes_over(loop: Loop, tmp_path: Path) -> None:
    path = str(tmp_path / "config.db")
    one, two = (Process(loop, embedded(loop.reactor, path), name) for name in ("one", "two"))
    loop.run(one.writer.initialise())
    demo(one.create)
    one.transformer.start()
    two.transformer.start()
    loop.wait(lambda: one.transformer.active or two.transformer.active)
    active, waiting = (one, two) if one.transformer.active else (two, one)
    client = waiting.start_client()
    loop.wait(lambda: client.graph.get("route-target", "target:64512:8000005") is not None)
    assert not waiting.transformer.active
    active.transformer.stop()
    loop.wait(lambda: waiting.transformer.active)
    active.create("virtual-network", *DEMO, "green")
    loop.wait(lambda: client.graph.get("route-target", "target:64512:8000006") is not None)
    for process in (one, two):
        process.close()


# -- faults, over real servers of one's own


@pytest.fixture
def own(tmp_path: Path, cassandra: Server, rabbitmq: Server, zookeeper: Server) -> Iterator[dict[str, Server]]:
    """A broker to kill; the shared ones otherwise (asked for first, so that absence skips with its reason)."""
    broker = RabbitMq(tmp_path / "rabbitmq")
    broker.start()
    yield {"rabbitmq": broker, "cassandra": cassandra, "zookeeper": zookeeper}
    broker.stop()


def test_the_broker_is_killed_and_restarted_while_objects_change(loop: Loop, own: dict[str, Server]) -> None:
    settings = settings_of(own["cassandra"], own["rabbitmq"], own["zookeeper"], cluster_id="broker")
    writer = Process(loop, cluster(loop.reactor, settings, random.Random(1)), "writer")
    reader = Process(loop, cluster(loop.reactor, settings, random.Random(2)), "reader")
    prefix = uuid.uuid4().hex[:8]
    client = reader.start_client()
    machines = [writer.create("virtual-machine", f"{prefix}-{number}") for number in range(20)]
    loop.wait(lambda: client.graph.get("virtual-machine", f"{prefix}-19") is not None)
    own["rabbitmq"].kill()
    for number, machine in enumerate(machines):
        if number % 2:
            loop.run(writer.writer.delete("virtual-machine", machine))
    writer.create("virtual-machine", f"{prefix}-new")
    own["rabbitmq"].start()
    loop.wait(lambda: client.graph.get("virtual-machine", f"{prefix}-new") is not None)
    loop.wait(lambda: client.graph.get("virtual-machine", f"{prefix}-19") is None)
    fresh = reader.start_client()
    loop.wait(lambda: picture(fresh.graph) == picture(client.graph))
    assert client.counters["syncs"] >= 2, "it read everything anew"
    writer.close()
    reader.close()


def test_the_database_is_killed_and_restarted(loop: Loop, tmp_path: Path, own: dict[str, Server]) -> None:
    database = Cassandra(tmp_path / "cassandra")
    database.start()
    try:
        settings = settings_of(database, own["rabbitmq"], own["zookeeper"], cluster_id="database")
        one = Process(loop, cluster(loop.reactor, settings, random.Random(1)), "one")
        client = one.start_client()
        first, second = uuid.uuid4().hex, uuid.uuid4().hex
        machine = one.create("virtual-machine", first)
        loop.wait(lambda: client.graph.get("virtual-machine", first) is not None)
        database.kill()
        client.resync()
        loop.wait(lambda: client.counters["store_errors"] > 0)
        assert client.graph.get("virtual-machine", first) is not None, "what is not known to be gone stays"
        database.start()
        create_when_back(loop, one, second)
        loop.wait(lambda: client.graph.get("virtual-machine", second) is not None)
        assert loop.run(one.writer.name_of(machine)) == [first], "committed before the kill, there after it"
        one.close()
    finally:
        database.stop()


def create_when_back(loop: Loop, process: Process, name: str) -> None:
    """Creates a machine as soon as the driver has its connection back, however long that takes on a busy machine."""
    deadline = time.monotonic() + RESTART_SECONDS
    while True:
        try:
            process.create("virtual-machine", name)
        except StoreError:
            assert time.monotonic() < deadline, "the database is back and cannot be written"
            loop.run(pause(loop))
        except Conflict:
            return  # an earlier try was written after all
        else:
            return


def test_a_row_deleted_under_a_reader(processes: tuple[Process, Process], loop: Loop) -> None:
    one, two = processes
    name = uuid.uuid4().hex
    client = two.start_client()
    machine = one.create("virtual-machine", name)
    loop.wait(lambda: client.graph.get("virtual-machine", name) is not None)
    loop.run(one.backends.store.write([Delete(UUID_TABLE, machine)]))
    client.resync()
    loop.wait(lambda: client.graph.get("virtual-machine", name) is None)


def test_a_changed_server_list_moves_the_connections(loop: Loop, tmp_path: Path, own: dict[str, Server]) -> None:
    first = settings_of(own["cassandra"], own["rabbitmq"], own["zookeeper"], cluster_id="moving")
    second_broker = RabbitMq(tmp_path / "second")
    second_broker.start()
    try:
        one = Process(loop, cluster(loop.reactor, first, random.Random(1)), "one")
        client = one.start_client()
        second = settings_of(own["cassandra"], second_broker, own["zookeeper"], cluster_id="moving")
        loop.run(one.backends.move(second, random.Random(2)))
        loop.wait(lambda: client.counters["syncs"] >= 2)
        own["rabbitmq"].kill()
        name = uuid.uuid4().hex
        one.create("virtual-machine", name)
        loop.wait(lambda: client.graph.get("virtual-machine", name) is not None)
        one.close()
    finally:
        second_broker.stop()


def test_a_changed_list_moves_to_another_cassandra_without_losing_state(loop: Loop, own: dict[str, Server]) -> None:
    """The other way to the same database is a relay; when the first way is cut, nobody misses it."""
    ways = [Relay(own["cassandra"].port) for _ in range(2)]
    try:
        settings = [
            ConfigDbSettings(
                (Endpoint("127.0.0.1", way.port),),
                (Endpoint("127.0.0.1", own["rabbitmq"].port),),
                (Endpoint("127.0.0.1", own["zookeeper"].port),),
                cluster_id="ways",
            )
            for way in ways
        ]
        one = Process(loop, cluster(loop.reactor, settings[0], random.Random(1)), "one")
        client = one.start_client()
        first, second = uuid.uuid4().hex, uuid.uuid4().hex
        one.create("virtual-machine", first)
        loop.wait(lambda: client.graph.get("virtual-machine", first) is not None)
        before = picture(client.graph)
        loop.run(one.backends.move(settings[1], random.Random(2)))
        assert picture(client.graph) == before, "what is known stays while and after moving"
        client.resync()
        ways[0].close()
        one.create("virtual-machine", second)
        loop.wait(lambda: client.graph.get("virtual-machine", second) is not None)
        assert ways[1].connections > 0 and client.graph.get("virtual-machine", first) is not None
        fresh = one.start_client()
        assert picture(fresh.graph) == picture(client.graph)
        one.close()
    finally:
        for way in ways:
            way.close()


def test_a_cassandra_that_is_not_there_leaves_the_old_connections(loop: Loop, own: dict[str, Server]) -> None:
    settings = settings_of(own["cassandra"], own["rabbitmq"], own["zookeeper"], cluster_id="stays")
    one = Process(loop, cluster(loop.reactor, settings, random.Random(1)), "one")
    nowhere = ConfigDbSettings((Endpoint("127.0.0.1", 1),), settings.rabbitmq, settings.zookeeper, cluster_id="stays")
    with pytest.raises(StoreError, match=r"Cassandra 127\.0\.0\.1:1: "):
        loop.run(one.backends.move(nowhere, random.Random(2)))
    name = uuid.uuid4().hex
    one.create("virtual-machine", name)
    assert loop.run(one.writer.find("virtual-machine", [name])) is not None
    one.close()


def test_an_active_transformer_that_loses_zookeeper_retires_and_stands_again(
    loop: Loop, tmp_path: Path, own: dict[str, Server]
) -> None:
    keeper = ZooKeeper(tmp_path / "zookeeper")
    keeper.start()
    try:
        settings = settings_of(own["cassandra"], own["rabbitmq"], keeper, cluster_id="election")
        backends = cluster(loop.reactor, settings, random.Random(1))
        backends.ids._session_timeout = 1.0  # type: ignore[union-attr]
        one = Process(loop, backends, "one")
        loop.run(one.writer.initialise())
        one.transformer.start()
        loop.wait(lambda: one.transformer.active)
        keeper.kill()
        loop.wait(lambda: not backends.ids.connected)  # type: ignore[union-attr]
        keeper.start()
        loop.wait(lambda: backends.ids.connected and one.transformer.active)  # type: ignore[union-attr]
        one.close()
    finally:
        keeper.stop()


# -- conf files


def test_both_section_names_and_defaults() -> None:
    text = "[{}]\nconfig_db_server_list = 10.0.0.1:9041 10.0.0.2\nrabbitmq_server_list=10.0.0.3\nrabbitmq_user=u\n"
    for section in ("CONFIGDB", "IFMAP"):
        settings = ConfigDbSettings.from_conf(ConfFile.parse(text.format(section)), "192.0.2.1")
        assert settings.cassandra == (Endpoint("10.0.0.1", 9041), Endpoint("10.0.0.2", 9042))
        assert settings.rabbitmq == (Endpoint("10.0.0.3", 5672),) and settings.rabbitmq_user == "u"
    empty = ConfigDbSettings.from_conf(ConfFile.parse(""), "192.0.2.1")
    assert empty.cassandra == (Endpoint("192.0.2.1", 9042),) and empty.rabbitmq_password == "guest"


def test_what_is_not_done_is_refused_and_secrets_are_not_shown() -> None:
    with pytest.raises(ConfError, match="config_db_use_etcd"):
        ConfigDbSettings.from_conf(ConfFile.parse("[CONFIGDB]\nconfig_db_use_etcd = true\n"), "192.0.2.1")
    conf = ConfFile.parse("[CONFIGDB]\nconfig_db_password = hush\nrabbitmq_password = hush\n")
    assert "hush" not in repr(ConfigDbSettings.from_conf(conf, "192.0.2.1"))
