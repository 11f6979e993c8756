"""A control node and its configuration: how long the first sync takes, and a change from the bus to an agent's route.

    python benchmarks/config.py [--networks 20000] [--stores file,cassandra] [--changes 200]

Each store first gets that many virtual networks, each with its routing instance and its route target (`config_rows.py`
says how). `file` is SQLite in a file, whose change log is the bus; `cassandra` is a real Cassandra with RabbitMQ as the
bus, started for the purpose (fetch it first: python -m contrail_emulator.config.testing.cassandra fetch). With both, a
whole control node runs in a process of its own. `memory` is SQLite in memory and a bus inside one process: writer and
control node share it, and its memory holds the store too.

Sync: seconds from the start of the control node to end of configuration, every instance provisioned, and CPU seconds;
growth of its resident memory by then, and its peak. It must know every object and every instance.

Change: one agent has published a route in one network, a second agent listens in another network. The writer adds the
first network's route target to the second instance, as an import, then takes it away, again and again after pauses
drawn at random (0 to 50 ms). Time runs from the call of the writer, before the rows are written and the message is on
the bus, to the bytes of the item (or of its retraction) at the second agent's socket; `writing` is the part until the
writer is done. A change that does not arrive, or arrives with another prefix, fails the run.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

sys.path.append(str(Path(__file__).parent))

from config_rows import CONTROL_NODE, Rows, instance
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater

from contrail_emulator.base import log
from contrail_emulator.base.garbage import tune
from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config import schema
from contrail_emulator.config.backends import Backends, ConfigDbSettings, cluster, embedded
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.ids import LocalIds
from contrail_emulator.config.store import Mutation, Store
from contrail_emulator.config.testing.cassandra import Cassandra
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.testing.servers import RabbitMq, free_port
from contrail_emulator.config.writer import Writer
from contrail_emulator.control.node import ControlNode, ControlSettings
from contrail_emulator.control.xmpp import stream
from contrail_emulator.control.xmpp.config_message import VrSubscribe
from contrail_emulator.control.xmpp.family import ItemFamily
from contrail_emulator.control.xmpp.items import UnicastEntry
from contrail_emulator.control.xmpp.names import BGP_PEER, CONTROL_NODE_JID
from contrail_emulator.control.xmpp.next_hop import NextHop
from contrail_emulator.control.xmpp.pubsub import Collection, Publish, Subscribe

STORES = ("memory", "file", "cassandra")
NETWORKS_A_WRITE = 64
WRITES_AT_ONCE = 16
LIMIT_SECONDS = 900.0
ARRIVAL_SECONDS = 20.0
SYNC_TARGET, CHANGE_TARGET = 30.0, 0.1
PREFIX = "10.1.2.3/32"
RECEIVER = f"{CONTROL_NODE_JID}/{BGP_PEER}"
TOLD = re.compile(rb'<(item|retract) id="([^"]*)"')


# --- The control node -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Synced:
    """What a control node says at end of configuration. Memory in MiB: grown since it had read nothing, peak."""

    seconds: float
    cpu: float
    grown: float
    peak: float
    present: int
    instances: int
    port: int


def _memory(field: str) -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{field}:"))


async def start_node(reactor: Any, backends: Backends) -> tuple[ControlNode, Synced]:
    """The control node, after its first sync."""
    found = schema.load()
    client = ConfigClient(reactor, backends.store, backends.bus, found, Graph(), f"contrail-control.{CONTROL_NODE}")
    settings = ControlSettings(
        name=CONTROL_NODE, bgp_port=free_port(), xmpp_port=free_port(), introspect_port=None
    )
    node = ControlNode(reactor, settings, client, found, rng=Random(1))
    gc.collect()
    before, began, cpu = _memory("VmRSS"), time.perf_counter(), time.process_time()
    await node.start()
    seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    gc.collect()
    assert node.plane is not None
    present = sum(1 for kind in found.types for other in client.graph.nodes(kind) if other.present)
    memory = _memory("VmRSS") - before, _memory("VmHWM")
    return node, Synced(seconds, cpu, *memory, present, len(node.plane.core.instances), settings.xmpp_port)


def run_node(where: dict[str, Any]) -> None:
    """The process of its own: says what it has synced in one line, works until its standard input ends."""
    log.configure("error")
    loop = Loop()
    backends = _backends(loop.reactor, where)
    tune()
    node, synced = loop.run(start_node(loop.reactor, backends), LIMIT_SECONDS)
    fields = {name: getattr(synced, name) for name in Synced.__slots__}
    sys.stdout.write(json.dumps(fields) + "\n")
    sys.stdout.flush()
    ended: list[str] = []
    loop.reactor.callInThread(lambda: ended.append(sys.stdin.readline()))
    loop.wait(lambda: bool(ended), LIMIT_SECONDS)
    loop.run(node.stop())
    loop.run(backends.close())
    loop.close()


def _backends(reactor: Any, where: dict[str, Any]) -> Backends:
    """As a reader has them: no ids."""
    if "path" in where:
        found = embedded(reactor, where["path"])
        return Backends(found.store, found.bus, None)
    cassandra, rabbitmq = (Endpoint("127.0.0.1", where[name]) for name in ("cassandra", "rabbitmq"))
    return cluster(reactor, ConfigDbSettings(cassandra=(cassandra,), rabbitmq=(rabbitmq,)), Random(1))


@contextmanager
def node_process(where: dict[str, Any]) -> Iterator[Synced]:
    """A control node in a process of its own."""
    command = [sys.executable, __file__, "--node", json.dumps(where)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit("the control node ended before it was in sync")
            yield Synced(**json.loads(line))
        finally:
            process.terminate()


# --- The agents -------------------------------------------------------------------------------------------------------


class Agent(Protocol):
    """One agent's connection, subscribed to one instance. `heard` fires with ("item" or "retract", id of the route)."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.instance = ":".join(instance(number))
        self.node = ItemFamily.INET.node(self.instance)
        self.up: Deferred[None] = Deferred()
        self.heard: Deferred[tuple[str, str]] = Deferred()
        self._tail = b""

    def send(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(data)

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name
        self.send(stream.open_bytes(self.name, CONTROL_NODE_JID))

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's name
        if not self.up.called:
            router = VrSubscribe(f"default-global-system-config:{self.name}").to_bytes(self.name)
            subscription = Subscribe(self.instance, 1).to_bytes(self.name, RECEIVER, "s1")
            self.send(stream.KEEPALIVE + router + subscription)
            self.up.callback(None)
            return
        data = self._tail + data
        at = 0
        for found in TOLD.finditer(data):
            at = found.end()
            heard, self.heard = self.heard, Deferred()
            heard.callback((found[1].decode(), found[2].decode()))
        self._tail = data[max(at, len(data) - 200) :]

    def publish(self) -> None:
        """The one route."""
        hop = NextHop("10.255.2.1", 16, ("gre", "udp"), self.instance.rpartition(":")[0])
        entry = UnicastEntry(ItemFamily.INET, PREFIX, (hop,), virtual_network=self.instance.rpartition(":")[0])
        self.send(Publish.write(self.node, [entry.to_xml()], self.name, RECEIVER, "pubsub1"))
        self.send(Collection(self.instance, self.node, True).to_bytes(self.name, RECEIVER, "collection1"))


@dataclass(frozen=True, slots=True)
class Change:
    """Seconds from the call of the writer: until it was done, until the agent knew."""

    written: float
    arrived: float


async def changes(reactor: Any, writer: Writer, port: int, count: int) -> list[Change]:
    """Import and import no longer, `count` changes in all."""
    agents = [Agent(f"compute-{number}", number) for number in range(2)]
    connect: Any = connectProtocol
    for number, agent in enumerate(agents):
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", port, bindAddress=(f"127.1.0.{number + 1}", 0))
        await connect(endpoint, agent)
        await agent.up
    publisher, listener = agents
    own = publisher.heard
    publisher.publish()
    heard = await own  # the publisher hears of its own route (reference/xmpp.md)
    if heard != ("item", PREFIX):
        raise SystemExit(f"the publisher heard of {heard}")
    uuids = [await writer.find("routing-instance", instance(number)) for number in range(2)]
    assert uuids[0] is not None and uuids[1] is not None
    target = (await writer.read("routing-instance", uuids[0]))["route_target_refs"][0]["uuid"]
    rng = Random(1)
    found: list[Change] = []
    for number in range(count):
        await deferLater(reactor, rng.uniform(0.0, 0.05))
        for agent in agents:
            agent.send(stream.KEEPALIVE)
        operation, expected = ("DELETE", "retract") if number % 2 else ("ADD", "item")
        arriving: Deferred[tuple[str, str]] = listener.heard
        arrivals: list[float] = []
        arriving.addCallback(_noting(arrivals))
        arriving.addTimeout(ARRIVAL_SECONDS, reactor)
        began = time.perf_counter()
        attribute = {"import_export": "import"}
        await writer.ref_update("routing-instance", uuids[1], "route-target", target, operation, attribute)
        written = time.perf_counter()
        what = await arriving
        if what[0] != expected or PREFIX not in what[1]:
            raise SystemExit(f"expected {expected} {PREFIX}, the agent heard {what}")
        found.append(Change(written - began, arrivals[0] - began))
    for agent in agents:
        transport: Any = agent.transport
        transport.loseConnection()
    return found


def _noting(arrivals: list[float]) -> Any:
    def note(what: tuple[str, str]) -> tuple[str, str]:
        arrivals.append(time.perf_counter())
        return what

    return note


# --- The runs ---------------------------------------------------------------------------------------------------------


async def fill(store: Store, rows: Rows) -> None:
    """All rows, many networks a write, many writes at once."""
    some: list[Mutation] = []
    writes: list[Deferred[None]] = []

    async def flush() -> None:
        await gatherResults(writes)
        writes.clear()

    for number, mutations in enumerate(rows):
        some += mutations
        if number % NETWORKS_A_WRITE == 0:
            writes.append(Deferred.fromCoroutine(store.write(some)))
            some = []
        if len(writes) == WRITES_AT_ONCE:
            await flush()
    writes.append(Deferred.fromCoroutine(store.write(some)))
    await flush()


def new_writer(store: Store, backends: Backends) -> Writer:
    assert backends.ids is not None
    return Writer(store, backends.bus, backends.ids, schema.load(), uuid=uuid.uuid4, clock=time.time)


def run(store: str, rows: Rows, count: int) -> tuple[Synced, list[Change]]:
    """One store: fill, sync, changes."""
    loop = Loop()
    reactor = loop.reactor
    with ExitStack() as stack:
        stack.callback(loop.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        where: dict[str, Any] = {}
        if store == "cassandra":
            servers = Cassandra(folder / "cassandra"), RabbitMq(folder / "rabbitmq")
            for server in servers:
                server.start()
                stack.callback(server.stop)
            where = {"cassandra": servers[0].port, "rabbitmq": servers[1].port}
            found = _backends(reactor, where)
            backends = Backends(found.store, found.bus, LocalIds(reactor))
        else:
            where = {} if store == "memory" else {"path": str(folder / "config.db")}
            backends = embedded(reactor, where.get("path"))
        loop.run(backends.open())
        stack.callback(lambda: loop.run(backends.close()))
        loop.run(fill(backends.store, rows), LIMIT_SECONDS)
        writer = new_writer(backends.store, backends)
        if store == "memory":
            node, synced = loop.run(start_node(reactor, backends), LIMIT_SECONDS)
            stack.callback(lambda: loop.run(node.stop()))
        else:
            synced = stack.enter_context(node_process(where))
        return synced, loop.run(changes(reactor, writer, synced.port, count), LIMIT_SECONDS)


def share(values: list[float], part: float) -> float:
    """The value that `part` of them do not exceed."""
    return sorted(values)[min(int(len(values) * part), len(values) - 1)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=20_000)
    parser.add_argument("--stores", default="file", help=f"of {', '.join(STORES)}")
    parser.add_argument("--changes", type=int, default=200)
    parser.add_argument("--node", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.node:
        run_node(json.loads(options.node))
        return
    stores = options.stores.split(",")
    if unknown := set(stores) - set(STORES):
        parser.error(f"no store {', '.join(sorted(unknown))}")
    if options.networks < 2 or options.changes < 1:
        parser.error("at least two networks and one change")
    log.configure("error")
    rows = Rows(options.networks)
    print(f"{options.networks} networks, {rows.objects} objects; {options.changes} changes")
    sync, change = f"{'sync, s':>9}{'CPU, s':>8}{'MiB':>7}{'peak':>7}", f"{'change, ms: p50':>19}{'p99':>8}{'most':>8}"
    print(f"{'':10}{sync}{change}{'writing p50':>13}")
    missed = wrong = False
    for store in stores:
        synced, measured = run(store, rows, options.changes)
        arrived = [change.arrived for change in measured]
        times = [share(arrived, 0.5), share(arrived, 0.99), max(arrived), share([c.written for c in measured], 0.5)]
        p50, p99, most, writing = (f"{seconds * 1000:.1f}" for seconds in times)
        sync = f"{synced.seconds:9.1f}{synced.cpu:8.1f}{synced.grown:7.0f}{synced.peak:7.0f}"
        print(f"{store:10}{sync}{p50:>19}{p99:>8}{most:>8}{writing:>13}")
        if synced.present != rows.objects or synced.instances < options.networks:
            print(f"{store}: {synced.present} of {rows.objects} objects, {synced.instances} instances")
            wrong = True
        missed = missed or synced.seconds > SYNC_TARGET or share(arrived, 0.99) > CHANGE_TARGET
    print(f"target: {SYNC_TARGET:.0f} s, {CHANGE_TARGET * 1000:.0f} ms: {'missed' if missed else 'met'}")
    if wrong:
        raise SystemExit("the control node has not what the store has")


if __name__ == "__main__":
    main()
