"""A lab on a stored configuration: what its file no longer has goes, what others made stays."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from random import Random
from typing import Any

import pytest
from twisted.logger import LogLevel, capturedLogs, formatEvent

from contrail_emulator.config.document import load
from contrail_emulator.config.layout import NAME_TABLE, UUID_TABLE
from contrail_emulator.config.schema import load as load_schema
from contrail_emulator.config.store import Put
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.writer import Writer
from contrail_emulator.lab.config_node import ConfigNode
from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.objects import lab_uuid

Json = dict[str, Any]
Start = Callable[..., Any]
TYPES = (
    "instance-ip", "virtual-machine-interface", "virtual-machine", "virtual-router", "virtual-network",
    "virtual-DNS", "bgp-router", "security-group", "network-ipam", "project", "routing-instance", "route-target",
    "access-control-list",
)  # fmt: skip


class Started:
    """Starts the configuration node of a lab on one store, again and again; `said` is what was logged as a warning."""

    def __init__(self, loop: Loop, config: Json) -> None:
        self.loop, self.config = loop, config
        self.said: list[str] = []

    def __call__(self, file: Json, work: Callable[[ConfigNode], Awaitable[Any]] | None = None) -> Any:
        node = ConfigNode(
            self.loop.reactor, LabFile.parse({**file, "config": self.config}), load_schema(), Random(uuid.uuid4().int)
        )

        async def run() -> Any:
            await node.start()
            await node.transformer.settled()
            return await work(node) if work is not None else None

        with capturedLogs() as events:
            try:
                return self.loop.run(run())
            finally:
                self.loop.run(node.stop())
                warnings = [event for event in events if event["log_level"] is LogLevel.warn]
                self.said = [formatEvent(event) for event in warnings if event["log_namespace"].startswith("contrail")]

    def names(self, file: Json) -> set[tuple[str, str]]:
        """The type and name of every object there is after a start with this file, on which it may not depend."""
        found: set[tuple[str, str]] = self(file, _names)
        return found


async def _names(node: ConfigNode) -> set[tuple[str, str]]:
    found = [(kind, ":".join(name)) for kind in TYPES for name, _ in await node.writer.objects(kind)]
    assert len(found) == len(set(found))
    return set(found)


@pytest.fixture
def started(request: pytest.FixtureRequest, loop: Loop, tmp_path: Path) -> Iterator[Started]:
    if getattr(request, "param", "file") == "file":
        config: Json = {"path": str(tmp_path / "config.db")}
    else:
        ports = [request.getfixturevalue(name).port for name in ("cassandra", "rabbitmq", "zookeeper")]
        config = {
            "store": "cassandra",
            "servers": [f"127.0.0.1:{ports[0]}"],
            "bus": f"amqp://guest:guest@127.0.0.1:{ports[1]}",
            "zookeeper": [f"127.0.0.1:{ports[2]}"],
            "cluster_id": f"left_{uuid.uuid4().hex[:12]}",
        }
    yield Started(loop, config)


BOTH = pytest.mark.parametrize("started", ["file", "cluster"], indirect=True)
"""What is looked for and how it is deleted, in either store; the rest does not know which one it is."""


def lab(*machines: str, **fields: Any) -> Json:
    """A lab of networks blue and red, and of these machines: `name@network` each."""
    parsed = [machine.partition("@") for machine in machines]
    return {
        "name": "demo",
        "autonomous_system": 64512,
        "control_nodes": [{"name": "control-1"}],
        "networks": [{"name": "blue", "subnet": "10.1.0.0/24"}, {"name": "red", "subnet": "10.2.0.0/24"}],
        "agents": [{"name": "compute-1", "machines": [{"name": name, "network": net} for name, _, net in parsed]}],
        **fields,
    }


def test_another_lab_of_the_name_that_runs_keeps_its_objects(loop: Loop, tmp_path: Path) -> None:
    config = {"path": str(tmp_path / "config.db")}
    told: dict[str, list[str]] = {"one": [], "two": [], "three": []}

    def node(name: str, file: Json) -> ConfigNode:
        parsed = LabFile.parse({**file, "config": config})
        return ConfigNode(loop.reactor, parsed, load_schema(), Random(name), say=told[name].append)

    one = node("one", large())
    loop.run(one.start())
    two = node("two", small())
    loop.run(two.start())
    assert told == {
        "one": [],
        "two": [
            f"lab demo: another lab of this name uses {config['path']}; nothing it has there is removed",
            "lab demo: its schema transformer waits: another one is active, or has just ended",
        ],
        "three": [],
    }
    assert loop.run(one.writer.find("virtual-router", ["default-global-system-config", "compute-2"]))
    loop.run(two.stop())
    loop.run(one.stop())
    three = node("three", small())
    loop.run(three.start())
    assert loop.run(three.writer.find("virtual-router", ["default-global-system-config", "compute-2"])) is None
    (line,) = told["three"]
    assert line.startswith("lab demo: removed from the stored configuration, as the lab file no longer has it: ")
    loop.run(three.stop())


def small() -> Json:
    """What is left of a lab that lost nearly everything."""
    return lab("vm1@blue", networks=[{"name": "blue", "subnet": "10.1.0.0/24"}])


def large() -> Json:
    file = lab("vm1@blue", "vm2@red")
    file["control_nodes"].append({"name": "control-2", "address": "127.0.0.2"})
    file["agents"].append({"name": "compute-2", "machines": [{"name": "vm3", "network": "blue"}]})
    file["dns"] = {"domain": "lab.example"}
    return file


@BOTH
def test_what_the_file_no_longer_has_goes_and_one_line_says_so(started: Started) -> None:
    before = started.names(small())
    assert started.said == []
    assert started.names(large()) > before
    assert started.said == []
    assert started.names(small()) == before
    (line,) = started.said
    assert line.startswith("lab demo: removed from the stored configuration, as the lab file no longer has it: ")
    for gone in ("virtual-machine vm2", "virtual-machine vm3", "virtual-network red", "virtual-router compute-2",
                 "bgp-router control-2", "virtual-DNS lab-dns"):  # fmt: skip
        assert gone in line
    assert "vm1" not in line and "blue" not in line
    assert started.names(small()) == before
    assert started.said == []


@BOTH
def test_what_others_made_stays_and_what_it_needs_too(started: Started) -> None:
    started(large())
    project = ["default-domain", "demo"]
    loaded: list[Json] = [
        {"type": "virtual-network", "fq_name": [*project, "mine"]},
        {"type": "virtual-machine", "fq_name": ["mine"]},
        {"type": "virtual-machine-interface", "fq_name": [*project, "mine"], "parent_type": "project",
         "virtual_network_refs": [{"to": [*project, "red"]}]},
        {"type": "instance-ip", "fq_name": ["mine"], "virtual_network_refs": [{"to": [*project, "red"]}],
         "virtual_machine_interface_refs": [{"to": [*project, "mine"]}]},
        {"type": "virtual-router", "fq_name": ["default-global-system-config", "mine"]},
    ]  # fmt: skip

    async def load_them(node: ConfigNode) -> None:
        assert await load(node.writer, loaded) == (5, 0)

    started(large(), load_them)
    left = started.names(small())
    for obj in loaded:
        assert (obj["type"], ":".join(obj["fq_name"])) in left
    assert ("virtual-network", "default-domain:demo:red") in left, "it is needed"
    assert ("virtual-machine", lab_uuid("demo", "machine", "vm2")) not in left
    assert len(started.said) == 2
    assert started.said[1].startswith(
        "lab demo: left in the stored configuration, as others need it: virtual-network red ("
    )

    async def give_up(node: ConfigNode) -> None:
        for kind in ("instance-ip", "virtual-machine-interface"):
            (found,) = [entry for name, entry in await node.writer.objects(kind) if name[-1] == "mine"]
            await node.writer.delete(kind, found)

    started(small(), give_up)
    assert ("virtual-network", "default-domain:demo:red") not in started.names(small())


def test_what_others_hung_on_to_it_keeps_it(started: Started) -> None:
    """The writer takes a network's default pool along, and a router's peerings; a host runs whatever it refers to."""
    started(large())
    fabric = ["default-domain", "default-project", "ip-fabric", "__default__"]
    network = ["default-domain", "demo", "red"]
    parameters = {"autonomous_system": 64512, "identifier": "10.9.9.9", "address": "10.9.9.9", "router_type": "router"}
    passive = {"session": [{"attributes": [{"passive": True}]}]}
    loaded: list[Json] = [
        {"type": "floating-ip-pool", "fq_name": [*network, "default-floating-ip-pool"],
         "parent_type": "virtual-network"},
        {"type": "bgp-router", "fq_name": [*fabric, "mine"], "bgp_router_parameters": parameters,
         "bgp_router_refs": [{"to": [*fabric, "control-2"], "attr": passive}]},
        {"type": "virtual-machine", "fq_name": ["mine"]},
        {"type": "virtual-router", "fq_name": ["default-global-system-config", "compute-2"],
         "virtual_machine_refs": [{"to": [lab_uuid("demo", "machine", "vm3")]}, {"to": ["mine"]}]},
    ]  # fmt: skip

    async def load_them(node: ConfigNode) -> None:
        await load(node.writer, loaded)

    started(large(), load_them)
    left = started.names(small())
    assert {("virtual-network", ":".join(network)), ("bgp-router", ":".join([*fabric, "control-2"])),
            ("virtual-router", "default-global-system-config:compute-2")} <= left  # fmt: skip
    for reason in ("it has floating-ip-pool default-floating-ip-pool", "it peers with bgp-router mine",
                   "it runs virtual-machine mine"):  # fmt: skip
        assert reason in started.said[1]


def test_what_was_there_before_the_lab_is_changed_and_never_removed(started: Started) -> None:
    async def make(node: ConfigNode) -> None:
        body = {"fq_name": ["default-domain", "demo", "red"], "uuid": lab_uuid("demo", "network", "red")}
        await node.writer.create("virtual-network", body)

    started(small(), make)
    started(large())
    assert ("virtual-network", "default-domain:demo:red") in started.names(small())


def test_another_lab_on_the_same_store_is_left_alone(started: Started) -> None:
    other = {**lab("vm9@blue"), "name": "other", "control_nodes": [{"name": "other-1"}]}
    other["agents"][0]["name"] = "other-compute"
    theirs = started.names(other)
    started(large())
    assert started.names(small()) > theirs
    assert not [line for line in started.said if "other" in line]


def test_an_address_that_is_given_to_another_machine_is_free_in_time(started: Started) -> None:
    file = lab("vm1@blue")
    file["agents"][0]["machines"][0]["address"] = "10.1.0.9"
    started(file)
    file["agents"][0]["machines"][0]["name"] = "vm2"

    async def address(node: ConfigNode) -> str:
        return await node.address_of(lab_uuid("demo", "address", "vm2"))

    assert started(file, address) == "10.1.0.9"


def test_a_network_gets_another_subnet_and_its_machines_new_addresses(started: Started) -> None:
    started(lab("vm1@blue", "vm2@blue"))
    moved = lab("vm1@blue")
    moved["networks"][0]["subnet"] = "10.7.0.0/24"

    async def address(node: ConfigNode) -> str:
        return await node.address_of(lab_uuid("demo", "address", "vm1"))

    assert IPv4Address(started(moved, address)) in IPv4Network("10.7.0.0/24")


def test_a_subnet_that_somebody_else_uses_is_refused_in_one_line(started: Started) -> None:
    async def use(node: ConfigNode) -> None:
        network = [{"to": ["default-domain", "demo", "blue"]}]
        await node.writer.create("instance-ip", {"fq_name": ["mine"], "virtual_network_refs": network})

    started(lab("vm1@blue"), use)
    moved = lab("vm1@blue")
    moved["networks"][0]["subnet"] = "10.7.0.0/24"
    with pytest.raises(LabError) as caught:
        started(moved)
    said = str(caught.value)
    assert said.startswith("virtual-network default-domain:demo:blue: Cannot Delete IP Block 10.1.0.0/24, IP(10.1.0.")
    assert said.count("virtual-network") == 1 and "\n" not in said


def test_a_long_list_is_cut(loop: Loop, tmp_path: Path) -> None:
    started = Started(loop, {"path": str(tmp_path / "config.db")})
    started(lab(*(f"vm{number}@red" for number in range(15))))
    started(lab())
    (line,) = started.said
    assert line.endswith("and 5 more") and len(line) < 600


def test_rows_that_make_no_sense_are_nobodys(loop: Loop, tmp_path: Path) -> None:
    started = Started(loop, {"path": str(tmp_path / "config.db")})
    values = ("no JSON", "7", "null", '{"creator": 7}', '{"creator": null}')

    async def spoil(node: ConfigNode) -> list[str]:
        writer: Writer = node.writer
        machines = [await writer.create("virtual-machine", {"fq_name": [f"vm-{n}"]}) for n in range(len(values))]
        await writer.store.write(
            [Put(UUID_TABLE, machine, "prop:id_perms", value) for machine, value in zip(machines, values, strict=True)]
        )
        await writer.store.write([Put(NAME_TABLE, "virtual_machine", f"ghost:{uuid.uuid4()}", "null")])
        return machines

    started(large(), spoil)
    left = started.names(small())
    assert {name for kind, name in left if kind == "virtual-machine"} >= {f"vm-{n}" for n in range(len(values))}
