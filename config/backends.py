"""Store, bus and ids that belong together: embedded in this process, in one file, or the real servers."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from contrail_emulator.base.conf import ConfFile
from contrail_emulator.base.servers import Endpoint, ServerList

from .bus import Bus, LocalBus, SqliteBus
from .bus.rabbitmq import RabbitMqBus
from .ids import Ids, LocalIds
from .ids.sqlite import SqliteIds
from .ids.zookeeper import ZooKeeperIds
from .store import SqliteStore, Store
from .store.cassandra import CassandraStore
from .tls import TlsError, TlsFiles, TwistedTls

CASSANDRA_PORT, RABBITMQ_PORT, ZOOKEEPER_PORT = 9042, 5672, 2181
SECTIONS = ("CONFIGDB", "IFMAP")
"""Both names of the section: what the daemons read, and what an older document calls it (reference/config.md 8.4)."""
TLS_VERSIONS = ("", "sslv23", "tlsv1", "tlsv1_1", "tlsv1_2", "tlsv1_3")
"""What `rabbitmq_ssl_version` and `kombu_ssl_version` may say; TLS 1.2 or newer is spoken for each of them."""


@dataclass(frozen=True, slots=True)
class ConfigDbSettings:
    """Where configuration is, as contrail-control.conf and contrail-dns.conf say it (reference/config.md 9).

    `*_tls`: certificate files when TLS is spoken there, None for plain TCP.
    """

    cassandra: tuple[Endpoint, ...]
    rabbitmq: tuple[Endpoint, ...]
    zookeeper: tuple[Endpoint, ...] = ()
    cassandra_user: str = ""
    cassandra_password: str = ""
    rabbitmq_user: str = "guest"
    rabbitmq_password: str = "guest"
    rabbitmq_vhost: str = ""
    rabbitmq_ha_mode: bool = False
    cluster_id: str = ""
    cassandra_tls: TlsFiles | None = None
    rabbitmq_tls: TlsFiles | None = None
    zookeeper_tls: TlsFiles | None = None

    @classmethod
    def from_conf(cls, conf: ConfFile, host: str) -> "ConfigDbSettings":
        """The settings in a conf file; lists default to `host`. Raises ConfError."""
        section = next((name for name in SECTIONS if _given(conf, name)), SECTIONS[0])
        if conf.boolean(section, "config_db_use_etcd", False):
            raise conf.wrong(section, "config_db_use_etcd", "expected false: the emulator does not do this")
        conf.choice(section, "rabbitmq_ssl_version", "", TLS_VERSIONS)
        return cls(
            cassandra=conf.servers(section, "config_db_server_list", (Endpoint(host, CASSANDRA_PORT),), CASSANDRA_PORT),
            rabbitmq=conf.servers(section, "rabbitmq_server_list", (Endpoint(host, RABBITMQ_PORT),), RABBITMQ_PORT),
            cassandra_user=conf.text(section, "config_db_username"),
            cassandra_password=conf.text(section, "config_db_password"),
            rabbitmq_user=conf.text(section, "rabbitmq_user", "guest"),
            rabbitmq_password=conf.text(section, "rabbitmq_password", "guest"),
            rabbitmq_vhost=conf.text(section, "rabbitmq_vhost").strip("/"),
            cassandra_tls=tls_files(conf, section, "config_db_use_ssl", "config_db_ca_certs"),
            rabbitmq_tls=tls_files(
                conf, section, "rabbitmq_use_ssl",
                "rabbitmq_ssl_ca_certs", "rabbitmq_ssl_certfile", "rabbitmq_ssl_keyfile",
            ),
        )  # fmt: skip

    @property
    def unverified(self) -> tuple[str, ...]:
        """Which servers anybody could play: TLS without a CA file."""
        tls = {"Cassandra": self.cassandra_tls, "RabbitMQ": self.rabbitmq_tls, "ZooKeeper": self.zookeeper_tls}
        return tuple(name for name, files in tls.items() if files is not None and not files.ca)

    def __repr__(self) -> str:
        lists = (("cassandra", self.cassandra), ("rabbitmq", self.rabbitmq), ("zookeeper", self.zookeeper))
        return "ConfigDbSettings(" + ", ".join(f"{name}={' '.join(map(str, each))}" for name, each in lists) + ")"


def tls_files(
    conf: ConfFile, section: str, use: str, ca: str, certificate: str = "", key: str = ""
) -> TlsFiles | None:
    """What the options of these names say; None unless `use` is true.

    Raises:
        ConfError: a file cannot be used.
    """
    names = {"ca": ca, "certificate": certificate, "key": key}
    texts = {part: conf.text(section, option) if option else "" for part, option in names.items()}
    if not conf.boolean(section, use, False):
        return None
    files = TlsFiles(**{part: "" if text.lower() == "none" else text for part, text in texts.items()})
    try:
        files.context()
    except TlsError as error:
        raise conf.wrong(section, use, str(error)) from error
    return files


def _given(conf: ConfFile, section: str) -> bool:
    options = (
        "config_db_server_list", "rabbitmq_server_list", "rabbitmq_user", "config_db_username",
        "config_db_use_ssl", "rabbitmq_use_ssl",
    )  # fmt: skip
    return any(conf.has(section, option) for option in options)


@dataclass(slots=True)
class Backends:
    """The three together. `ids` is None for a reader, which needs none."""

    store: Store
    bus: Bus
    ids: Ids | None

    async def open(self) -> None:
        """Connect everything, the queue side first."""
        await self.bus.open()
        await self.store.open()
        if self.ids is not None:
            await self.ids.open()

    async def close(self) -> None:
        """Let go of everything."""
        await self.bus.close()
        if self.ids is not None:
            await self.ids.close()
        await self.store.close()

    async def move(self, settings: ConfigDbSettings, rng: Random) -> None:
        """Other servers (SIGHUP): connect to those; subscribers of the bus are told of the gap and read again."""
        if isinstance(self.store, CassandraStore):
            await self.store.move(tuple(ServerList(settings.cassandra, rng)))
        if isinstance(self.bus, RabbitMqBus):
            self.bus.move(tuple(ServerList(settings.rabbitmq, rng)))


def embedded(reactor: Any, path: str | None = None, clock: Callable[[], float] = time.time) -> Backends:
    """In memory and this process only, or in a file that processes on this machine share."""
    if path is None:
        return Backends(SqliteStore(clock=clock), LocalBus(reactor), LocalIds(reactor))
    return Backends(SqliteStore(path, clock), SqliteBus(reactor, path), SqliteIds(reactor, path, clock))


def embedded_to_read(reactor: Any, path: str) -> Backends:
    """The configuration in a file, for who only reads it: the file is not changed, and may be one we cannot write."""
    return Backends(SqliteStore(path, read_only=True), LocalBus(reactor), LocalIds(reactor))


def cluster(reactor: Any, settings: ConfigDbSettings, rng: Random, clock: Callable[[], float] = time.time) -> Backends:
    """The real servers, each list in an order of this process's own.

    Raises:
        TlsError: certificate files cannot be used.
    """
    return Backends(
        CassandraStore(
            reactor,
            tuple(ServerList(settings.cassandra, rng)),
            clock=clock,
            user=settings.cassandra_user,
            password=settings.cassandra_password,
            cluster_id=settings.cluster_id,
            ssl_context=None if settings.cassandra_tls is None else settings.cassandra_tls.context(),
        ),
        RabbitMqBus(
            reactor,
            tuple(ServerList(settings.rabbitmq, rng)),
            user=settings.rabbitmq_user,
            password=settings.rabbitmq_password,
            vhost=settings.rabbitmq_vhost,
            ha_mode=settings.rabbitmq_ha_mode,
            tls=None if settings.rabbitmq_tls is None else TwistedTls(settings.rabbitmq_tls),
        ),
        ZooKeeperIds(
            reactor,
            tuple(ServerList(settings.zookeeper, rng)),
            prefix=f"/{settings.cluster_id}" if settings.cluster_id else "",
            clock=clock,
            tls=settings.zookeeper_tls,
        )
        if settings.zookeeper
        else None,
    )
