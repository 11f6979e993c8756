"""What is told while a large lab starts."""

from __future__ import annotations

import io
from types import SimpleNamespace
from typing import Any, cast

import pytest
from rich.console import Console
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from contrail_emulator.cli.running import STARTING_SECONDS, started
from contrail_emulator.cli.screen import LiveScreen, PlainScreen
from contrail_emulator.lab.errors import LabError


def begin(view: Any) -> tuple[Clock, SimpleNamespace, Deferred[None], list[Any]]:
    clock, starting, ended = Clock(), Deferred[None](), list[Any]()
    lab = SimpleNamespace(reactor=clock, start=lambda: starting, progress="configuration: 5 of 9 objects")
    Deferred.fromCoroutine(started(cast(Any, lab), view)).addBoth(ended.append)
    return clock, lab, starting, ended


def test_a_start_that_takes_long_tells_how_far_it_is() -> None:
    shown = io.StringIO()
    clock, lab, starting, ended = begin(PlainScreen("lab", Console(file=shown)))
    clock.advance(STARTING_SECONDS - 0.1)
    assert shown.getvalue() == ""
    clock.advance(0.1)
    lab.progress = ""
    clock.advance(STARTING_SECONDS)
    assert shown.getvalue() == "starting … configuration: 5 of 9 objects\nstarting …\n"
    starting.callback(None)
    assert ended == [None] and clock.getDelayedCalls() == []


def test_on_a_terminal_it_is_redrawn_in_place() -> None:
    shown = io.StringIO()
    view = LiveScreen("lab", Console(file=shown, force_terminal=True, width=80, color_system=None))
    with view:
        clock, _, starting, ended = begin(view)
        clock.advance(STARTING_SECONDS)
        assert "starting … configuration: 5 of 9 objects" in shown.getvalue()
        starting.errback(LabError("no"))
    assert ended[0].check(LabError) and clock.getDelayedCalls() == []


def test_output_that_cannot_be_written_ends_the_telling_alone() -> None:
    def full(progress: str) -> None:
        raise OSError("No space left on device")

    clock, _, starting, ended = begin(SimpleNamespace(starting=full))
    clock.advance(STARTING_SECONDS)
    assert clock.getDelayedCalls() == [] and ended == []
    starting.callback(None)
    assert ended == [None]


@pytest.mark.parametrize("seconds", [0.0, STARTING_SECONDS - 0.1])
def test_a_quick_start_tells_nothing(seconds: float) -> None:
    shown = io.StringIO()
    clock, _, starting, ended = begin(PlainScreen("lab", Console(file=shown)))
    clock.advance(seconds)
    starting.callback(None)
    assert shown.getvalue() == "" and ended == [None]
