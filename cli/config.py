"""`config load|dump|diff FILE`: configuration as a document, into, from and against any store."""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial, wraps
from pathlib import Path
from random import Random
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater

from contrail_emulator.base.conf import ConfError, ConfFile
from contrail_emulator.config import document
from contrail_emulator.config.backends import Backends, ConfigDbSettings, cluster, embedded, embedded_to_read
from contrail_emulator.config.drivers import DriverMissing
from contrail_emulator.config.ids import IdsError
from contrail_emulator.config.schema import load as load_schema
from contrail_emulator.config.store import StoreError
from contrail_emulator.config.store.sqlite import fault_of
from contrail_emulator.config.writer import Writer, WriterError
from contrail_emulator.lab.model import LabFile

from .daemons_conf import config_node_conf
from .daemons_store import need_drivers
from .options import FileName, LogOptions
from .reactor import STOP, first, on_interrupt, run

OPEN_SECONDS = 30.0
PUBLISH_SECONDS = 10.0

PAUSE_SECONDS = 0.1
"""For what another writer has half done; SQLite and Cassandra take milliseconds."""

Work = Callable[[Writer, Any], Awaitable[int]]


@dataclass(frozen=True, slots=True)
class Where:
    """Where the configuration is: in the SQLite file `path`, or on servers.

    `name` is for messages; `write` and `read` make what changes it or only reads it, when given the reactor.
    """

    name: str
    write: Callable[[Any], Backends]
    read: Callable[[Any], Backends]
    path: Path | None = None


@click.group()
def config() -> None:
    """Load, dump or compare a configuration (YAML or JSON; `-`: standard input or output).

    Where it is: --config-file (contrail-schema.conf or contrail-api.conf), --database (an SQLite file), or --lab
    (what the lab file's `config` says, also while `up` runs it).
    """


def _store_options(command: Callable[..., int]) -> Callable[..., int]:
    """Adds the options that say where the configuration is, and gives the command one `where` instead."""
    path = FileName()

    @click.option("--config-file", "-c", type=path, multiple=True, help="contrail-schema.conf or contrail-api.conf.")
    @click.option("--database", type=path, help="An SQLite file.")
    @click.option("--lab", type=path, help="A lab file whose config has a path or servers.")
    @wraps(command)
    def wrapped(config_file: tuple[Path, ...], database: Path | None, lab: Path | None, **others: Any) -> int:
        options: LogOptions = click.get_current_context().obj
        options.start()
        try:
            return command(where=_where(config_file, database, lab), **others)
        except (ConfError, document.DocumentError, StoreError, IdsError, WriterError, DriverMissing) as error:
            raise click.ClickException(str(error)) from error

    return wrapped


def _where(config_file: tuple[Path, ...], database: Path | None, lab: Path | None) -> Where:
    if (len(config_file) > 0) + (database is not None) + (lab is not None) != 1:
        raise click.UsageError("expected one of --config-file, --database and --lab", click.get_current_context())
    if config_file:
        return _servers(config_node_conf(ConfFile.load(*config_file)).database)
    if lab is not None:
        configured = LabFile.load(lab).config
        if configured.store == "cassandra":
            return _servers(configured.settings)
        database = configured.path
        if database is None:
            raise click.ClickException(f"{lab}: its configuration is in memory; give it config: {{path: FILE}}")
    path = str(database)
    if fault := fault_of(path):
        raise click.ClickException(f"{path}: {fault}")
    return Where(
        path, lambda reactor: embedded(reactor, path), lambda reactor: embedded_to_read(reactor, path), database
    )


def _servers(settings: ConfigDbSettings) -> Where:
    need_drivers()
    make = partial(cluster, settings=settings, rng=Random())
    return Where(repr(settings), make, make)


@config.command()
@click.argument("file", type=FileName(allow_dash=True))
@_store_options
def load(where: Where, file: Path) -> int:
    """Make what FILE has and the store lacks; change what differs. Objects that only the store has stay."""
    objects = _read(file)

    async def work(writer: Writer, reactor: Any) -> int:
        async def pause() -> None:
            await deferLater(reactor, PAUSE_SECONDS, lambda: None)

        await writer.initialise()
        made, changed = await document.load(writer, objects, pause)
        click.echo(f"made {made}, changed {changed}, of {len(objects)}")
        return 0

    return _with_writer(where.name, where.write, work)


@config.command()
@click.argument("file", type=FileName(allow_dash=True), default="-")
@_store_options
def dump(where: Where, file: Path) -> int:
    """Write every object of the store to FILE: YAML, or JSON when its name ends in .json."""
    _must_be(where)

    async def work(writer: Writer, reactor: Any) -> int:
        objects = await document.dump(writer)
        as_json = file.suffix == ".json"
        text = json.dumps({"objects": objects}, indent=1) + "\n" if as_json else document.render(objects)
        if str(file) == "-":
            click.echo(text, nl=False)
            return 0
        try:
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"{file}: {error.strerror}") from error
        click.echo(f"wrote {len(objects)} objects to {file}")
        return 0

    return _with_writer(where.name, where.read, work)


@config.command()
@click.argument("file", type=FileName(allow_dash=True))
@_store_options
def diff(where: Where, file: Path) -> int:
    """Print what FILE says otherwise than the store, a line each; exit 1 when there is any."""
    objects = _read(file)
    _must_be(where)

    async def work(writer: Writer, reactor: Any) -> int:
        found = await document.diff(writer, objects)
        for one in found:
            what = f"{one.type} {one.name}"
            if not one.field:
                click.echo(f"{what}: not in the store")
            else:
                click.echo(f"{what}: {one.field}: file {json.dumps(one.wanted)}, store {json.dumps(one.stored)}")
        return 1 if found else 0

    return _with_writer(where.name, where.read, work)


def _read(file: Path) -> list[dict[str, Any]]:
    try:
        text = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{file}: expected UTF-8 text") from error
    return document.parse(text, str(file))


def _must_be(where: Where) -> None:
    """Reading should make no SQLite file, neither a new one nor of an empty file that is something else's."""
    if where.path is None:
        return
    try:
        size = where.path.stat().st_size
    except OSError as error:
        raise click.ClickException(f"{where.path}: {error.strerror}") from error
    if size == 0:
        raise click.ClickException(f"{where.path}: expected an SQLite file with a configuration, found an empty file")


def _with_writer(name: str, make: Callable[[Any], Backends], work: Work) -> int:
    async def start(reactor: Any) -> int:
        return await first(_connected(reactor, make(reactor), name, work), on_interrupt(reactor, STOP))

    return run(start)


async def _connected(reactor: Any, backends: Backends, name: str, work: Work) -> int:
    assert backends.ids is not None
    opening: Deferred[None] = Deferred.fromCoroutine(backends.open())
    opening.addTimeout(OPEN_SECONDS, reactor)
    try:
        try:
            await opening
        except DeferredTimeout as error:
            raise StoreError(f"no answer within {OPEN_SECONDS:g} s: {name}") from error
        writer = Writer(backends.store, backends.bus, backends.ids, load_schema(), uuid=uuid.uuid4, clock=time.time)
        status = await work(writer, reactor)
        await _published(reactor, backends)
        return status
    finally:
        await backends.close()


async def _published(reactor: Any, backends: Backends) -> None:
    """Until the bus has everything: who closes at once takes messages with him."""
    deadline = reactor.seconds() + PUBLISH_SECONDS
    while backends.bus.pending:
        if reactor.seconds() > deadline:
            raise StoreError("written, but the bus has not taken every message: readers learn it when they read anew")
        paused: Deferred[None] = Deferred()
        reactor.callLater(0.01, paused.callback, None)
        await paused
