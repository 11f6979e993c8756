"""Real back ends for the shared suites: started once for a test run, skipped with the reason when absent.

They run when CONTRAIL_EMULATOR_BACKENDS is 1.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from contrail_emulator.config.testing.cassandra import Cassandra
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.testing.servers import Absent, RabbitMq, Server, ZooKeeper


def _running(kind: type[Cassandra | RabbitMq | ZooKeeper], folder: Path) -> Iterator[Server]:
    if os.environ.get("CONTRAIL_EMULATOR_BACKENDS") != "1":
        pytest.skip("real servers take memory and minutes: set CONTRAIL_EMULATOR_BACKENDS=1")
    try:
        server = kind(folder)
        server.start()
    except Absent as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cassandra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _running(Cassandra, tmp_path_factory.mktemp("cassandra"))


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _running(RabbitMq, tmp_path_factory.mktemp("rabbitmq"))


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _running(ZooKeeper, tmp_path_factory.mktemp("zookeeper"))


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()
