"""Real back ends for the shared suites: started once for a test run, skipped with the reason when absent.

They run when CONTRAIL_EMULATOR_BACKENDS is 1. A server that is there and does not start is an error, not a skip.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from contrail_emulator.config.testing import Site
from contrail_emulator.config.testing.cassandra import Cassandra
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.testing.servers import Absent, RabbitMq, Server, ZooKeeper
from contrail_emulator.config.transformer import Transformer
from contrail_emulator.config.writer import WriterError

REAL = frozenset({"cassandra", "rabbitmq", "zookeeper", "processes", "own", "cluster"})
"""Fixtures, and parameters, of tests that start servers, kill them and wait: on a busy machine that takes minutes."""
SECONDS = 600


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.parent != here:
            continue
        parameters = getattr(item, "callspec", None)
        values = parameters.params.values() if parameters is not None else ()
        if REAL & {*getattr(item, "fixturenames", ()), *(value for value in values if isinstance(value, str))}:
            item.add_marker(pytest.mark.timeout(SECONDS))
            item.add_marker(pytest.mark.xdist_group("real-servers"))


def _running(kind: type[Cassandra | RabbitMq | ZooKeeper], factory: pytest.TempPathFactory) -> Iterator[Server]:
    if os.environ.get("CONTRAIL_EMULATOR_BACKENDS") != "1":
        pytest.skip("real servers take memory and minutes: set CONTRAIL_EMULATOR_BACKENDS=1")
    name = kind.__name__.lower()
    if "PYTEST_XDIST_WORKER" in os.environ:
        first = factory.getbasetemp().parent / f"{name}.started"
        assert not first.exists(), f"a second worker starts {name}: a test that wants it is not of the group, see REAL"
        first.touch()
    try:
        server = kind(factory.mktemp(name))
        server.start()
    except Absent as error:
        pytest.skip(str(error))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def cassandra(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _running(Cassandra, tmp_path_factory)


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _running(RabbitMq, tmp_path_factory)


@pytest.fixture(scope="session")
def zookeeper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from _running(ZooKeeper, tmp_path_factory)


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def site() -> Site:
    return Site()


def refused(site: Site, kind: type[WriterError], type_name: str, obj: dict[str, Any]) -> str:
    with pytest.raises(kind) as caught:
        site.run(site.writer.create(type_name, obj))
    return str(caught.value)


def change(site: Site, type_name: str, uuid: str, **fields: Any) -> None:
    site.run(site.writer.update(type_name, uuid, fields))
    site.settle()


def idle(site: Site, transformer: Transformer) -> bool:
    """A second run writes nothing."""
    before = (transformer.counters["writes"], site.bus.published)
    transformer.evaluate_everything()
    site.settle()
    return (transformer.counters["writes"], site.bus.published) == before
