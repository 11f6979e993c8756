"""Systems of processes, ended after the test; real servers as in tests/config."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cli.processes import System

from contrail_emulator.config.testing.cassandra import Cassandra
from contrail_emulator.config.testing.servers import Absent, RabbitMq, Server, ZooKeeper
from contrail_emulator.lab.model import LabFile

TWO_NODES = Path(__file__).with_name("two_nodes.yaml")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real servers take minutes to start on a busy machine: once for each module, on one worker."""
    for item in items:
        if item.path.parent == TWO_NODES.parent and "servers" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(900))
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Server]]:
    """Cassandra, RabbitMQ and ZooKeeper of this module's own: tests kill them."""
    if os.environ.get("CONTRAIL_EMULATOR_BACKENDS") != "1":
        pytest.skip("real servers take memory and minutes: set CONTRAIL_EMULATOR_BACKENDS=1")
    started: dict[str, Server] = {}
    try:
        for kind in (Cassandra, RabbitMq, ZooKeeper):
            name = kind.__name__.lower()
            started[name] = kind(tmp_path_factory.mktemp(name))
            started[name].start()
    except Absent as error:
        for server in started.values():
            server.stop()
        pytest.skip(str(error))
    yield started
    for server in started.values():
        server.stop()


@pytest.fixture
def system(tmp_path: Path) -> Iterator[Callable[..., System]]:
    """Makes systems: over one SQLite file, or over `servers` (port numbers by name)."""
    made: list[System] = []

    def make(servers: dict[str, Server] | None = None, **changes: Any) -> System:
        file = LabFile.load(TWO_NODES).model_copy(update=changes)
        if servers is None:
            one = System(tmp_path, file, ("--database", str(tmp_path / "config.db")), "", "")
        else:
            one = System(tmp_path, file, (), schema_text(servers), reader_text(servers))
        made.append(one)
        return one

    yield make
    for one in made:
        one.close()


def schema_text(servers: dict[str, Server]) -> str:
    """[DEFAULTS] of contrail-schema.conf."""
    ports = {name: server.port for name, server in servers.items()}
    return (
        f"cassandra_server_list = 127.0.0.1:{ports['cassandra']}\nrabbit_server = 127.0.0.1\n"
        f"rabbit_port = {ports['rabbitmq']}\nzk_server_ip = 127.0.0.1:{ports['zookeeper']}\n"
    )


def reader_text(servers: dict[str, Server]) -> str:
    """[CONFIGDB] of contrail-control.conf."""
    return (
        f"[CONFIGDB]\nconfig_db_server_list = 127.0.0.1:{servers['cassandra'].port}\n"
        f"rabbitmq_server_list = 127.0.0.1:{servers['rabbitmq'].port}\n"
    )
