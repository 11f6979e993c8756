"""`up` and `demo`: run a lab in the foreground."""

from __future__ import annotations

import signal
from collections.abc import Callable, Coroutine
from importlib import resources
from pathlib import Path
from typing import Any

import click
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from contrail_emulator.base import log
from contrail_emulator.lab.checks import CheckResult, checks, run
from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.lab import Lab
from contrail_emulator.lab.model import LabFile

from .options import LogOptions
from .screen import Screen, screen

CONVERGE_SECONDS = 30.0
WATCH_SECONDS = 1.0


def _log(options: LogOptions) -> None:
    try:
        stream = options.file.open("a", encoding="utf-8") if options.file is not None else None
    except OSError as error:
        raise LabError(f"--log-file {options.file}: {error.strerror}") from error
    log.configure(options.level, options.json, stream)


@click.command()
@click.argument("lab", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--once", is_flag=True, help="Stop once the lab has converged and its checks are done; exit 1 if one failed."
)
@click.option(
    "--capture", type=click.Path(dir_okay=False, path_type=Path), help="Write every byte to this pcapng file."
)
@click.option(
    "--timeout", type=click.FloatRange(min=1), default=CONVERGE_SECONDS, show_default=True, help="Seconds to converge."
)
@click.pass_obj
def up(options: LogOptions, lab: Path, once: bool, capture: Path | None, timeout: float) -> int:
    """Run the lab that the file LAB describes, until Ctrl-C."""
    _log(options)
    file = LabFile.load(lab)
    return _run(lambda reactor: _up(reactor, file, capture, once, timeout))


@click.command()
@click.option(
    "--capture", type=click.Path(dir_okay=False, path_type=Path), help="Write the capture here.  [default: demo.pcapng]"
)
@click.pass_obj
def demo(options: LogOptions, capture: Path | None) -> int:
    """Run the built-in lab: two agents, three machines, DNS and a real BGP gateway; check it; stop."""
    _log(options)
    with resources.as_file(resources.files("contrail_emulator.lab") / "data" / "demo.yaml") as path:
        file = LabFile.load(path)
    return _run(lambda reactor: _up(reactor, file, capture or Path("demo.pcapng"), True, CONVERGE_SECONDS))


async def _up(reactor: Any, file: LabFile, capture: Path | None, once: bool, timeout: float) -> int:
    lab = Lab(reactor, file, capture=capture)
    interrupted = _on_interrupt(reactor)
    title = f"contrail-emulator · lab {file.name} · AS {file.autonomous_system}"
    try:
        with screen(title) as view:
            return await _first(_watch(lab, view, once, timeout), interrupted)
    finally:
        await lab.stop()


async def _watch(lab: Lab, view: Screen, once: bool, timeout: float) -> int:
    await lab.start()
    await lab.converge(timeout, view.status)
    results = [await _check(check, view) for check in checks(lab)]
    if lab.capture_path is not None:
        if lab.capture is not None:
            lab.capture.flush()
        view.say(f"capture: {lab.capture_path} (how to read it: {lab.capture_path}.profile/tshark-options)")
    failed = [result.name for result in results if not result.passed]
    if failed:
        view.say(f"failed: {'; '.join(failed)}")
    if once:
        return 1 if failed else 0
    view.say("running; Ctrl-C stops it. Try: contrail-emulator show routes")
    while True:
        await deferLater(lab.reactor, WATCH_SECONDS, lambda: None)


async def _check(check: Any, view: Screen) -> CheckResult:
    result = await run(check)
    view.check(result)
    return result


def _on_interrupt(reactor: Any) -> Deferred[int]:
    """Fires with the exit status when the user, or the system, asks us to stop: 0 for Ctrl-C and SIGTERM."""
    interrupted: Deferred[int] = Deferred()

    def stop(number: int, frame: object) -> None:
        reactor.callFromThread(_fire, interrupted)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return interrupted


def _fire(interrupted: Deferred[int]) -> None:
    if not interrupted.called:
        interrupted.callback(0)


async def _first(work: Coroutine[Any, Any, int], interrupted: Deferred[int]) -> int:
    """The result of `work`, or 0 as soon as we are interrupted; `work` is cancelled then."""
    doing = Deferred.fromCoroutine(work)
    outcome: Deferred[int] = Deferred()

    def done(result: int | Failure) -> None:
        if not outcome.called:
            outcome.callback(result)

    doing.addBoth(done)
    interrupted.addCallback(done)
    result = await outcome
    doing.cancel()
    return result


def _run(start: Callable[[Any], Coroutine[Any, Any, int]]) -> int:
    """Runs the reactor until `start` is done; its exception is raised here."""
    from twisted.internet import reactor  # only here: a command is the one who may choose it

    outcome: list[int | Failure] = []

    def ended(result: int | Failure) -> None:
        outcome.append(result)
        reactor.stop()

    def begin() -> None:
        Deferred.fromCoroutine(start(reactor)).addBoth(ended)

    reactor.callWhenRunning(begin)
    reactor.run()
    result = outcome[0]
    if isinstance(result, Failure):
        result.raiseException()
    return result
