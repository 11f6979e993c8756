"""What a person sees while a lab runs: sessions and routes until it has converged, then the checks."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Protocol, TextIO, cast

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from contrail_emulator.lab.checks import CheckResult
from contrail_emulator.lab.status import Goal, LabStatus, SessionStatus

from .printable import printable

BAR = 24
NARROW_BAR = 10
NARROW = 90
GAP = 2
COUNTER = 6
MIN_NOTE = 10


class Screen(Protocol):
    """Where `up` and `demo` tell what happens; log lines go to `log_stream`, so that they break nothing."""

    @property
    def log_stream(self) -> TextIO: ...
    def __enter__(self) -> Screen: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
    def starting(self, progress: str) -> None: ...
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
        self._live = Live(self._beginning(), console=console, transient=False, auto_refresh=False)
        self._log_stream = cast(TextIO, ConsoleStream(console)) if sys.stderr.isatty() else sys.stderr

    @property
    def log_stream(self) -> TextIO:
        """Prints above the live view; standard error itself where that is no terminal."""
        return self._log_stream

    def __enter__(self) -> LiveScreen:
        self._live.start(refresh=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()

    def starting(self, progress: str) -> None:
        self._live.update(self._beginning(progress), refresh=True)

    def _beginning(self, progress: str = "") -> RenderableType:
        return Group(Text(self._title, style="bold"), Text(f"starting … {progress}".rstrip(), style="dim"))

    def status(self, status: LabStatus) -> None:
        width, height = self._console.size
        self._live.update(draw(self._title, status, width, height), refresh=True)
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

    @property
    def log_stream(self) -> TextIO:
        return sys.stderr

    def __enter__(self) -> PlainScreen:
        self._console.print(Text(self._title), soft_wrap=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    def starting(self, progress: str) -> None:
        self.say(f"starting … {progress}".rstrip())

    def status(self, status: LabStatus) -> None:
        for session in status.sessions:
            self._tell(session.what, session.state, status.seconds)
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


class ConsoleStream(io.TextIOBase):
    """A text stream whose lines a console prints, above its live view while there is one."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._begun = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self._console.print(Text(line), soft_wrap=True)
        return len(text)


# The live view, cut to the terminal by ourselves: rich would shorten every column alike, and drop what is below.


def draw(title: str, status: LabStatus, width: int = 80, height: int = 24) -> RenderableType:
    """The live view, at most `width` cells and `height - 1` lines: title and time, goals, sessions.

    With too few lines, what is done is told in sums ("XMPP 15 of 15 up") and what is awaited in detail, as far as it
    goes.
    """
    seconds = f"{status.seconds:.1f} s"
    head = Text(title, style="bold", no_wrap=True)
    head.truncate(max(1, width - len(seconds) - GAP), overflow="ellipsis")
    head.append(" " * GAP).append(seconds, style="dim not bold")
    room = max(height - 2, 2)
    lines = _goal_lines(status.goals, width, max(1, room // 2))
    lines += _session_lines(status.sessions, width, room - len(lines))
    for line in lines:
        line.no_wrap = True
        line.truncate(width, overflow="ellipsis")
    return Group(head, *lines)


def _goal_lines(goals: Sequence[Goal], width: int, room: int) -> list[Text]:
    """A bar for each goal; those that are met become one line when there is no room."""
    shown = list(goals)
    summed: list[Text] = []
    if len(shown) > room:
        shown = [goal for goal in goals if not goal.met]
        summed = [Text(f"  {len(goals) - len(shown)} of {len(goals)} goals met", style="green")]
        shown = shown[: room - 1]
    names = max((cell_len(goal.what) for goal in shown), default=0)
    bar = BAR if width >= NARROW else NARROW_BAR
    return [_goal_line(goal, names, bar) for goal in shown] + summed


def _goal_line(goal: Goal, names: int, bar: int) -> Text:
    done = bar if goal.met else bar * goal.reached // max(goal.wanted, 1)
    return Text.assemble(
        f"  {_pad(goal.what, names)}  ",
        ("━" * done, "green"),
        ("━" * (bar - done), "bright_black"),
        f"  {goal.reached}/{goal.wanted}",
        ("" if goal.met or not goal.missing else f"  {printable(goal.missing)}", "dim"),
    )


def _session_lines(sessions: Sequence[SessionStatus], width: int, room: int) -> list[Text]:
    """A line for each session under a heading; where there is no room, those that are up are summed by protocol."""
    if len(sessions) + 1 <= room:
        return _rows(sessions, width) if sessions else []
    protocols = dict.fromkeys(session.protocol for session in sessions)
    sums = [_sum(protocol, [row for row in sessions if row.protocol == protocol]) for protocol in protocols]
    awaited = [session for session in sessions if not session.up]
    left = room - len(sums) - 1
    if not awaited or left < 1:
        return sums[: max(room, 0)]
    if len(awaited) > left:
        shown = awaited[: left - 1]
        rest = Text(f"  … and {len(awaited) - len(shown)} more that are not up", style="yellow")
        return [*sums, *(_rows(shown, width) if shown else []), rest]
    return [*sums, *_rows(awaited, width)]


def _sum(protocol: str, sessions: Sequence[SessionStatus]) -> Text:
    up = sum(session.up for session in sessions)
    return Text(f"  {protocol} {up} of {len(sessions)} up", style="green" if up == len(sessions) else "yellow")


def _rows(sessions: Sequence[SessionStatus], width: int) -> list[Text]:
    """A heading and the sessions. Protocol, state and counters are never shortened as long as anything else can be."""
    protocols = _widest(session.protocol for session in sessions)
    states = _widest((session.state for session in sessions), "state")
    names = [f"{session.left} ↔ {session.right}" for session in sessions]
    left = width - protocols - states - 2 * COUNTER - 5 * GAP
    longest = _widest(names, "session")
    widest = max(min(longest, left), len("session"))
    notes = left - widest - GAP
    head = f"  {_pad('', protocols)}  {_pad('session', widest)}  {_pad('state', states)}"
    lines = [Text(head + f"  {'in':>{COUNTER}}  {'out':>{COUNTER}}", style="dim")]
    for session, name in zip(sessions, names, strict=True):
        line = Text(f"  {_pad(session.protocol, protocols)}  {_pad(name, widest)}  ")
        line.append(_pad(session.state, states), style="green" if session.up else "yellow")
        line.append(f"  {_count(session.routes_in)}  {_count(session.routes_out)}")
        if notes >= MIN_NOTE:
            line.append(f"  {printable(session.note)}", style="dim")
        lines.append(line)
    return lines


def _widest(texts: Iterable[str], heading: str = "") -> int:
    return max(map(cell_len, (heading, *texts)))


def _pad(text: str, width: int) -> str:
    """The text in exactly so many cells."""
    cell = Text(printable(text))
    cell.truncate(width, overflow="ellipsis", pad=True)
    return cell.plain


def _count(value: int | None) -> str:
    return f"{'' if value is None else value:>{COUNTER}}"


def draw_check(result: CheckResult) -> Text:
    """One line: a mark, what was checked, what was seen."""
    mark = Text("✓ ", style="bold green") if result.passed else Text("✗ ", style="bold red")
    return Text.assemble(mark, result.name, Text(f": {result.detail}", style="dim" if result.passed else "red"))
