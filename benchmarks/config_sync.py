"""How long a control node takes to read a configuration, and to hear of a change.

    python benchmarks/config_sync.py [--networks 20000] [--store memory|file|cassandra]

Makes that many virtual networks (each with its routing instance) through the writer into an embedded store; for
Cassandra the rows are then copied into a real one, started for the purpose (fetch it first:
python -m contrail_emulator.config.testing.cassandra fetch). Printed: seconds to write, seconds and resident memory to
sync all into a graph, and milliseconds from the call of the writer to the node in the graph.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import uuid
from pathlib import Path

from twisted.internet.defer import Deferred, gatherResults

from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config import schema
from contrail_emulator.config.backends import Backends, embedded
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.graph import Changes, Graph
from contrail_emulator.config.store import Mutation, Put
from contrail_emulator.config.store.cassandra import CassandraStore
from contrail_emulator.config.testing.cassandra import Cassandra
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.writer import Writer

PROJECT = ["default-domain", "benchmark"]
AT_ONCE = 64
LIMIT_SECONDS = 1800.0


async def fill(writer: Writer, networks: int) -> None:
    """The objects."""
    await writer.initialise()
    await writer.create("project", {"fq_name": PROJECT})
    for number in range(networks):
        await writer.create("virtual-network", {"fq_name": [*PROJECT, f"network-{number}"]})


async def copy(source: Backends, target: CassandraStore, writer: Writer) -> None:
    """All rows of one store into another, row by row."""
    batches: list[list[Mutation]] = []
    for found in writer.schema.types.values():
        for name, key in await writer.objects(found.name):
            column = f"{':'.join(name)}:{key}"
            index: list[Mutation] = [Put("obj_fq_name_table", found.object_type, column, "null")]
            row = (await source.store.rows("obj_uuid_table", [key]))[key]
            batches += [index, [Put("obj_uuid_table", key, part, cell.value) for part, cell in row.items()]]
    for first in range(0, len(batches), AT_ONCE):
        some = batches[first : first + AT_ONCE]
        await gatherResults([Deferred.fromCoroutine(target.write(batch)) for batch in some])


def measure(loop: Loop, backends: Backends, writer: Writer | None) -> None:
    """Sync a fresh graph; then, with a writer on the same store, one change."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    client = ConfigClient(loop.reactor, backends.store, backends.bus, schema.load(), Graph())
    began = time.perf_counter()
    client.start()
    loop.wait(lambda: client.synced, LIMIT_SECONDS)
    taken = time.perf_counter() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"sync     {taken:8.2f} s   {len(client.graph)} nodes, peak memory grew by {grown:.0f} MB")
    if writer is not None:
        seen: list[float] = []

        def told(changes: Changes) -> None:
            if any(node.name == "late" for node in changes.updated):
                seen.append(time.perf_counter())

        client.graph.subscribe(told)
        began = time.perf_counter()
        loop.run(writer.create("virtual-machine", {"fq_name": ["late"]}))
        loop.wait(lambda: bool(seen))
        print(f"change   {(seen[0] - began) * 1000:8.2f} ms")
    client.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=20_000)
    parser.add_argument("--store", choices=("memory", "file", "cassandra"), default="memory")
    options = parser.parse_args()
    loop = Loop()
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "config.db") if options.store == "file" else None
        backends = embedded(loop.reactor, path)
        loop.run(backends.open())
        assert backends.ids is not None
        writer = Writer(backends.store, backends.bus, backends.ids, schema.load(), uuid=uuid.uuid4, clock=time.time)
        began = time.perf_counter()
        loop.run(fill(writer, options.networks), LIMIT_SECONDS)
        print(f"write    {time.perf_counter() - began:8.2f} s   {options.networks} networks")
        if options.store == "cassandra":
            server = Cassandra(Path(folder) / "cassandra")
            server.start()
            try:
                store = CassandraStore(loop.reactor, [Endpoint("127.0.0.1", server.port)], clock=time.time)
                loop.run(store.open())
                loop.run(copy(backends, store, writer), LIMIT_SECONDS)
                measure(loop, Backends(store, backends.bus, None), None)
                loop.run(store.close())
            finally:
                server.stop()
        else:
            measure(loop, backends, writer)
        loop.run(backends.close())
    loop.close()


if __name__ == "__main__":
    main()
