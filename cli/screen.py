"""What a person sees while a lab runs: sessions and routes until it has converged, then the checks."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from contrail_emulator.lab.checks import CheckResult
from contrail_emulator.lab.status import LabStatus

WIDTH = 118


class Screen(Protocol):
    """Where `up` and `demo` tell what happens."""

    def __enter__(self) -> Screen: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def status(self, status: LabStatus) -> None: ...
    def check(self, result: CheckResult) -> None: ...
    def say(self, text: str) -> None: ...


def screen(title: str, stream: TextIO | None = None) -> Screen:
    """A live view on a terminal, plain lines anywhere else."""
    console = Console(file=stream or sys.stdout, highlight=False, width=None)
    return LiveScreen(title, console) if console.is_terminal else PlainScreen(title, console)


class LiveScreen:
    """Sessions and progress redrawn in place; checks and messages scroll above nothing: they stay."""

    def __init__(self, title: str, console: Console) -> None:
        self._title = title
        self._console = console
        self._live = Live(Text(title), console=console, refresh_per_second=8, transient=False, auto_refresh=False)

    def __enter__(self) -> LiveScreen:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def status(self, status: LabStatus) -> None:
        self._live.update(draw(self._title, status), refresh=True)
        if status.converged:
            self._live.stop()

    def check(self, result: CheckResult) -> None:
        self._live.stop()
        self._console.print(draw_check(result))

    def say(self, text: str) -> None:
        self._console.print(Text(text))


class PlainScreen:
    """One line per thing that changed, for a pipe or a log file."""

    def __init__(self, title: str, console: Console) -> None:
        self._title = title
        self._console = console
        self._told: dict[str, str] = {}
        self._converged = False

    def __enter__(self) -> PlainScreen:
        self._console.print(Text(self._title), soft_wrap=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def status(self, status: LabStatus) -> None:
        for session in status.sessions:
            self._tell(f"{session.protocol} {session.left} - {session.right}", session.state, status.seconds)
        for goal in status.goals:
            if goal.met:
                self._tell(goal.what, f"{goal.reached} of {goal.wanted}", status.seconds)
        if status.converged and not self._converged:
            self._converged = True
            self.say(f"{status.seconds:6.2f} s  converged")

    def check(self, result: CheckResult) -> None:
        self._console.print(draw_check(result), soft_wrap=True)

    def say(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True)

    def _tell(self, what: str, value: str, seconds: float) -> None:
        if self._told.get(what) != value:
            self._told[what] = value
            self.say(f"{seconds:6.2f} s  {what}: {value}")


def draw(title: str, status: LabStatus) -> RenderableType:
    """The live view: a title with the time, the sessions, one bar a goal."""
    head = Table.grid(expand=False, padding=(0, 2))
    head.add_row(Text(title, style="bold"), Text(f"{status.seconds:.1f} s", style="dim"))
    sessions = Table(box=None, padding=(0, 2), header_style="dim", show_edge=False)
    for name in ("", "session", "state", "in", "out", ""):
        sessions.add_column(name, justify="right" if name in ("in", "out") else "left", no_wrap=True)
    for row in status.sessions:
        sessions.add_row(
            row.protocol,
            f"{row.left} ↔ {row.right}",
            Text(row.state, style="green" if row.up else "yellow"),
            "" if row.routes_in is None else str(row.routes_in),
            "" if row.routes_out is None else str(row.routes_out),
            Text(row.note, style="dim"),
        )
    goals = Table.grid(padding=(0, 2))
    for goal in status.goals:
        bar = ProgressBar(
            total=max(goal.wanted, 1), completed=min(goal.reached, goal.wanted) if goal.wanted else 1, width=24
        )
        missing = "" if goal.met else goal.missing
        goals.add_row(Text("  " + goal.what), bar, f"{goal.reached}/{goal.wanted}", Text(missing[:60], style="dim"))
    return Group(head, sessions, goals)


def draw_check(result: CheckResult) -> Text:
    """One line: a mark, what was checked, what was seen."""
    mark = Text("✓ ", style="bold green") if result.passed else Text("✗ ", style="bold red")
    return Text.assemble(mark, result.name, Text(f": {result.detail}", style="dim" if result.passed else "red"))
