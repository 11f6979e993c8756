"""`control`, `dns`, `config-node`, `agent`: one daemon as a process of its own, from Contrail's own conf file."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import click
from click.core import ParameterSource
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from twisted.python.failure import Failure

from contrail_emulator.base.conf import ConfError, ConfFile
from contrail_emulator.config.drivers import DriverMissing
from contrail_emulator.control.xmpp.tls import TlsError
from contrail_emulator.lab import state
from contrail_emulator.lab.errors import LabError

from .daemons_conf import log_of
from .daemons_kinds import AgentDaemon, ConfigNodeDaemon, ControlDaemon, Daemon, DnsDaemon
from .options import FileName, LogOptions
from .reactor import STOP, first, on_hangup, on_interrupt, run

Make = Callable[[Any, ConfFile, Path | None, Random], Daemon]
STOP_SECONDS = 10.0
log = Logger()


def _daemon(name: str, make: Make, summary: str, *, database: bool = True, section: str = "DEFAULT") -> click.Command:
    """The command of one kind of daemon."""

    def command(config_file: tuple[Path, ...], overrides: tuple[str, ...], database: Path | None = None) -> int:
        context = click.get_current_context()
        try:
            read = _reader(config_file, overrides)
            conf = read()
            _start_log(context, conf, section)
            return run(lambda reactor: _run(reactor, make, read, conf, database))
        except (ConfError, DriverMissing, TlsError) as error:
            raise click.ClickException(str(error)) from error
        except CannotListenError as error:
            reason = getattr(error.socketError, "strerror", None) or error.socketError
            where = f"{error.interface or '*'} port {error.port}"
            raise click.ClickException(f"cannot listen on {where}: {reason}") from error

    options: list[click.Parameter] = [
        click.Option(
            ["--config-file", "-c"],
            type=FileName(),
            multiple=True,
            required=True,
            help="Contrail's conf file; given again, the later one wins.",
        ),
        click.Argument(["overrides"], nargs=-1, type=click.UNPROCESSED, metavar="[--SECTION.OPTION VALUE]..."),
    ]
    if database:
        text = "Take configuration from this SQLite file instead of the servers in the conf file."
        options.append(click.Option(["--database"], type=FileName(), help=text))
    return click.Command(
        name, params=options, callback=command, help=summary, context_settings={"ignore_unknown_options": True}
    )


def _reader(paths: Sequence[Path], overrides: Sequence[str]) -> Callable[[], ConfFile]:
    """What reads the files, now and at each SIGHUP; the command line wins over them."""
    given: list[tuple[str, str, str]] = []
    words = iter(overrides)
    for word in words:
        name, equals, value = word.removeprefix("--").partition("=")
        section, dot, option = name.partition(".")
        if not word.startswith("--") or not dot or not section or not option:
            raise click.UsageError(f"{word}: expected --SECTION.OPTION VALUE", click.get_current_context())
        if not equals:
            following = next(words, None)
            if following is None:
                raise click.UsageError(f"{word}: expected a value after it", click.get_current_context())
            value = following
        given.append((section, option, value))

    def read() -> ConfFile:
        conf = ConfFile.load(*paths)
        for section, option, value in given:
            conf.override(section, option, value)
        return conf

    return read


def _start_log(context: click.Context, conf: ConfFile, section: str) -> None:
    """The command line's --log-level and --log-file, where given, win over the conf file's."""
    options: LogOptions = context.obj
    level, file = log_of(conf, section)
    source = context.find_root().get_parameter_source("log_level")
    if level is not None and source in (None, ParameterSource.DEFAULT):
        options = replace(options, level=level)
    if file is not None and options.file is None:
        options = replace(options, file=file)
    options.start()


async def _run(reactor: Any, make: Make, read: Callable[[], ConfFile], conf: ConfFile, database: Path | None) -> int:
    interrupted = on_interrupt(reactor, STOP)
    daemon = make(reactor, conf, database, Random())
    for warning in daemon.warnings:
        log.warn("{warning}", warning=warning)
    on_hangup(reactor, lambda: _reload(daemon, read))
    try:
        return await first(_serve(daemon), interrupted)
    finally:
        stopping = Deferred.fromCoroutine(daemon.stop())
        stopping.addTimeout(STOP_SECONDS, reactor)
        stopping.addErrback(_not_stopped)
        await stopping


async def _serve(daemon: Daemon) -> int:
    started = await daemon.start()
    print(started.line, flush=True)
    file = _advertise(started.state)
    try:
        forever: Deferred[int] = Deferred()
        return await forever
    finally:
        if file is not None:
            file.unlink(missing_ok=True)


def _advertise(daemon: state.DaemonState) -> Path | None:
    """Leaves a state file, so that `show` finds the daemon; it works without one, too."""
    try:
        return state.write(state.LabState(daemon.name, os.getpid(), (daemon,)))
    except LabError as error:
        log.warn("contrail-emulator show will not find this daemon: {error}", error=error)
        return None


def _reload(daemon: Daemon, read: Callable[[], ConfFile]) -> None:
    """A file that makes no sense any more is reported, and the old settings stay."""
    try:
        daemon.reload(read())
    except ConfError as error:
        log.error("SIGHUP: {error}; nothing is changed", error=error)


def _not_stopped(failure: Failure) -> None:
    log.failure("while stopping", failure)


control = _daemon("control", ControlDaemon, "Run one control node from contrail-control.conf.")
dns = _daemon("dns", DnsDaemon, "Run one DNS front end from contrail-dns.conf.")
config_node = _daemon(
    "config-node",
    ConfigNodeDaemon,
    "Run the schema transformer from contrail-schema.conf or contrail-api.conf; makes the first objects.",
    section="DEFAULTS",
)
agent = _daemon("agent", AgentDaemon, "Run one vRouter agent from contrail-vrouter-agent.conf.", database=False)
