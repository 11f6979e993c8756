"""A whole configuration node in memory, on a virtual clock: nothing waits, nothing is random."""

import random
import uuid
from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from contrail_emulator.config import schema
from contrail_emulator.config.bus import LocalBus
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.ids import LocalIds
from contrail_emulator.config.store import SqliteStore
from contrail_emulator.config.transformer import Transformer
from contrail_emulator.config.writer import Writer

T = TypeVar("T")
EPOCH = 1_600_000_000.0
DEMO = ["default-domain", "demo"]
FABRIC = ["default-domain", "default-project", "ip-fabric", "__default__"]


class Site:
    """Store, bus, ids and writer, with the objects of a first start unless `bare`."""

    def __init__(self, seed: int = 1, bare: bool = False) -> None:
        self.clock = Clock()
        self.rng = random.Random(seed)
        self.schema = schema.load()
        self.store = SqliteStore(clock=self.now)
        self.bus = LocalBus(self.clock)
        self.ids = LocalIds(self.clock)
        self.writer = Writer(self.store, self.bus, self.ids, self.schema, uuid=self.uuid, clock=self.now)
        self.run(self.store.open())
        if not bare:
            self.run(self.writer.initialise())

    def now(self) -> float:
        """Seconds since 1970 on the virtual clock."""
        return EPOCH + self.clock.seconds()

    def uuid(self) -> uuid.UUID:
        """The next uuid of the seeded sequence."""
        return uuid.UUID(int=self.rng.getrandbits(128), version=4)

    def run(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """The result of a coroutine, with the clock advanced as it needs; AssertionError when it never ends."""
        results: list[Any] = []
        Deferred.fromCoroutine(work).addBoth(results.append)
        for _ in range(1000):
            if results:
                break
            self.clock.advance(0.01)
        assert results, "the coroutine waits for something that never comes"
        result = results[0]
        if isinstance(result, Failure):
            result.raiseException()
        return result  # type: ignore[no-any-return]  # the Deferred's type is T; the list cannot say so

    def settle(self, turns: int = 100) -> None:
        """Let everything that is due now, and what comes of it, happen."""
        self.clock.pump([0.001] * turns)

    def client(self) -> ConfigClient:
        """A client with its own graph, started and settled."""
        client = ConfigClient(self.clock, self.store, self.bus, self.schema, Graph())
        client.start()
        self.settle()
        return client

    def transformer(self, **options: Any) -> Transformer:
        """A transformer, started and settled."""
        transformer = Transformer(self.clock, self.store, self.bus, self.ids, self.schema, self.writer, **options)
        transformer.start()
        self.settle()
        return transformer

    # -- shorthand

    def create(self, type_name: str, *fq_name: str, **fields: Any) -> str:
        """Create an object; gives its uuid."""
        return self.run(self.writer.create(type_name, {"fq_name": list(fq_name), **fields}))

    def read(self, type_name: str, uuid: str) -> dict[str, Any]:
        """Read an object."""
        return self.run(self.writer.read(type_name, uuid))

    def find(self, type_name: str, *fq_name: str) -> dict[str, Any] | None:
        """Read an object by name."""
        found = self.run(self.writer.find(type_name, list(fq_name)))
        return None if found is None else self.read(type_name, found)

    def network(self, name: str, subnet: str | None = None, **fields: Any) -> str:
        """A network in project demo (made if need be), with one subnet of demo's IPAM or none."""
        self.project()
        if subnet is not None:
            prefix, _, length = subnet.partition("/")
            entry = {"subnet": {"ip_prefix": prefix, "ip_prefix_len": int(length)}}
            fields["network_ipam_refs"] = [{"to": [*DEMO, "ipam"], "attr": {"ipam_subnets": [entry]}}]
        return self.create("virtual-network", *DEMO, name, **fields)

    def project(self) -> None:
        """Project demo with its IPAM."""
        if self.find("project", *DEMO) is None:
            self.create("project", *DEMO)
            self.create("network-ipam", *DEMO, "ipam")

    def interface(self, name: str, network: str, **fields: Any) -> str:
        """An interface in project demo."""
        reference = [{"to": [*DEMO, network]}]
        return self.create(
            "virtual-machine-interface", *DEMO, name, parent_type="project", virtual_network_refs=reference, **fields
        )

    def address(self, name: str, network: str, interface: str, **fields: Any) -> str:
        """An instance-ip; gives the address."""
        uuid = self.create(
            "instance-ip",
            name,
            virtual_network_refs=[{"to": [*DEMO, network]}],
            virtual_machine_interface_refs=[{"to": [*DEMO, interface]}],
            **fields,
        )
        return str(self.read("instance-ip", uuid)["instance_ip_address"])

    def router(self, name: str, autonomous_system: int = 64512, vendor: str = "contrail", **parameters: Any) -> str:
        """A BGP router of the fabric."""
        return self.create(
            "bgp-router",
            *FABRIC,
            name,
            bgp_router_parameters={
                "vendor": vendor,
                "autonomous_system": autonomous_system,
                "address": "127.0.0.1",
                "identifier": "127.0.0.1",
                "port": 179,
                "address_families": {"family": ["inet-vpn", "e-vpn"]},
                **parameters,
            },
        )
