"""The rows of many networks: what writer and transformer make of one, again with other names and numbers.

Writing 20,000 networks one by one takes minutes and is not what `config.py` measures. So a configuration node in
memory makes one network, and the rows of the network, of its routing instance and of its route target are then copied
with every uuid, name, id and target replaced. The columns are those of a real database: the project's `children`, the
back references and the index of names included.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator

from twisted.internet.task import deferLater

from contrail_emulator.config import schema
from contrail_emulator.config.backends import embedded
from contrail_emulator.config.layout import NAME_TABLE, UUID_TABLE
from contrail_emulator.config.store import Mutation, Put, Store
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.transformer import Transformer
from contrail_emulator.config.writer import Writer

CONTROL_NODE = "control-1"
PROJECT = ["default-domain", "benchmark"]
AS = 64512
FABRIC = ["default-domain", "default-project", "ip-fabric", "__default__"]
OBJECTS_A_NETWORK = 3
"""Network, routing instance, route target."""
COPIED = ("virtual-network", "routing-instance", "route-target")
NETWORK_ID = "prop:virtual_network_network_id"


def network(number: int) -> list[str]:
    return [*PROJECT, f"network-{number}"]


def instance(number: int) -> list[str]:
    """The default routing instance of a network."""
    return [*network(number), f"network-{number}"]


class Rows:
    """All rows of a configuration with `count` networks. `objects` counts the objects in them."""

    def __init__(self, count: int) -> None:
        self.count = count
        loop = Loop()
        try:
            self._others, self._copied, self._project = loop.run(_first_network(loop), 120)
        finally:
            loop.close()
        self.objects = len({put.key for put in self._others if put.table == UUID_TABLE}) + OBJECTS_A_NETWORK * count

    def __iter__(self) -> Iterator[list[Mutation]]:
        """One network after another, the rest first; what stands in one list may be written at once."""
        yield list(self._others)
        first = {kind: (name, key) for kind, name, key, _ in self._copied}
        target, _ = first["route-target"]
        number_of_target = int(target.rpartition(":")[2])
        for number in range(self.count):
            fresh = {key: str(uuid.uuid4()) for _, key in first.values()}
            changes = [
                *fresh.items(),
                (target, f"{target.rpartition(':')[0]}:{number_of_target + number}"),
                ("network-0", f"network-{number}"),
            ]

            def changed(text: str, changes: list[tuple[str, str]] = changes) -> str:
                for old, new in changes:
                    text = text.replace(old, new)
                return text

            made: list[Mutation] = []
            for kind, name, key, columns in self._copied:
                own = fresh[key]
                made.append(Put(NAME_TABLE, kind.replace("-", "_"), f"{changed(name)}:{own}", "null"))
                for column, value in columns:
                    text = str(number + 10) if column == NETWORK_ID else changed(value)
                    made.append(Put(UUID_TABLE, own, changed(column), text))
            child = fresh[first["virtual-network"][1]]
            made.append(Put(UUID_TABLE, self._project, f"children:virtual_network:{child}", "null"))
            yield made


Copied = tuple[str, str, str, list[tuple[str, str]]]
"""Type, name, uuid, (column, value) of each column."""


async def _first_network(loop: Loop) -> tuple[list[Mutation], list[Copied], str]:
    """The rows of everything else, those of one network, and the project's uuid."""
    backends = embedded(loop.reactor)
    await backends.open()
    assert backends.ids is not None
    found = schema.load()
    writer = Writer(backends.store, backends.bus, backends.ids, found, uuid=uuid.uuid4, clock=time.time)
    await writer.initialise(AS)
    parameters = {
        "vendor": "contrail",
        "router_type": "control-node",
        "autonomous_system": AS,
        "identifier": "10.255.0.1",
        "address": "127.0.0.1",
        "port": 179,
        "address_families": {"family": ["route-target", "inet", "inet-vpn", "e-vpn"]},
    }
    await writer.create("bgp-router", {"fq_name": [*FABRIC, CONTROL_NODE], "bgp_router_parameters": parameters})
    project = await writer.create("project", {"fq_name": PROJECT})
    transformer = Transformer(loop.reactor, backends.store, backends.bus, backends.ids, found, writer)
    await transformer.start()
    targets = {name[0] for name, _ in await writer.objects("route-target")}
    await writer.create("virtual-network", {"fq_name": network(0)})
    instance_uuid = await writer.find("routing-instance", instance(0))
    assert instance_uuid is not None
    while not (await writer.read("routing-instance", instance_uuid)).get("route_target_refs"):
        await _turn(loop)
    transformer.stop()
    names = {":".join(network(0)), ":".join(instance(0))}
    names |= {name[0] for name, _ in await writer.objects("route-target")} - targets
    others: list[Mutation] = []
    copied: list[Copied] = []
    for kind in found.types:
        for parts, key in await writer.objects(kind):
            name = ":".join(parts)
            columns = await _columns(backends.store, key)
            if kind in COPIED and name in names:
                copied.append((kind, name, key, columns))
                continue
            others.append(Put(NAME_TABLE, found.types[kind].object_type, f"{name}:{key}", "null"))
            others += [Put(UUID_TABLE, key, column, value) for column, value in columns]
    gone = {key for _, _, key, _ in copied}
    others = [put for put in others if not (isinstance(put, Put) and put.column.rpartition(":")[2] in gone)]
    await backends.close()
    assert [kind for kind, *_ in copied].count("route-target") == 1 and len(copied) == OBJECTS_A_NETWORK, copied
    return others, copied, project


async def _columns(store: Store, key: str) -> list[tuple[str, str]]:
    row = (await store.rows(UUID_TABLE, [key]))[key]
    return [(column, cell.value) for column, cell in row.items()]


async def _turn(loop: Loop) -> None:
    await deferLater(loop.reactor, 0.01)
