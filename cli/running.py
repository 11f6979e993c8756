"""`up` and `demo`: run a lab in the foreground."""

from __future__ import annotations

import math
from importlib import resources
from pathlib import Path
from typing import Any

import click
from twisted.internet.task import LoopingCall, deferLater
from twisted.python.failure import Failure

from contrail_emulator.lab.checks import Check, CheckResult, checks, run
from contrail_emulator.lab.errors import LabError
from contrail_emulator.lab.lab import Lab
from contrail_emulator.lab.model import LabFile
from contrail_emulator.lab.patience import converge_seconds
from contrail_emulator.lab.watch import Watch

from .options import FileName, LogOptions
from .reactor import first, on_interrupt
from .reactor import run as run_reactor
from .screen import Screen, screen

WATCH_SECONDS = 1.0
STARTING_SECONDS = 5.0


@click.command()
@click.argument("lab", type=FileName())
@click.option(
    "--once", is_flag=True, help="Stop once the lab has converged and its checks are done; exit 1 if one failed."
)
@click.option(
    "--capture", type=FileName(), help="Write every byte to this pcapng file."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=1),
    help="Seconds to converge, once everything runs.  [default: 30, and 20 more for each 1000 machines]",
)
@click.pass_obj
def up(options: LogOptions, lab: Path, once: bool, capture: Path | None, timeout: float | None) -> int:
    """Run the lab that the file LAB describes, until Ctrl-C."""
    if timeout is not None and not math.isfinite(timeout):
        raise click.BadParameter("expected a number of seconds", param_hint="--timeout")
    file = LabFile.load(lab)
    seconds = converge_seconds(file) if timeout is None else timeout
    return run_reactor(lambda reactor: _up(reactor, options, file, capture, once, seconds))


@click.command()
@click.option(
    "--capture", type=FileName(), help="Write the capture here.  [default: demo.pcapng]"
)
@click.pass_obj
def demo(options: LogOptions, capture: Path | None) -> int:
    """Run the built-in lab: two agents, three machines, DNS and a real BGP gateway; check it; stop."""
    with resources.as_file(resources.files("contrail_emulator.lab") / "data" / "demo.yaml") as path:
        file = LabFile.load(path)
    return run_reactor(
        lambda reactor: _up(reactor, options, file, capture or Path("demo.pcapng"), True, converge_seconds(file))
    )


async def _up(
    reactor: Any, options: LogOptions, file: LabFile, capture: Path | None, once: bool, timeout: float
) -> int:
    lab = Lab(reactor, file, capture=capture)
    interrupted = on_interrupt(reactor)
    title = f"contrail-emulator · lab {file.name} · AS {file.autonomous_system}"
    try:
        with screen(title) as view:
            options.start(view.log_stream)
            lab.say = view.say
            status = await first(_watch(lab, view, once, timeout), interrupted)
            if once and interrupted.called:
                raise LabError("interrupted before the checks were done")
            return status
    finally:
        await lab.stop()


async def started(lab: Lab, view: Screen) -> None:
    """Starts the lab; with thousands of machines that takes minutes, and how far it is should be seen."""
    telling = LoopingCall(lambda: view.starting(lab.progress))
    telling.clock = lab.reactor
    ended = telling.start(STARTING_SECONDS, now=False)
    ended.addErrback(_output_failed)
    try:
        await lab.start()
    finally:
        if telling.running:
            telling.stop()


def _output_failed(failure: Failure) -> None:
    """Of the output alone: the next line that is to be told meets the same fault, and ends the command."""
    if not isinstance(failure.value, OSError):
        failure.raiseException()


async def _watch(lab: Lab, view: Screen, once: bool, timeout: float) -> int:
    await started(lab, view)
    await lab.converge(timeout, view.status)
    results = [await _check(check, lab, view) for check in checks(lab)]
    if not results:
        view.say("no check applies: there are no two machines in memory, and no router's route reaches one")
    if lab.capture_path is not None:
        assert lab.capture is not None
        lab.capture.flush()
        if lab.capture.error is not None:
            raise LabError(f"capture {lab.capture_path}: {lab.capture.error.strerror}")
        view.say(f"capture: {lab.capture_path} (how to read it: {lab.capture_path}.profile/tshark-options)")
    failed = [result.name for result in results if not result.passed]
    if failed:
        view.say(f"failed: {'; '.join(failed)}")
    if once:
        return 1 if failed else 0
    view.say("running; Ctrl-C stops it. Try: contrail-emulator show routes")
    watch = Watch(lab, view.say)
    while True:
        await watch.look()
        await deferLater(lab.reactor, WATCH_SECONDS, lambda: None)


async def _check(check: Check, lab: Lab, view: Screen) -> CheckResult:
    result = await run(check, lab.reactor)
    view.check(result)
    return result
