"""Where a lab's configuration is: the file's `config`, and a lab that is started again on a store with objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config.schema import load as load_schema
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.lab.bus_url import parse_bus
from contrail_emulator.lab.config_node import ConfigNode
from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.model import Config, LabFile
from contrail_emulator.lab.objects import lab_uuid

DEMO = Path(__file__).parents[2] / "lab" / "data" / "demo.yaml"
CLUSTER = {
    "store": "cassandra",
    "servers": ["10.0.0.1:9041", "10.0.0.2"],
    "bus": "amqp://u:hu%40sh@10.0.0.3:5673,10.0.0.4/contrail",
    "zookeeper": ["10.0.0.5"],
}


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


def lab_of(config: dict[str, Any]) -> LabFile:
    return LabFile.parse({"name": "x", "autonomous_system": 64512, "config": config})


def test_servers_of_a_cluster() -> None:
    settings = lab_of(CLUSTER).config.settings
    assert settings.cassandra == (Endpoint("10.0.0.1", 9041), Endpoint("10.0.0.2", 9042))
    assert settings.rabbitmq == (Endpoint("10.0.0.3", 5673), Endpoint("10.0.0.4", 5672))
    assert settings.zookeeper == (Endpoint("10.0.0.5", 2181),)
    assert (settings.rabbitmq_user, settings.rabbitmq_password) == ("u", "hu@sh")
    assert settings.rabbitmq_vhost == "contrail"
    assert parse_bus("amqp://broker").user == "guest"


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"bus": None}, "needs servers, bus and zookeeper"),
    ({"servers": []}, "needs servers, bus and zookeeper"),
    ({"zookeeper": []}, "needs servers, bus and zookeeper"),
    ({"path": "x"}, "path is for store: embedded"),
    ({"store": "embedded"}, "are for store: cassandra"),
    ({"bus": "http://u:hush@host"}, "expected amqp://"),
    ({"bus": "amqp://u:hush@ho$t"}, "expected amqp://"),
    ({"bus": "amqp://hush:x"}, "expected amqp://"),
    ({"bus": "amqp://:hush@host"}, "expected amqp://"),
    ({"servers": ["10.0.0.1:x"]}, "10.0.0.1:x"),
    ({"cluster_id": "a-b"}, "cluster_id"),
    ({"store": "mysql"}, "store"),
]


@pytest.mark.parametrize(("change", "expected"), MISTAKES, ids=[str(change) for change, _ in MISTAKES])
def test_a_mistake_is_one_line_without_the_secret(change: dict[str, Any], expected: str) -> None:
    with pytest.raises(LabError) as caught:
        lab_of({**CLUSTER, **change})
    assert expected in str(caught.value) and "\n" not in str(caught.value)
    assert "hush" not in str(caught.value) and "hu%40sh" not in str(caught.value)


def test_secrets_are_in_no_text_of_the_lab() -> None:
    lab = lab_of({**CLUSTER, "user": "admin", "password": "hush"})
    for text in (repr(lab), str(lab.config), lab.model_dump_json(), repr(lab.config.settings)):
        assert "hush" not in text and "hu@sh" not in text and "hu%40sh" not in text


class Started:
    """Starts the configuration node of a lab on one file, again and again; `changed` tells what it changed."""

    def __init__(self, loop: Loop, path: Path) -> None:
        self.loop, self.path = loop, path
        self.changed: list[str] = []

    def __call__(self, file: LabFile, read: Callable[[ConfigNode], Any]) -> Any:
        file = file.model_copy(update={"config": Config(path=self.path)})
        node = ConfigNode(self.loop.reactor, file, load_schema(), Random(1))
        self.changed = []
        publish = node.bus.publish

        async def note(message: Any) -> None:
            self.changed.append(f"{message.oper} {message.type} {message.fq_name[-1]}")
            await publish(message)

        node.bus.publish = note  # type: ignore[method-assign]
        try:
            self.loop.run(node.start())
            self.loop.run(_settled(node))
            return self.loop.run(read(node))
        finally:
            self.loop.run(node.stop())


async def _settled(node: ConfigNode) -> None:
    await node.transformer.settled()


async def _nothing(node: ConfigNode) -> None: ...


@pytest.fixture
def started(loop: Loop, tmp_path: Path) -> Started:
    return Started(loop, tmp_path / "config.db")


def demo() -> dict[str, Any]:
    value: dict[str, Any] = yaml.safe_load(DEMO.read_text())
    value["control_nodes"][0]["bgp_port"] = value["bgp_peers"][0]["port"] = 1179
    return value


def test_started_again_nothing_is_written(started: Started) -> None:
    started(LabFile.parse(demo()), _nothing)
    assert "CREATE virtual_network blue" in started.changed
    started(LabFile.parse(demo()), _nothing)
    assert started.changed == []


def test_started_again_what_the_file_says_otherwise_is_changed(started: Started) -> None:
    started(LabFile.parse(demo()), _nothing)
    other = demo()
    other["networks"][1]["route_targets"] = ["target:64512:300"]
    del other["networks"][0]["route_targets"]
    other["bgp_peers"][0]["port"] = 2179

    async def read(node: ConfigNode) -> list[Any]:
        found = []
        for type_name, *name in (
            ("virtual-network", "default-domain", "demo", "blue"),
            ("virtual-network", "default-domain", "demo", "red"),
            ("bgp-router", "default-domain", "default-project", "ip-fabric", "__default__", "gateway"),
        ):
            uuid = await node.writer.find(type_name, name)
            assert uuid is not None
            found.append(await node.writer.read(type_name, uuid))
        return found

    blue, red, gateway = started(LabFile.parse(other), read)
    assert "route_target_list" not in blue
    assert red["route_target_list"] == {"route_target": ["target:64512:300"]}
    assert gateway["bgp_router_parameters"]["port"] == 2179


def test_started_again_machines_have_changed_places_and_networks(started: Started) -> None:
    started(LabFile.parse(demo()), _nothing)
    other = demo()
    other["agents"][0]["machines"] = [
        {"name": "vm1", "network": "blue", "address": "10.1.0.4"},
        {"name": "vm3", "network": "blue"},
    ]
    other["agents"][1]["machines"] = [{"name": "vm2", "network": "blue", "address": "10.1.0.3"}]

    async def read(node: ConfigNode) -> list[str]:
        names = [lab_uuid("demo", "address", machine) for machine in ("vm1", "vm2", "vm3")]
        return [await node.address_of(name) for name in names]

    vm1, vm2, vm3 = started(LabFile.parse(other), read)
    assert (vm1, vm2) == ("10.1.0.4", "10.1.0.3")
    assert IPv4Address(vm3) in IPv4Network("10.1.0.0/24")


def test_an_object_of_somebody_else_is_not_taken_over(started: Started) -> None:
    async def foreign(node: ConfigNode) -> None:
        project = ["default-domain", "other"]
        await node.writer.create("project", {"fq_name": project})
        await node.writer.create("virtual-network", {"fq_name": [*project, "blue"]})

    started(LabFile.parse(demo()), foreign)
    with pytest.raises(LabError, match="virtual-network default-domain:other:blue: is already there"):
        started(LabFile.parse({**demo(), "name": "other"}), _nothing)


def test_a_file_that_cannot_be_a_store(loop: Loop, tmp_path: Path) -> None:
    path = tmp_path / "config.db"
    path.write_text("this is no database, " * 100)
    node = ConfigNode(
        loop.reactor, LabFile.parse({**demo(), "config": {"path": str(path)}}), load_schema(), Random(1)
    )
    with pytest.raises(LabError, match="config: "):
        loop.run(node.start())
    loop.run(node.stop())
