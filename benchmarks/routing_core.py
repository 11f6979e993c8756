"""What the routing core alone does per second: reflecting VPN routes to peers, and importing them into VRFs.

    python benchmarks/routing_core.py [--prefixes N] [--sinks 1,50] [--instances 100]

Bytes come from the real UPDATE writer; sinks only count them. One line per case: prefixes per second of CPU time (flush
included), and bytes of memory per prefix while all routes are held.
"""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Callable, Sequence

from contrail_emulator.control.bgp import ext_community, rd, update
from contrail_emulator.control.bgp.attributes import AsPath, Attributes
from contrail_emulator.control.bgp.family import Family
from contrail_emulator.control.routing import CoreSettings, GroupKey, InstanceSettings, RoutingCore, Source, SourceKind
from contrail_emulator.control.routing.group_key import Paths

AS = 64512
TABLE = "bgp.l3vpn.0"
Batch = tuple[Attributes, list[tuple[bytes, bytes]]]


class UpdateEncoder:
    """BGP UPDATE messages."""

    joins = True
    build_errors = 0

    def reach(
        self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[tuple[bytes, Paths]]
    ) -> list[bytes]:
        attributes = routes[0][1][0][0]
        return update.write(family, attributes, [(prefix, paths[0][1]) for prefix, paths in routes], key.as4)

    def reach_olist(self, table: str, family: Family, instance: str, key: GroupKey, routes: object) -> list[bytes]:
        return []

    def unreach(self, table: str, family: Family, instance: str, key: GroupKey, keys: Sequence[bytes]) -> list[bytes]:
        return update.write_withdrawn(family, list(keys))


class CountingEncoder(UpdateEncoder):
    """For agents: as good as free, so that the core is measured and no XML."""

    def reach(
        self, table: str, family: Family, instance: str, key: GroupKey, routes: Sequence[tuple[bytes, Paths]]
    ) -> list[bytes]:
        return [b"x" * len(routes)]

    def unreach(self, table: str, family: Family, instance: str, key: GroupKey, keys: Sequence[bytes]) -> list[bytes]:
        return [b"x" * len(keys)]


class Sink:
    def __init__(self, name: str) -> None:
        self.name = name
        self.received = 0

    def deliver(self, message: bytes) -> bool:
        self.received += len(message)
        return True


def batches(count: int, per_update: int, targets: Sequence[bytes], version: int = 0) -> list[Batch]:
    """Routes as UPDATEs would bring them: `per_update` prefixes share an attribute set of their own."""
    found = []
    label = b"\x00\x10\x01"
    for start in range(0, count, per_update):
        attributes = Attributes.make(
            next_hop=b"\xc0\x00\x02\x01",
            as_path=AsPath.sequence(65001, 1000 + start % 50000),
            med=start * 2 + version,
            ext_communities=(targets[start // per_update % len(targets)],),
        )
        routes = [
            (rd.parse(f"65001:{number >> 16}") + b"\x20\x0a" + (number & 0xFFFFFF).to_bytes(3, "big"), bytes(label))
            for number in range(start, min(start + per_update, count))
        ]
        found.append((attributes, routes))
    return found


def timed(work: Callable[[], None]) -> float:
    gc.collect()
    gc.disable()
    start = time.process_time()
    work()
    spent = time.process_time() - start
    gc.enable()
    return spent


def new_core() -> RoutingCore:
    settings = CoreSettings(autonomous_system=AS, router_id=0x0A000001)
    return RoutingCore(settings, {"bgp": UpdateEncoder(), "xmpp": CountingEncoder()})


def reflect(count: int, per_update: int, sinks: int) -> None:
    """One eBGP peer's routes to iBGP sinks: announce, change all, withdraw all."""
    core = new_core()
    source = Source(SourceKind.BGP, "injector", ebgp=True, autonomous_system=65001, router_id=1)
    key = GroupKey(encoding="bgp", peer_type="ibgp", peer_as=AS, local_as=AS)
    members = [Sink(f"sink{number}") for number in range(sinks)]
    for member in members:
        core.join(TABLE, key, member)
    core.flush()
    first, second = batches(count, per_update, [bytes(8)]), batches(count, per_update, [bytes(8)], 1)

    def announce(what: list[Batch]) -> Callable[[], None]:
        def run() -> None:
            for number, (attributes, routes) in enumerate(what):
                core.update_many(TABLE, source, attributes, routes)
                if number % 200 == 199:
                    core.flush(2048)
            while core.flush():
                pass

        return run

    def withdraw() -> None:
        for number, (_, routes) in enumerate(second):
            core.withdraw_many(TABLE, source, [prefix for prefix, _ in routes])
            if number % 200 == 199:
                core.flush(2048)
        while core.flush():
            pass

    rates = [count / timed(work) for work in (announce(first), announce(second), withdraw)]
    assert not core.tables[TABLE].routes and not len(core.attributes)
    print(
        f"reflect    {per_update:3} per UPDATE {sinks:4} sinks: announce {rates[0]:9,.0f}/s"
        f"  change {rates[1]:9,.0f}/s  withdraw {rates[2]:9,.0f}/s"
    )


def replicate(count: int, instances: int, agents: int) -> None:
    """Routes imported by target into instances, each with agents."""
    core = new_core()
    source = Source(SourceKind.BGP, "injector", ebgp=True, autonomous_system=65001, router_id=1)
    targets = [ext_community.route_target(f"target:{AS}:{number + 1}") for number in range(instances)]
    for number, target in enumerate(targets):
        name = f"vrf{number}"
        both = frozenset((target,))
        core.add_instance(
            InstanceSettings(
                name=name, index=number + 1, virtual_network_index=number + 1, import_targets=both, export_targets=both
            )
        )
        for agent in range(agents):
            key = GroupKey(encoding="xmpp", peer_type="xmpp")
            core.join(f"{name}.inet.0", key, Sink(f"agent{agent}"), source=Source(SourceKind.XMPP, f"agent{agent}"))
    core.flush()
    what = batches(count, 10, targets)

    def announce() -> None:
        for number, (attributes, routes) in enumerate(what):
            core.update_many(TABLE, source, attributes, routes)
            if number % 200 == 199:
                core.flush(2048)
        while core.flush():
            pass

    spent = timed(announce)
    print(f"replicate  into 1 of {instances} instances, {agents:3} agents each: {count / spent:9,.0f}/s")


def memory(count: int, per_update: int) -> None:
    """Bytes per prefix of a reflecting node, its peers' adverts included."""
    core = new_core()
    source = Source(SourceKind.BGP, "injector", ebgp=True, autonomous_system=65001, router_id=1)
    core.join(TABLE, GroupKey(encoding="bgp", peer_type="ibgp", peer_as=AS, local_as=AS), Sink("sink"))
    gc.collect()
    tracemalloc.start()
    for attributes, routes in batches(count, per_update, [bytes(8)]):
        core.update_many(TABLE, source, attributes, routes)
    while core.flush():
        pass
    gc.collect()
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(
        f"memory     {per_update:3} per UPDATE: {used / count:6.0f} bytes per prefix, keys and attribute sets included"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prefixes", type=int, default=50000)
    parser.add_argument("--sinks", default="1,50")
    parser.add_argument("--instances", type=int, default=100)
    options = parser.parse_args()
    for sinks in map(int, options.sinks.split(",")):
        for per_update in (10, 1):
            reflect(options.prefixes, per_update, sinks)
    for agents in map(int, options.sinks.split(",")):
        replicate(options.prefixes, options.instances, agents)
    for per_update in (10, 1):
        memory(options.prefixes, per_update)


if __name__ == "__main__":
    main()
