"""What a person sees: it fits the terminal, tells what is awaited, and log lines do not break it."""

from __future__ import annotations

import io
import os
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console
from twisted.logger import Logger

from contrail_emulator.base import log
from contrail_emulator.cli.screen import ConsoleStream, LiveScreen, PlainScreen, draw, screen
from contrail_emulator.lab.status import Goal, LabStatus, SessionStatus

TITLE = "contrail-emulator · lab big · AS 64512"
GOALS = (
    Goal("machines connected", 14, 15, "vm15: no agent"),
    Goal("routes at agents", 225, 225),
    Goal("names in DNS", 0, 15),
)


def session(number: int, up: bool = True, protocol: str = "XMPP") -> SessionStatus:
    state = "Established" if up else "not connected yet"
    return SessionStatus(protocol, "control-1", f"compute-{number}", state, up, 12, 345, "exabgp, AS 64600")


MANY = (
    session(0, protocol="BGP"),
    *(session(number) for number in range(1, 16)),
    *(session(number, up=number != 7, protocol="DNS") for number in range(1, 16)),
)


def lines(status: LabStatus, width: int, height: int, title: str = TITLE) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, color_system=None)
    with console.capture() as capture:
        console.print(draw(title, status, width, height))
    return capture.get().splitlines()


def test_with_room_every_session_has_its_line() -> None:
    shown = lines(LabStatus(3.25, MANY, GOALS), 120, 50)
    assert shown[0] == TITLE + "  3.2 s"
    assert [line.split("━")[0].strip() for line in shown[1:4]] == [goal.what for goal in GOALS], "goals first"
    assert shown[1].rstrip().endswith("14/15  vm15: no agent")
    assert shown[4].split() == ["session", "state", "in", "out"]
    assert len(shown) == 5 + len(MANY)
    assert " ".join(shown[5].split()) == "BGP control-1 ↔ compute-0 Established 12 345 exabgp, AS 64600"


@pytest.mark.parametrize(("width", "height"), [(80, 24), (70, 20)])
def test_without_room_what_is_up_is_summed(width: int, height: int) -> None:
    shown = [line.strip() for line in lines(LabStatus(3.25, MANY, GOALS), width, height)]
    assert len(shown) < height
    assert shown[4:7] == ["BGP 1 of 1 up", "XMPP 15 of 15 up", "DNS 14 of 15 up"]
    assert shown[8].startswith("DNS  control-1 ↔ compute-7  not connected yet")
    assert len(shown) == 9


def test_with_many_awaited_the_rest_is_counted() -> None:
    down = tuple(session(number, up=False) for number in range(100))
    shown = lines(LabStatus(1.0, down, GOALS), 80, 24)
    assert len(shown) == 23
    listed = sum("not connected yet" in line for line in shown)
    assert shown[-1].strip() == f"… and {100 - listed} more that are not up" and listed > 10


def test_many_goals_leave_room_for_sessions() -> None:
    goals = tuple(Goal(f"routes at router-{number}", number % 2, 1) for number in range(40))
    shown = [line.strip() for line in lines(LabStatus(1.0, MANY, goals), 80, 24)]
    assert len(shown) < 24 and "20 of 40 goals met" in shown and "XMPP 15 of 15 up" in shown


statuses = st.builds(
    LabStatus,
    st.floats(0, 1e6),
    st.lists(
        st.builds(SessionStatus, st.sampled_from(["BGP", "XMPP", "DNS"]), st.text(max_size=40), st.text(max_size=40),
                  st.sampled_from(["Established", "OpenConfirm", "not configured yet"]), st.booleans(),
                  st.none() | st.integers(0, 10**6), st.none() | st.integers(0, 10**6), st.text(max_size=40)),
        max_size=60,
    ).map(tuple),
    st.lists(st.builds(Goal, st.text(max_size=40), st.integers(0, 99), st.integers(0, 99), st.text(max_size=90)),
             max_size=30).map(tuple),
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(statuses, st.integers(20, 200), st.integers(6, 80))
def test_it_always_fits(status: LabStatus, width: int, height: int) -> None:
    shown = lines(status, width, height)
    assert len(shown) < height and all(cell_len(line) <= width for line in shown)


@settings(max_examples=40, deadline=None)
@given(statuses, st.integers(60, 200))
def test_the_protocol_is_never_shortened(status: LabStatus, width: int) -> None:
    text = "\n".join(lines(status, width, 200))
    for row in status.sessions:
        assert f"  {row.protocol}  " in text or f"  {row.protocol} " in text


# Live and plain


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """A terminal of 80 columns and 24 lines."""
    terminal = Terminal()
    monkeypatch.setenv("TERM", "xterm")
    for name in ("COLUMNS", "LINES", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "get_terminal_size", lambda *descriptor: os.terminal_size((80, 24)))
    return terminal


def test_something_is_drawn_at_once(terminal: Terminal) -> None:
    with screen(TITLE, terminal) as view:
        assert isinstance(view, LiveScreen)
        assert TITLE in terminal.getvalue() and "starting …" in terminal.getvalue()


def test_log_lines_are_printed_above_the_live_view(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view is erased, the line printed whole, the view drawn again below it."""
    monkeypatch.setattr(sys, "stderr", terminal)  # not in a fixture: pytest sets its own between set-up and call
    with screen(TITLE, terminal) as view:
        view.status(LabStatus(0.5, MANY[:1], GOALS))
        before = len(terminal.getvalue())
        stop = log.configure("warn", stream=view.log_stream)
        try:
            Logger(namespace="lab").warn("router {name} ended", name="gateway" * 20)
        finally:
            stop()
        printed = terminal.getvalue()[before:]
    erased, line, drawn = printed.partition("router " + "gateway" * 20 + " ended\n")
    assert line and "\x1b[2K" in erased and "\x1b[1A" in erased and TITLE not in erased
    assert "machines connected" in drawn


def test_log_lines_go_where_standard_error_goes(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    redirected = io.StringIO()
    monkeypatch.setattr(sys, "stderr", redirected)
    assert screen(TITLE, terminal).log_stream is redirected
    plain = screen(TITLE, io.StringIO())
    assert isinstance(plain, PlainScreen) and plain.log_stream is redirected


def test_a_line_is_printed_when_it_is_whole(terminal: Terminal) -> None:
    file = io.StringIO()
    stream = ConsoleStream(Console(file=file, width=20))
    assert stream.write("one [bold]") == 10 and file.getvalue() == ""
    stream.write(" two\nthr")
    assert file.getvalue() == "one [bold] two\n"
    stream.write("ee\n\n")
    stream.flush()
    assert file.getvalue() == "one [bold] two\nthree\n\n"


def test_a_resized_terminal_is_noticed(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    with screen(TITLE, terminal) as view:
        view.status(LabStatus(0.5, MANY, GOALS))
        assert "XMPP 15 of 15 up" in terminal.getvalue()
        monkeypatch.setattr(os, "get_terminal_size", lambda *descriptor: os.terminal_size((80, 60)))
        before = len(terminal.getvalue())
        view.status(LabStatus(0.6, MANY, GOALS))
        assert "XMPP 15 of 15 up" not in terminal.getvalue()[before:]
