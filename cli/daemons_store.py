"""A daemon's connections to the configuration, which SIGHUP may move to other servers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from contrail_emulator.base.servers import servers_hash
from contrail_emulator.config.backends import Backends, ConfigDbSettings, cluster, embedded
from contrail_emulator.config.drivers import DriverMissing, driver
from contrail_emulator.config.ids import IdsError
from contrail_emulator.config.store import StoreError
from contrail_emulator.config.store.sqlite import fault_of
from contrail_emulator.lab.errors import LabError

RETRY_SECONDS = 5.0
DRIVERS = (("cassandra.cluster", "cassandra-driver"), ("pika", "pika"), ("kazoo.client", "kazoo"))
"""Module and package of what speaks to Cassandra, RabbitMQ and ZooKeeper."""


def need_drivers() -> None:
    """Whoever asks for servers wants all three: better said at once than by each when it is first used.

    Raises:
        DriverMissing: one is not installed; the text says how it gets here.
    """
    for module, package in DRIVERS:
        try:
            driver(module, package)
        except DriverMissing as error:
            raise DriverMissing(
                f"{package} is not installed, which a configuration on servers needs: pip install "
                "'contrail-emulator[cluster]' (in a clone: '.[cluster]'); --database FILE does without"
            ) from error


def need_database(path: Path) -> None:
    """What a user must mend is said at once; what may pass (a lock, a file that is gone for a while) is tried again.

    Raises:
        LabError: there can be no configuration in this file, or it may not be changed: each daemon does that.
    """
    fault = fault_of(str(path))
    if not fault and path.exists() and not os.access(path, os.W_OK):
        fault = "may not be written, and a daemon has to (config dump and diff only read)"
    if fault:
        raise LabError(f"--database {path}: {fault}")


class Connections:
    """Store, bus and ids of one daemon: the servers of its conf file, or the SQLite file `database` instead.

    `moves` counts how often they were moved. Raises DriverMissing when what speaks to servers is not installed, and
    LabError when `database` can be none.
    """

    log = Logger()

    def __init__(self, reactor: Any, settings: ConfigDbSettings, database: Path | None, rng: Random) -> None:
        self.moves = 0
        self._reactor = reactor
        self._settings = settings
        self._rng = rng
        self._embedded = database is not None
        if database is not None:
            need_database(database)
        else:
            need_drivers()
        self.backends: Backends = (
            embedded(reactor, str(database)) if database is not None else cluster(reactor, settings, rng)
        )
        self._moving: Deferred[None] | None = None

    async def open(self) -> None:
        """Connects everything; tries for ever, as the real daemons do."""
        while True:
            try:
                await self.backends.open()
            except (StoreError, IdsError) as error:
                self.log.warn("configuration: {error}; trying again", error=error)
                await deferLater(self._reactor, RETRY_SECONDS, lambda: None)
            else:
                return

    def move(self, settings: ConfigDbSettings, moved: Callable[[], None]) -> None:
        """Go to other servers when a list changed; `moved` is called when that is done.

        Old connections serve until there are new ones. A later call replaces one that is not done.
        """
        old = self._settings
        lists = {"cassandra": settings.cassandra, "rabbitmq": settings.rabbitmq}
        if self._embedded or all(servers_hash(getattr(old, name)) == servers_hash(lists[name]) for name in lists):
            self.log.info("configuration: same servers")
        else:
            if self._moving is not None:
                self._moving.cancel()
            self._settings = dataclasses.replace(old, cassandra=settings.cassandra, rabbitmq=settings.rabbitmq)
            self._moving = Deferred.fromCoroutine(self._move(self._settings, moved))
            self._moving.addErrback(self._failed)
        if not self._embedded and settings != self._settings:
            self.log.warn("configuration: what changed beside the lists of servers takes a restart")

    async def close(self) -> None:
        if self._moving is not None:
            self._moving.cancel()
        await self.backends.close()

    async def _move(self, settings: ConfigDbSettings, moved: Callable[[], None]) -> None:
        while True:
            try:
                await self.backends.move(settings, self._rng)
            except StoreError as error:
                self.log.warn("configuration: {error}; trying again", error=error)
                await deferLater(self._reactor, RETRY_SECONDS, lambda: None)
            else:
                break
        self.moves += 1
        self.log.info("configuration: moved to {settings!r}", settings=settings)
        moved()

    def _failed(self, failure: Failure) -> None:
        if not isinstance(failure.value, CancelledError):
            self.log.failure("configuration: moving failed", failure)
