"""TLS towards RabbitMQ, Cassandra and ZooKeeper: certificates from files, against the real servers."""

from __future__ import annotations

import gc
import logging
import random
import ssl
import time
import uuid
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred

from contrail_emulator.base.conf import ConfError, ConfFile
from contrail_emulator.base.servers import Endpoint
from contrail_emulator.config.backends import ConfigDbSettings, cluster
from contrail_emulator.config.bus import Message
from contrail_emulator.config.bus.rabbitmq import RabbitMqBus
from contrail_emulator.config.ids import IdsError
from contrail_emulator.config.ids.zookeeper import ZooKeeperIds
from contrail_emulator.config.layout import UUID_TABLE
from contrail_emulator.config.store import Put, StoreError
from contrail_emulator.config.store.cassandra import CassandraStore
from contrail_emulator.config.testing.cassandra import Cassandra
from contrail_emulator.config.testing.certificates import Authority
from contrail_emulator.config.testing.loop import Loop
from contrail_emulator.config.testing.servers import RabbitMq, Server, ZooKeeper
from contrail_emulator.config.tls import TlsError, TlsFiles, TwistedTls

HOST = "127.0.0.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pem")


@pytest.fixture(scope="module")
def ours(folder: Path) -> Authority:
    return Authority(folder / "ours")


@pytest.fixture(scope="module")
def client(ours: Authority) -> TlsFiles:
    return ours.issue("client")


@pytest.fixture(scope="module")
def stranger(folder: Path) -> TlsFiles:
    """A certificate of an authority that nobody here trusts, and trusting only that one."""
    return Authority(folder / "theirs", "other").issue("stranger")


@contextmanager
def leaky_driver() -> Iterator[None]:
    """kazoo and the Cassandra driver forget to close the socket of a handshake that fails.

    What they log has the exception and so the socket, which pytest would keep: nothing is logged meanwhile.
    """
    logging.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            yield
            gc.collect()
            for left in [each for each in gc.get_objects() if issubclass(type(each), ssl.SSLSocket)]:
                left.close()  # a thread that ends holds it still
    finally:
        logging.disable(logging.NOTSET)


# -- files and options


def test_files_that_cannot_be_used_are_named(folder: Path, client: TlsFiles, stranger: TlsFiles) -> None:
    nonsense = folder / "nonsense.pem"
    nonsense.write_text("this is no certificate")
    for files, named in (
        (TlsFiles(ca=str(folder / "absent.pem")), "absent.pem"),
        (TlsFiles(ca=str(nonsense)), "nonsense.pem"),
        (TlsFiles(client.ca, str(nonsense), client.key), "nonsense.pem"),
        (TlsFiles(client.ca, client.certificate, stranger.key), stranger.key),
    ):
        for make in (files.context, lambda files=files: TwistedTls(files)):
            with pytest.raises(TlsError, match="cannot use the TLS files") as caught:
                make()
            assert named in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("section", ["CONFIGDB", "IFMAP"])
def test_options_of_a_conf_file(section: str, client: TlsFiles) -> None:
    text = f"[{section}]\nconfig_db_use_ssl = true\nconfig_db_ca_certs = {client.ca}\nrabbitmq_use_ssl = true\n"
    text += f"rabbitmq_ssl_ca_certs = {client.ca}\nrabbitmq_ssl_certfile = {client.certificate}\n"
    text += f"rabbitmq_ssl_keyfile = {client.key}\nrabbitmq_ssl_version = tlsv1_2\n"
    settings = ConfigDbSettings.from_conf(ConfFile.parse(text), "192.0.2.1")
    assert settings.cassandra_tls == TlsFiles(client.ca) and settings.rabbitmq_tls == client
    assert settings.unverified == ()


def test_options_that_make_no_sense(folder: Path) -> None:
    for text, said in (
        ("rabbitmq_use_ssl = true\nrabbitmq_ssl_ca_certs = /nowhere/ca.pem\n", "CONFIGDB.rabbitmq_use_ssl: cannot use"),
        ("config_db_use_ssl = true\nconfig_db_ca_certs = /nowhere/ca.pem\n", "CONFIGDB.config_db_use_ssl: cannot use"),
        ("rabbitmq_ssl_version = sslv2\n", "CONFIGDB.rabbitmq_ssl_version: expected one of"),
    ):
        with pytest.raises(ConfError) as caught:
            ConfigDbSettings.from_conf(ConfFile.parse(f"[CONFIGDB]\n{text}"), "192.0.2.1")
        assert said in str(caught.value) and "\n" not in str(caught.value)
    plain = ConfigDbSettings.from_conf(ConfFile.parse("[CONFIGDB]\nrabbitmq_ssl_ca_certs = /nowhere\n"), "192.0.2.1")
    assert plain.rabbitmq_tls is None
    open_to_all = ConfFile.parse("[CONFIGDB]\nrabbitmq_use_ssl = true\nconfig_db_use_ssl = true\n")
    assert ConfigDbSettings.from_conf(open_to_all, "192.0.2.1").unverified == ("Cassandra", "RabbitMQ")


# -- RabbitMQ


@pytest.fixture(scope="module")
def broker(ours: Authority, tmp_path_factory: pytest.TempPathFactory, rabbitmq: Server) -> Iterator[RabbitMq]:
    server = RabbitMq(tmp_path_factory.mktemp("rabbitmq-tls"), ours.issue("broker"))
    server.start()
    yield server
    server.stop()


def bus_of(loop: Loop, port: int, tls: TlsFiles | None) -> RabbitMqBus:
    creator = None if tls is None else TwistedTls(tls)
    return RabbitMqBus(loop.reactor, [Endpoint(HOST, port)], tls=creator)


def test_rabbitmq_over_tls(loop: Loop, broker: RabbitMq, client: TlsFiles) -> None:
    bus = bus_of(loop, broker.tls_port, client)
    loop.run(bus.open())
    got: list[str] = []
    gaps: list[None] = []
    loop.run(bus.subscribe("tls", lambda message: got.append(message.uuid), lambda: gaps.append(None)))
    for number in range(300):  # more than fits into one TLS record
        loop.run(bus.publish(Message("UPDATE", "virtual_network", str(number), ("a" * 500,))))
    loop.wait(lambda: len(got) == 300)
    assert got == [str(number) for number in range(300)] and not gaps
    broker.kill()
    loop.run(bus.publish(Message("UPDATE", "virtual_network", "after", ("a",))))
    broker.start()
    loop.wait(lambda: got[-1] == "after", timeout=180)
    assert gaps == [None] and bus.connections == 2
    loop.run(bus.close())


def test_rabbitmq_is_not_believed_and_does_not_believe(
    loop: Loop, broker: RabbitMq, ours: Authority, client: TlsFiles, stranger: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong authority, no certificate, no TLS at all: never connected, tried again, and right files work after that."""
    monkeypatch.setattr("contrail_emulator.config.bus.rabbitmq.ROUND_SECONDS", 0.05)
    monkeypatch.setattr("contrail_emulator.config.bus.rabbitmq.CONNECT_SECONDS", 2.0)
    for tls in (stranger, TlsFiles(client.ca), TlsFiles(client.ca, stranger.certificate, stranger.key), None):
        bus = bus_of(loop, broker.tls_port, tls)
        tries: list[None] = []
        connect = bus._connect

        async def counted(server: Endpoint, connect=connect, tries=tries) -> object:  # type: ignore[no-untyped-def]
            tries.append(None)
            return await connect(server)

        bus._connect = counted  # type: ignore[method-assign]
        opening = Deferred.fromCoroutine(bus.open())
        opening.addErrback(lambda failure: None)
        loop.wait(lambda tries=tries: len(tries) > 2)  # type: ignore[misc]
        assert bus.connections == 0
        opening.cancel()
        loop.run(bus.close())
    bus = bus_of(loop, broker.tls_port, client)
    loop.run(bus.open())
    loop.run(bus.close())


# -- Cassandra


def test_cassandra_over_tls(
    loop: Loop, ours: Authority, client: TlsFiles, stranger: TlsFiles, tmp_path: Path, cassandra: Server
) -> None:
    database = Cassandra(tmp_path / "cassandra", ours.issue("database"))
    database.start()
    try:
        yes, no = (client, TlsFiles(client.ca), TlsFiles()), (stranger, None)
        for tls, works in (*((each, True) for each in yes), *((each, False) for each in no)):
            store = CassandraStore(
                loop.reactor,
                [Endpoint(HOST, database.port)],
                clock=time.time,
                ssl_context=None if tls is None else tls.context(),
            )
            if works:
                key = uuid.uuid4().hex
                loop.run(store.open(), timeout=240)
                loop.run(store.write([Put(UUID_TABLE, key, "type", '"x"')]))
                assert loop.run(store.rows(UUID_TABLE, [key]))[key]["type"].value == '"x"'
            else:
                with leaky_driver(), pytest.raises(StoreError, match=f"Cassandra {HOST}:{database.port}: "):
                    loop.run(store.open(), timeout=240)
            loop.run(store.close())
    finally:
        database.stop()


# -- ZooKeeper


def test_zookeeper_over_tls(
    loop: Loop, ours: Authority, client: TlsFiles, stranger: TlsFiles, tmp_path: Path, zookeeper: Server,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    keeper = ZooKeeper(tmp_path / "zookeeper", ours.issue("keeper"))
    keeper.start()
    try:
        ids = ZooKeeperIds(loop.reactor, [Endpoint(HOST, keeper.tls_port)], tls=client)
        loop.run(ids.open())
        loop.run(ids.create("/tls", "yes"))
        assert loop.run(ids.get("/tls")) == "yes"
        loop.run(ids.close())
        monkeypatch.setattr("contrail_emulator.config.ids.zookeeper.CONNECT_SECONDS", 3.0)
        for tls in (stranger, TlsFiles(client.ca), None):
            ids = ZooKeeperIds(loop.reactor, [Endpoint(HOST, keeper.tls_port)], tls=tls)
            with leaky_driver():
                with pytest.raises(IdsError, match="no answer"):
                    loop.run(ids.open())
                loop.run(ids.close())
    finally:
        keeper.stop()


# -- all three, from a conf file


def test_settings_reach_the_connections(loop: Loop, broker: RabbitMq, client: TlsFiles) -> None:
    text = f"[CONFIGDB]\nrabbitmq_use_ssl = true\nrabbitmq_ssl_ca_certs = {client.ca}\n"
    text += f"rabbitmq_ssl_certfile = {client.certificate}\nrabbitmq_ssl_keyfile = {client.key}\n"
    text += f"rabbitmq_server_list = {HOST}:{broker.tls_port}\n"
    backends = cluster(loop.reactor, ConfigDbSettings.from_conf(ConfFile.parse(text), HOST), random.Random(1))
    loop.run(backends.bus.open())
    loop.run(backends.bus.close())
