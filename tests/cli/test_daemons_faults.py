"""Issue 7's faults and bad data, each done to a running system of processes over real servers.

After each of them every control node's graph equals what a fresh reader finds in the store, and no BGP or XMPP session
has gone down (CONTRAIL_EMULATOR_BACKENDS=1).
"""

from __future__ import annotations

import json
import random
import signal
import time
import uuid
from collections.abc import Iterator
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from cli.conftest import TWO_NODES, reader_text, schema_text
from cli.processes import SECONDS, System, wait

from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config.backends import ConfigDbSettings, cluster
from contrail_emulator.config.bus import Message
from contrail_emulator.config.bus.rabbitmq import RabbitMqBus
from contrail_emulator.config.client import ConfigClient
from contrail_emulator.config.graph import Graph
from contrail_emulator.config.layout import NAME_TABLE, UUID_TABLE
from contrail_emulator.config.schema import load as load_schema
from contrail_emulator.config.store import Delete, Mutation, Put, StoreError
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.testing.relay import Relay
from contrail_emulator.config.testing.servers import Server
from contrail_emulator.config.writer import Conflict, Writer
from contrail_emulator.control.introspect import config as config_page
from contrail_emulator.lab.model import LabFile

pytestmark = pytest.mark.timeout(900)

PROJECT = ["default-domain", "processes"]
HOST = "127.0.0.1"
Rows = dict[str, Any]


class Hand:
    """Our own hand in the configuration: a writer beside the config nodes, and a fresh reader whenever asked."""

    def __init__(self, servers: dict[str, Server]) -> None:
        lists = {name: (Endpoint(HOST, server.port),) for name, server in servers.items()}
        self.loop = Loop()
        self._settings = ConfigDbSettings(lists["cassandra"], lists["rabbitmq"], lists["zookeeper"])
        self._reader = ConfigDbSettings(lists["cassandra"], lists["rabbitmq"])
        self._schema = load_schema()
        self.backends = cluster(self.loop.reactor, self._settings, random.Random(1))
        self.loop.run(self.backends.open())
        assert self.backends.ids is not None and isinstance(self.backends.bus, RabbitMqBus)
        self.bus: RabbitMqBus = self.backends.bus
        self.writer = Writer(
            self.backends.store, self.bus, self.backends.ids, self._schema, uuid=uuid.uuid4, clock=time.time
        )

    def network(self, name: str, told: bool = True) -> str:
        """`told`: the broker has its messages; nothing of ours is sent while nobody drives the loop."""
        made = self.loop.run(self.writer.create("virtual-network", {"fq_name": [*PROJECT, name]}))
        if told:
            self.told()
        return made

    def write(self, *mutations: Mutation) -> None:
        """Past the writer: no message, no check."""
        self.loop.run(self.backends.store.write(mutations))

    def tell(self, oper: str, type_name: str, key: str, *name: str) -> None:
        self.loop.run(self.bus.publish(Message(oper, type_name, key, name)))
        self.told()

    def told(self) -> None:
        """Until the broker has every message."""
        self.loop.wait(lambda: not self.bus.pending)

    def stored(self) -> Rows:
        """What a control node that starts now would make of the store."""
        backends = cluster(self.loop.reactor, self._reader, random.Random(2))
        queue = f"reader.{uuid.uuid4().hex}"
        client = ConfigClient(self.loop.reactor, backends.store, backends.bus, self._schema, Graph(), queue)
        client.start()
        self.loop.wait(lambda: client.synced)
        found = canonical(config_page(SimpleNamespace(client=client), {}))  # type: ignore[arg-type]
        client.stop()
        self.loop.run(backends.close())
        return found

    def close(self) -> None:
        self.loop.run(self.backends.close())
        self.loop.close()


def canonical(rows: list[dict[str, Any]]) -> Rows:
    """By type and name; links in an order, without those that agents say and no store has."""
    found = {}
    for row in json.loads(json.dumps(rows)):
        row["links"] = [link for link in row["links"] if link["via"] != "virtual-router-virtual-machine"]
        row["links"].sort(key=lambda link: (link["via"], link["to"]))
        found[f"{row['type']} {row['name']}"] = row
    return found


class Running:
    """The system, our hand in it, and the sessions as they were when everything was up."""

    def __init__(self, system: System, hand: Hand, relays: list[Relay]) -> None:
        self.system, self.hand, self.relays = system, hand, relays
        self.nodes = [node.name for node in system.file.control_nodes]
        wait("sessions and routes", system.up)
        self.sessions = system.sessions()
        assert len(self.sessions) == 6 and {state for state, _ in self.sessions.values()} == {"Established"}

    def knows(self, name: str) -> bool:
        """Both control nodes have the network's instance with the target that the transformer gave it."""
        instance = ":".join([*PROJECT, name, name])
        return all(
            any(row["name"] == instance and row["import_target"] for row in self.system.page(node, "instances"))
            for node in self.nodes
        )

    def differences(self) -> dict[str, list[str]]:
        """By control node: objects that its graph has otherwise than the store."""
        stored = self.hand.stored()
        found = {}
        for node in self.nodes:
            graph = canonical(self.system.page(node, "config"))
            names = [name for name in stored.keys() | graph.keys() if stored.get(name) != graph.get(name)]
            if names:
                found[node] = [f"{name}: {stored.get(name)} <> {graph.get(name)}" for name in sorted(names)[:5]]
        return found

    def unharmed(self) -> None:
        """What holds after every fault."""
        deadline = time.monotonic() + SECONDS
        while found := self.differences():
            assert time.monotonic() < deadline, f"graphs that do not equal the store: {found}"
        assert self.system.sessions() == self.sessions, "no session went down"
        for name, process in self.system.processes.items():
            assert process.process.poll() is None, f"{name} works"
            assert "Traceback" not in process.log.read_text() + process.output(), name


@pytest.fixture(scope="module")
def running(servers: dict[str, Server], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Everything reaches Cassandra by way of a relay, which may go when another is there."""
    relay = Relay(servers["cassandra"].port)
    by_relay: dict[str, Any] = {**servers, "cassandra": relay}
    folder = tmp_path_factory.mktemp("faults")
    system = System(folder, LabFile.load(TWO_NODES), (), schema_text(by_relay), reader_text(by_relay))
    hand = None
    relays = [relay]
    try:
        system.start()
        hand = Hand(servers)
        yield Running(system, hand, relays)
    finally:
        try:
            statuses = system.close()
        finally:
            if hand is not None:
                hand.close()
            for each in relays:
                each.close()
    assert set(statuses.values()) == {0}


def test_the_broker_is_killed_and_restarted_while_objects_change(
    running: Running, servers: dict[str, Server]
) -> None:
    hand, system = running.hand, running.system
    doomed = hand.network("doomed")
    wait("a network", partial(running.knows, "doomed"))
    servers["rabbitmq"].kill()
    for name in (*running.nodes, "config"):
        wait("the loss was noticed", partial(system.processes[name].said, "bus: lost"))
    hand.network("while-away", told=False)
    hand.loop.run(hand.writer.delete("virtual-network", doomed))
    servers["rabbitmq"].start()
    hand.told()
    wait("what was made meanwhile", partial(running.knows, "while-away"))
    wait("what was deleted meanwhile", lambda: "doomed" not in str(system.page("control-1", "instances")))
    running.unharmed()


def test_the_database_is_killed_and_restarted(running: Running, servers: dict[str, Server]) -> None:
    hand = running.hand
    before = hand.network("before-the-kill")
    wait("a network", partial(running.knows, "before-the-kill"))
    servers["cassandra"].kill()
    hand.tell("UPDATE", "virtual_network", before, *PROJECT, "before-the-kill")
    for node in running.nodes:
        wait("reading failed", partial(running.system.processes[node].said, "trying again"))
    assert running.knows("before-the-kill"), "what is not known to be gone stays"
    servers["cassandra"].start()
    made = partial(written, hand, "after-the-kill")
    wait("it can be written again", made)
    wait("a change after the restart", partial(running.knows, "after-the-kill"))
    running.unharmed()


def written(hand: Hand, name: str) -> bool:
    """Creates a network, or finds that an earlier try was done after all; False while the database is away."""
    try:
        hand.network(name)
    except StoreError:
        return False
    except Conflict:
        return True
    return True


def test_messages_are_lost_with_the_queue_that_held_them(running: Running) -> None:
    hand = running.hand

    async def delete_queue() -> None:
        channel = await hand.bus._protocol.channel()
        await channel.queue_delete(queue="contrail-control.control-1")

    hand.loop.run(delete_queue())
    hand.network("unannounced")
    hand.told()
    wait("control-1 reads it all the same", partial(running.knows, "unannounced"))
    running.unharmed()


def test_messages_are_repeated_and_reordered(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = running.hand
    held: list[Message] = []

    async def hold(message: Message) -> None:
        held.append(message)

    with monkeypatch.context() as patched:
        patched.setattr(hand.bus, "publish", hold)
        gone = hand.network("soon-gone")
        for number in range(5):
            hand.network(f"shuffled-{number}")
        hand.loop.run(hand.writer.delete("virtual-network", gone))
    messages = held * 3
    random.Random(7).shuffle(messages)
    for message in messages:
        hand.loop.run(hand.bus.publish(message))
    hand.told()
    for number in range(5):
        wait("each", partial(running.knows, f"shuffled-{number}"))
    running.unharmed()
    assert "soon-gone" not in str(running.system.page("control-1", "instances"))


def test_a_row_is_deleted_under_its_readers(running: Running) -> None:
    hand = running.hand
    machine = hand.loop.run(hand.writer.create("virtual-machine", {"fq_name": ["vanishing"]}))
    hand.told()
    wait("it is there", partial(everywhere, running, "virtual-machine", "vanishing", 1))
    hand.write(Delete(UUID_TABLE, machine))
    hand.tell("UPDATE", "virtual_machine", machine, "vanishing")
    wait("it is gone", partial(everywhere, running, "virtual-machine", "vanishing", 0))
    running.unharmed()


def everywhere(running: Running, type_name: str, name: str, count: int) -> bool:
    query = f"config?type={type_name}&name={name}"
    return all(len(running.system.page(node, query)) == count for node in running.nodes)


def test_two_transformers_race_and_the_active_one_is_killed(running: Running) -> None:
    system, hand = running.system, running.hand
    system.run("second", "config-node", system.schema_conf).ready()
    for number in range(5):
        hand.network(f"raced-{number}")
    for number in range(5):
        wait("a target, once", partial(running.knows, f"raced-{number}"))
    running.unharmed()
    active = system.processes.pop("config")
    active.process.send_signal(signal.SIGKILL)
    active.process.wait()
    hand.network("orphan")
    wait("the second one took over", partial(running.knows, "orphan"))
    system.run("config", "config-node", system.schema_conf).ready()
    targets = [
        target
        for row in system.page("control-1", "instances")
        if row["name"].startswith(":".join(PROJECT))
        for target in row["import_target"]
        if int(target.rpartition(":")[2]) >= 8_000_000
    ]
    assert len(targets) == len(set(targets)) > 5, "no number was given twice"
    running.unharmed()


def test_sighup_moves_everybody_to_another_cassandra(running: Running, servers: dict[str, Server]) -> None:
    system, hand = running.system, running.hand
    (old,) = running.relays
    new = Relay(servers["cassandra"].port)
    running.relays.append(new)
    moved: dict[str, Any] = {**servers, "cassandra": new}
    for node in running.nodes:
        system.control_conf(node, reader_text(moved))
    schema = system.schema_conf.read_text()
    system.schema_conf.write_text(schema.replace(str(old.port), str(new.port)))
    movers = [name for name in system.processes if name in (*running.nodes, "config", "second")]
    for name in movers:
        system.processes[name].hangup()
    for name in movers:
        wait("moved", partial(system.processes[name].said, "configuration: moved to"))
    old.close()
    hand.network("moved")
    wait("a change, read over the new way", partial(running.knows, "moved"))
    running.unharmed()
    assert new.connections > 0


def test_bad_data_is_reported_once_and_everything_else_works(running: Running) -> None:
    hand = running.hand
    machine = [("type", '"virtual_machine"')]
    bad: dict[str, list[tuple[str, str]]] = {
        "bad-json": [*machine, ("fq_name", '["bad-json"]'), ("prop:display_name", "{")],
        "bad-type": [("type", '"spaceship"'), ("fq_name", '["bad-type"]')],
        "bad-property": [*machine, ("fq_name", '["bad-property"]'), ("prop:display_name", "[1]")],
        "bad-reference": [*machine, ("fq_name", '["bad-reference"]'), ("ref:service_instance:nobody", "null")],
        "bad-twin": [("type", '"virtual_network"'), ("fq_name", json.dumps([*PROJECT, "blue"]))],
    }
    for key, columns in bad.items():
        kind = "virtual_network" if key == "bad-twin" else "virtual_machine"
        name = [*PROJECT, "blue"] if key == "bad-twin" else [key]
        hand.write(*(Put(UUID_TABLE, key, column, value) for column, value in columns))
        hand.write(Put(NAME_TABLE, kind, f"{':'.join(name)}:{key}", "null"))
        for _ in range(3):
            hand.tell("UPDATE", kind, key, *name)
    hand.network("beside-bad-data")
    wait("everything else works", partial(running.knows, "beside-bad-data"))
    expected = {
        "bad-json": "prop:display_name: expected JSON",
        "bad-type": "type: expected a type of the schema",
        "bad-property": "display_name: expected a text",
        "bad-twin": "fq_name: expected a name of its own",
    }
    for node in running.nodes:
        log = running.system.processes[node].log
        for key, said in expected.items():
            wait(f"{key} is reported", lambda log=log, said=said: said in log.read_text())  # type: ignore[misc]
            lines = [line for line in log.read_text().splitlines() if key in line and said in line]
            assert len(lines) == 1, (key, lines)
    for key in ("bad-json", "bad-property", "bad-reference"):
        assert everywhere(running, "virtual-machine", key, 1)
    assert everywhere(running, "virtual-machine", "bad-type", 0)
    running.unharmed()
